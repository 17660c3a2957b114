import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.archives import CLOSED, TYPES
from icapd.policy.filetypes import TYPES as KNOWN
from tests.content.making import MARK, tarred, walk


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(form: int) -> None:
    found = walk(tarred(("d/" + "long" * 20, MARK), ("b", b"x"), form=form))
    assert found.holds(MARK)
    assert found.holds(b"x")
    assert found.kinds == set()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_packed_tar(pack) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    found = walk(pack(tarred(("a", MARK))))
    assert found.holds(MARK)
    assert found.kinds == set()


def test_a_tar_cut_short_and_joined_tars() -> None:
    data = tarred(("a", MARK), ("b", b"x" * 5000))
    found = walk(data[:2500])
    assert found.holds(MARK)
    assert "unscannable" in found.kinds
    assert walk(tarred(("a", b"1")) + tarred(("b", MARK))).holds(MARK)


def packed(tmp_path: Path, command: list[str], name: str) -> bytes:
    (tmp_path / "a.txt").write_bytes(MARK)
    subprocess.run([*command, "a.txt"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    return (tmp_path / name).read_bytes()


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="needs bsdtar")
@pytest.mark.parametrize("form", ["iso9660", "cpio", "newc", "ar", "xar", "7zip"])
def test_what_libarchive_writes_comes_out(form: str, tmp_path: Path) -> None:
    found = walk(packed(tmp_path, ["bsdtar", "-cf", "out", "--format", form], "out"))
    assert found.holds(MARK)
    assert found.kinds == set()


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs 7z")
@pytest.mark.parametrize("options", [["-psecret"], ["-psecret", "-mhe=on"]])
def test_encrypted_7z(options: list[str], tmp_path: Path) -> None:
    found = walk(packed(tmp_path, ["7z", "a", *options, "out.7z"], "out.7z"))
    assert found.kinds == {"encrypted"}


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs 7z")
@pytest.mark.parametrize("before", [b"MZ" + b"\0" * 600, b"GIF89a..."])
def test_a_7z_behind_something(before: bytes, tmp_path: Path) -> None:
    assert walk(before + packed(tmp_path, ["7z", "a", "out.7z"], "out.7z")).holds(MARK)


def cab(content: bytes) -> bytes:
    """A cabinet of one stored file (MS-CAB 2)."""
    data = struct.pack("<LHH", 0, len(content), len(content)) + content
    file = struct.pack("<LLHHHH", len(content), 0, 0, 0, 0, 32) + b"a.txt\0"
    folder = struct.pack("<LHH", 36 + 8 + len(file), 1, 0)
    size = 36 + len(folder) + len(file) + len(data)
    return struct.pack("<4s5LBBHHHHH", b"MSCF", 0, size, 0, 44, 0, 3, 1, 1, 1, 0, 1, 0) + folder + file + data


def test_cab() -> None:
    assert walk(cab(MARK)).holds(MARK)
    assert walk(b"MZ" + b"\0" * 99 + cab(MARK)).holds(MARK)


def rar4(content: bytes, flags: int = 0) -> bytes:
    """A RAR 4 archive of one stored file."""
    import zlib

    def block(kind: int, flags: int, rest: bytes, data: bytes = b"") -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body + data

    entry = (
        struct.pack("<LLBLLBBHL", len(content), len(content), 3, zlib.crc32(content), 0, 29, 0x30, 5, 0x20)
        + b"a.txt"
    )
    return (
        b"Rar!\x1a\x07\0"
        + block(0x73, 0, bytes(6))
        + block(0x74, 0x8000 | flags, entry, content)
        + block(0x7B, 0x4000, b"")
    )


def test_rar() -> None:
    found = walk(rar4(MARK))
    assert found.holds(MARK)
    assert found.kinds == set()
    assert "encrypted" in walk(rar4(MARK, flags=4)).kinds


@pytest.mark.parametrize(
    "start", [b"7z\xbc\xaf\x27\x1c\0\4", b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\1\0", b"MSCF\0\0\0\0"]
)
def test_what_only_begins_like_an_archive_is_broken(start: bytes) -> None:
    assert walk(start + b"garbage" * 50).kinds == {"unscannable"}


def test_types_are_the_policy_s() -> None:
    assert set(KNOWN) >= CLOSED
    assert not TYPES - set(KNOWN)


STARTS = [
    b"7z\xbc\xaf\x27\x1c\0\4",
    b"Rar!\x1a\x07\0",
    b"MSCF\0\0\0\0",
    b"070701",
    b"!<arch>\n",
    tarred(("a", b"b"))[:512],
    rar4(b"x"),
    cab(b"x"),
]


@given(st.sampled_from(STARTS), st.binary(max_size=600))
def test_garbage_behind_a_signature_does_no_harm(start: bytes, rest: bytes) -> None:
    walk(start + rest)
