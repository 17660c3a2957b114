import gzip
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.budget import MIB, Bounds
from icapd.content.model import Shape
from icapd.content.walk import MAX_FINDINGS, MAX_THREAT
from tests.content.making import MARK, tarred, walk, zipped

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}
LAYERS = [
    ("gzip",),
    ("br",),
    ("zstd",),
    ("deflate",),
    ("gzip", "gzip"),
    ("gzip", "zstd", "br"),
    ("br", "identity", "x-gzip"),
]


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_are_undone_from_the_last(layers: tuple[str, ...]) -> None:
    data = MARK
    for name in layers:
        data = PACK.get(name.removeprefix("x-"), bytes)(data)
    found = walk(data, Shape(codings=layers))
    assert found.contents == [("", MARK)]
    assert found.kinds == set()


@pytest.mark.parametrize("name", ["x-lab", "dcb", "dcz", "compress", "gzip\x01"])
def test_unknown_codings_are_unscannable_and_the_body_is_still_there(name: str) -> None:
    found = walk(MARK, Shape(codings=(name,)))
    assert found.kinds == {"unscannable"}
    assert found.contents == [("", MARK)]


def test_too_many_layers_are_a_limit() -> None:
    data = MARK
    for _ in range(5):
        data = gzip.compress(data)
    assert walk(data, Shape(codings=("gzip",) * 5)).kinds == {"limit"}


def test_what_is_not_coded_as_declared_is_scanned_as_it_came() -> None:
    found = walk(MARK, Shape(codings=("gzip",)))
    assert found.kinds == {"unscannable"}
    assert found.holds(MARK)


def test_a_broken_coding_gives_both_readings() -> None:
    data = gzip.compress(MARK)[:-4]
    found = walk(data, Shape(codings=("gzip",)))
    assert [content for _, content in found.contents[:2]] == [MARK, data]
    assert found.kinds == {"unscannable"}


def test_of_a_slice_it_is_no_news_that_it_breaks_off() -> None:
    data = zipped(("a", MARK * 100))[:50]
    assert walk(data, Shape(range="bytes 0-49/300")).kinds == {"partial"}
    assert walk(data, Shape(length=300)).kinds == {"partial"}


def test_containers_in_containers() -> None:
    data = zipped(("b.tar.gz", gzip.compress(tarred(("c.zip", zipped(("d", MARK)))))))
    found = walk(data)
    assert ("b.tar.gz/b.tar/c.zip/d", MARK) in found.contents
    assert found.report.items[-1].depth == 4
    assert found.kinds == set()


@pytest.mark.parametrize("levels", [1, 3, 15])
def test_within_the_depth(levels: int) -> None:
    data = MARK
    for level in range(levels):
        data = zipped((f"{level}.zip", data))
    assert walk(data).holds(MARK)
    assert walk(data).kinds == set()


def test_past_the_depth_is_a_limit() -> None:
    data = MARK
    for level in range(40):
        data = zipped((f"{level}.zip", data))
    found = walk(data)
    assert found.kinds == {"limit"}
    assert len(found.contents) == 18


BOMBS = {
    "br": (brotli.compress(bytes(64 * MIB)), Shape(codings=("br",))),
    "gzip": (gzip.compress(bytes(64 * MIB)), Shape(codings=("gzip",))),
    "gzip twice": (gzip.compress(gzip.compress(bytes(64 * MIB))), Shape(codings=("gzip", "gzip"))),
    "zstd": (zstd.compress(bytes(64 * MIB)), Shape(codings=("zstd",))),
    "file": (gzip.compress(bytes(64 * MIB)), Shape()),
    "zip": (zipped(("a", bytes(64 * MIB)), ("b", MARK)), Shape()),
    "many": (zipped(*((str(n), bytes(4 * MIB) + b"%d" % n) for n in range(16))), Shape()),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_limits_and_little_comes_out(name: str) -> None:
    data, shape = BOMBS[name]
    found = walk(data, shape)
    assert found.kinds == {"limit"}
    assert sum(item.size for item in found.report.items) < 34 * MIB  # 250 times 64 KiB, and what is spared


def test_what_comes_before_a_bomb_is_scanned() -> None:
    found = walk(zipped(("a", MARK), ("b", bytes(64 * MIB))))
    assert found.kinds == {"limit"}
    assert found.holds(MARK)


@pytest.mark.parametrize(
    "bounds", [Bounds(members=5), Bounds(unpacked=300), Bounds(seconds=0.0), Bounds(ratio=2, spared=100)]
)
def test_each_bound_is_a_limit(bounds: Bounds) -> None:
    assert walk(zipped(*((str(n), b"%d" % n * 99) for n in range(20))), bounds=bounds).kinds == {"limit"}


def test_equal_content_is_there_once() -> None:
    found = walk(zipped(("a", MARK), ("b", MARK), ("c", MARK)))
    assert found.paths == ["", "a"]


def test_entities_are_never_expanded() -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    data = f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">{entities}]><svg>&l11;</svg>'.encode()
    found = walk(data, Shape(media=("image/svg+xml",)))
    assert len(found.contents) == 1
    assert "limit" not in found.kinds


def test_a_program_that_passes_as_a_picture_is_a_mismatch() -> None:
    program = b"\x7fELF\x01\x01\x01" + bytes(80)
    assert walk(program, Shape(media=("image/png",))).kinds == {"type_mismatch"}
    inside = walk(zipped(("photo.jpg", program)))
    assert [(str(f.kind), f.where) for f in inside.report.findings] == [("type_mismatch", "photo.jpg")]


def test_findings_are_few_and_printable() -> None:
    data = zipped(*((f"\x1b[31m{n}" + "n" * 500, b"\x7fELF\x01\x01\x01" + bytes(80)) for n in range(3)))
    found = walk(gzip.compress(data), Shape(codings=("\x00\u202e" + "x" * 500,)))
    assert 0 < len(found.report.findings) <= MAX_FINDINGS
    for finding in found.report.findings:
        assert (finding.threat + finding.where).isprintable()
        assert len(finding.threat) <= MAX_THREAT >= len(finding.where)


def test_several_streams_in_one_file_each_come_out() -> None:
    found = walk(gzip.compress(b"first") + gzip.compress(MARK), Shape(names=("a.txt.gz",)))
    assert found.holds(b"first" + MARK)
    assert found.holds(MARK)
    assert found.paths[1] == "a.txt"


def test_broken_files_of_one_stream() -> None:
    found = walk(gzip.compress(MARK)[:-3])
    assert found.holds(MARK)
    assert found.kinds == {"unscannable"}


NAMES = st.sampled_from(["a.br", "a.exe", "a.html", "a.lzma", "a.docx", ""])
MEDIA = st.sampled_from(["text/html", "multipart/mixed; boundary=b", "message/rfc822", "image/png", ';;/ "'])
CODED = st.lists(st.sampled_from(["gzip", "br", "deflate", "zstd", "identity", "x"]), max_size=3)
STARTS = st.sampled_from(
    [
        b"",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
        b"%PDF-1.4\n",
        b"{\\rtf1",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"BZh91AY&SY",
        b"\xfd7zXZ\0",
        b"<html>",
        b"--b\r\n",
        b"\x28\xb5\x2f\xfd",
    ]
)


@given(STARTS, st.binary(max_size=800), CODED, MEDIA, NAMES)
def test_nothing_makes_it_fail(start: bytes, data: bytes, coded: list[str], media: str, name: str) -> None:
    walk(start + data, Shape(codings=tuple(coded), media=(media,), names=(name,)))
