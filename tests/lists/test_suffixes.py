"""Names that nobody's list may hold."""

from __future__ import annotations

import publicsuffixlist
import pytest

from icapd.lists.suffixes import is_public_suffix


@pytest.mark.parametrize(
    "name", ["co.uk", "com.br", "any.ck", "xn--55qx5d.cn", "xn--mgbtx2b.xn--mgbaam7a8h", "k12.ca.us"]
)
def test_registries_are_public(name: str) -> None:
    library = publicsuffixlist.PublicSuffixList(only_icann=True, accept_unknown=False)
    assert is_public_suffix(name) == bool(library.is_public(name))


@pytest.mark.parametrize(
    "name", ["a.co.uk", "www.ck", "github.io", "blogspot.com", "a.example", "city.kawasaki.jp"]
)
def test_sites_are_not(name: str) -> None:
    assert not is_public_suffix(name)
