"""The bench through CONNECT and TLS runs, sees no error, and gives every figure."""

from __future__ import annotations

import shutil

import pytest

from tests.bench.bump import KINDS, VARIANTS, Figure, measure, table

MISSING = [name for name in ("c-icap", "curl") if shutil.which(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_every_variant_gives_its_figures() -> None:
    figures = measure(0.3, 1)
    assert {(figure.variant, figure.kind) for figure in figures} == {(v, k) for v in VARIANTS for k in KINDS}
    assert [figure for figure in figures if figure.errors or figure.rate <= 0] == []


def test_the_table_gives_the_share_of_squid_alone() -> None:
    text = table([Figure(VARIANTS[0], "inside", 200.0, 0), Figure(VARIANTS[1], "inside", 150.0, 1)])
    assert "| inside | Squid + icapd | 150 | 0.75 | 1 |" in text
