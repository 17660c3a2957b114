"""Text of any Unicode as one."""

from __future__ import annotations

import pytest

from icapd.content.plaintext import plain

TEXT = "<html>\u00e4</html>"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8"])
def test_text_comes_as_utf_8(coding: str) -> None:
    assert plain(TEXT.encode(coding)) == TEXT.encode()


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"abc", b"a\0", bytes(10), b"\xff\xfe\x00\xd8"])
def test_anything_is_taken(data: bytes) -> None:
    assert isinstance(plain(data), bytes)
