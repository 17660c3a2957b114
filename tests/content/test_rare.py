"""Zip's rare methods, of 7z's making: all of it comes out, and what is broken is told."""

import random
import shutil
import zlib

import pytest

from icapd.content.codings import Broken
from icapd.content.rare import DEFLATE64, PPMD, can_undo, undo
from tests.cases.more_archives import by_7z
from tests.content.making import walk

needs_7z = pytest.mark.skipif(shutil.which("7z") is None, reason="7z is not installed")
TEXT = b"".join(b"line %d, and more of the same\n" % i for i in range(9000)) + random.Random(1).randbytes(500)
METHODS = [("Deflate64", DEFLATE64), ("PPMd", PPMD)]


def packed(name: str) -> bytes:
    data = by_7z("zip", "a.txt", TEXT, f"-mm={name}")
    assert data is not None
    start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    return data[start : start + int.from_bytes(data[18:22], "little")]


@needs_7z
@pytest.mark.parametrize(("name", "method"), METHODS)
def test_all_comes_out(name: str, method: int) -> None:
    assert can_undo(method)
    assert b"".join(undo(method, packed(name), len(TEXT), zlib.crc32(TEXT))) == TEXT
    data = by_7z("zip", "a.txt", TEXT, f"-mm={name}")
    assert data is not None
    found = walk(data + data)
    assert found.kinds == set()
    assert found.holds(TEXT)


@needs_7z
def test_what_breaks_off_is_told_and_comes_out_to_there() -> None:
    chunks = undo(DEFLATE64, packed("Deflate64")[:-2000], len(TEXT), zlib.crc32(TEXT))
    assert TEXT.startswith(next(chunks))
    with pytest.raises(Broken):
        list(chunks)
    data = by_7z("zip", "a.txt", TEXT, "-mm=PPMd")
    assert data is not None
    assert "unscannable" in walk(data[:900] + bytes(400) + data[1300:]).kinds


@needs_7z
def test_without_the_library_it_is_unscannable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icapd.content.rare.find_spec", lambda _: None)
    data = by_7z("zip", "a.txt", TEXT, "-mm=Deflate64")
    assert data is not None
    assert walk(data).threats == ["zip method 9"]


def test_other_methods_are_not_known() -> None:
    assert not can_undo(1)
