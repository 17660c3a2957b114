import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.budget import Bounds, Budget, LimitReached
from icapd.content.codings import Broken
from icapd.content.part import Flaw
from icapd.content.zips import names, unzip
from tests.content.making import MARK, Found, walk, zipped


def content(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    for part in unzip(data, Budget(Bounds(), len(data))):
        if not isinstance(part, Flaw):
            try:
                found.append((part.name, b"".join(part.chunks)))
            except Broken:
                assert part.guessed
    return found


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_unpacks_every_method(method: int) -> None:
    members = [("a.txt", MARK), ("ä/b.bin", bytes(range(256)) * 300), ("empty", b"")]
    assert content(zipped(*members, method=method)) == members


def local(
    name: bytes, data: bytes, *, method: int = 8, flags: int = 0, crc: int | None = None, later: bool = False
) -> bytes:
    packed = zlib.compress(data, wbits=-15) if method in {8, 93} else data
    crc = zlib.crc32(data) if crc is None else crc
    sizes = (0, 0, 0) if later else (crc, len(packed), len(data))
    head = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, flags | (8 if later else 0), method, 0, 0, *sizes, len(name), 0
    )
    tail = struct.pack("<4s3L", b"PK\x07\x08", crc, len(packed), len(data)) if later else b""
    return head + name + packed + tail


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("method", [0, 8])
def test_members_without_a_directory(method: int, later: bool) -> None:
    data = local(b"a", MARK, method=method, later=later) + local(b"b", b"two", method=method, later=later)
    assert content(data) == [("a", MARK), ("b", b"two")]


@pytest.mark.parametrize("before", [b"", b"MZ" + b"\0" * 500, b"GIF89a" + b"x" * 33])
@pytest.mark.parametrize("after", [b"", b"garbage" * 300])
def test_a_zip_behind_and_before_something(before: bytes, after: bytes) -> None:
    assert content(before + zipped(("a", MARK)) + after) == [("a", MARK)]


def test_members_that_the_directory_hides() -> None:
    whole = zipped(("ok.txt", b"ok"))
    assert content(local(b"evil", MARK) + whole) == [("evil", MARK), ("ok.txt", b"ok")]


def test_joined_zips_all_come_out_and_do_not_overlap() -> None:
    found = walk(zipped(("a", b"1")) + zipped(("b", MARK)))
    assert found.holds(b"1")
    assert found.holds(MARK)
    assert found.kinds == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_zip_in_a_zip_is_unpacked_once_and_does_not_overlap(method: int) -> None:
    inner = zipped(("a", MARK), ("b", b"x"), method=zipfile.ZIP_STORED)
    data = zipped(("1.zip", inner), ("2.txt", b"2"), method=method)
    assert content(data) == [("1.zip", inner), ("2.txt", b"2")]
    found = walk(data)
    assert found.kinds == set()
    assert "1.zip/a" in found.paths


def test_entries_that_share_a_member_are_told() -> None:
    data = zipped(("a", MARK), ("b", b"x"))
    second = data.rindex(b"PK\x01\x02")
    shared = bytearray(data)
    shared[second + 42 : second + 46] = bytes(4)
    found = walk(bytes(shared))
    assert "overlapping members" in found.threats
    assert found.holds(MARK)
    assert found.holds(b"x")


def flagged(data: bytes, *, header: int | None = None, directory: int | None = None) -> bytes:
    out = bytearray(data)
    if header is not None:
        at = data.index(b"PK\x03\x04")
        out[at + 6 : at + 8] = header.to_bytes(2, "little")
    if directory is not None:
        at = data.index(b"PK\x01\x02")
        out[at + 8 : at + 10] = directory.to_bytes(2, "little")
    return bytes(out)


@pytest.mark.parametrize(
    "where", [{"header": 1}, {"directory": 1}, {"header": 1, "directory": 1}, {"directory": 0x41}]
)
def test_a_flag_in_either_place_is_encryption_and_what_unpacks_is_scanned(where: dict[str, int]) -> None:
    found = walk(flagged(zipped(("a", MARK)), **where))
    assert found.kinds == {"encrypted"}
    assert found.holds(MARK)


def test_what_is_really_encrypted_gives_no_garbage() -> None:
    data = bytearray(flagged(zipped(("a", MARK)), header=1, directory=1))
    data[31:60] = bytes(29)
    found = walk(bytes(data))
    assert found.kinds == {"encrypted"}
    assert found.paths == [""]


def test_a_wrong_check_sum_and_a_cut_member_are_findings_with_content() -> None:
    found = walk(local(b"a", MARK, crc=1))
    assert found.kinds == {"unscannable"}
    assert found.holds(MARK)
    found = walk(local(b"a", MARK * 1000, method=0)[:1000])
    assert found.kinds == {"unscannable"}
    assert any(content and MARK.startswith(content[: len(MARK)]) for _, content in found.contents[1:])


def test_a_method_nobody_knows_is_unscannable() -> None:
    found = walk(local(b"a", MARK, method=97))
    assert found.threats == ["zip method 97"]


def test_zip64_sizes_are_read_from_the_extra_field() -> None:
    extra = struct.pack("<2H2Q", 1, 16, len(MARK), len(MARK))
    head = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 45, 0, 0, 0, 0, zlib.crc32(MARK), 2**32 - 1, 2**32 - 1, 1, len(extra)
    )
    assert content(head + b"a" + extra + MARK + local(b"b", b"x")) == [("a", MARK), ("b", b"x")]


def test_directory_and_header_that_disagree_are_both_followed() -> None:
    data = bytearray(zipped(("a", b"deflated" * 9)))
    at = data.index(b"PK\x01\x02")
    data[at + 10 : at + 12] = b"\0\0"  # stored, says the directory
    found: Found = walk(bytes(data))
    assert found.holds(b"deflated" * 9)


def test_names_are_the_directory_s() -> None:
    assert names(zipped(("a", b"1"), ("b/c", b"2")), Budget(Bounds(), 1)) == ("a", "b/c")


def test_too_many_members_end_it() -> None:
    data = zipped(*((str(n), b"x") for n in range(20)))
    with pytest.raises(LimitReached, match="members"):
        list(unzip(data, Budget(Bounds(members=10), len(data))))


ARCHIVE = zipped(("a.txt", MARK * 10), ("b.bin", b"stored"), method=zipfile.ZIP_DEFLATED)


@given(
    st.lists(st.tuples(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 60)
)
def test_a_mangled_archive_does_no_harm(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(ARCHIVE)
    for at, value in changes:
        data[at] = value
    walk(bytes(data[: len(data) - cut]))


@given(
    st.lists(
        st.sampled_from(
            [
                b"PK\x03\x04",
                b"PK\x01\x02",
                b"PK\x05\x06",
                b"PK\x06\x06",
                b"\0" * 22,
                b"\xff" * 9,
                b"\x14\0\0\0\x08\0",
            ]
        ),
        max_size=40,
    )
)
def test_heaps_of_headers_do_no_harm(pieces: list[bytes]) -> None:
    walk(b"".join(pieces))


def test_an_archive_of_too_many_members_is_not_unpacked_to_the_bound() -> None:
    many = zipped(*((f"{i}", b"%d" % i) for i in range(2000)))
    found = walk(many, bounds=Bounds(members=1000))
    assert found.kinds == {"limit"}
    assert 100 < len(found.contents) < 600


def test_bytes_of_a_program_that_look_like_a_header_are_not_told_of() -> None:
    chance = b"PK\x03\x04\x14\0\x09\0\x08\0" + bytes(16) + b"\x20\0\0\0" + b"\x0f\x84\x83\xc4" * 8
    assert walk(b"MZ" + bytes(100) + chance + bytes(1000)).kinds == set()
    assert walk(zipped(("a.txt", b"text")) + chance + bytes(1000)).kinds == set()
