"""Archives made by hand or by 7z, for more_content.py: rar, cab, zips that disagree with themselves."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

Member = tuple[str, bytes]
_WHEN = (2020, 1, 1, 0, 0, 0)


def zipped(*members: Member, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, _WHEN), data, method)
        archive.comment = comment
    return out.getvalue()


def nested(data: bytes, depth: int, name: str = "eicar.com") -> bytes:
    for i in range(depth):
        data, name = zipped((name, data)), f"level{i}.zip"
    return data


def streamed(*members: Member) -> bytes:
    """A zip whose sizes stand behind the data (a data descriptor each)."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            super().__init__()
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, _WHEN), data, zipfile.ZIP_DEFLATED)
    return bytes(pipe.data)


def zip64(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name, _WHEN)
        with archive.open(info, "w", force_zip64=True) as file:
            file.write(data)
    return out.getvalue()


def raw_zip(
    name: bytes, packed: bytes, plain: bytes, method: int, *, flags: int = 0, central_flags: int | None = None
) -> bytes:
    """A zip of one member compressed by somebody else."""
    fields = (zlib.crc32(plain), len(packed), len(plain), len(name))
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0x5021, *fields, 0) + name + packed
    listed = flags if central_flags is None else central_flags
    central = struct.pack("<4s6H3L", b"PK\1\2", 20, 20, listed, method, 0, 0x5021, *fields[:3])
    central += struct.pack("<5H2L", len(name), 0, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def zipcrypto(name: bytes, data: bytes, password: bytes) -> bytes:
    """A zip with the old encryption."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = zlib.crc32(bytes([byte]), keys[0] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = zlib.crc32(bytes([keys[1] >> 24]), keys[2] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    for byte in password:
        update(byte)
    out = bytearray()
    for byte in bytes(11) + bytes([zlib.crc32(data) >> 24]) + data:
        mask = (keys[2] | 2) & 0xFFFF
        out.append(byte ^ ((mask * (mask ^ 1)) >> 8) & 0xFF)
        update(byte)
    return raw_zip(name, bytes(out), data, 0, flags=1)


def tarred(*members: Member, form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def rar4(name: bytes, data: bytes, *, flags: int = 0, head_flags: int = 0) -> bytes:
    def block(kind: int, bits: int, rest: bytes, more: bytes = b"") -> bytes:
        body = struct.pack("<BHH", kind, bits, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body + more

    file = struct.pack("<IIBI", len(data), len(data), 3, zlib.crc32(data))
    file += struct.pack("<IBBHI", 0x50210000, 20, 0x30, len(name), 0o644) + name
    return (
        b"Rar!\x1a\x07\x00"
        + block(0x73, head_flags, bytes(6))
        + block(0x74, 0x8000 | flags, file, data)
        + block(0x7B, 0x4000, b"")
    )


def rar5(name: bytes, data: bytes, *, encrypted: bool = False, locked: bool = False) -> bytes:
    def number(value: int) -> bytes:
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    def block(body: bytes, more: bytes = b"") -> bytes:
        sized = number(len(body)) + body
        return struct.pack("<I", zlib.crc32(sized)) + sized + more

    out = b"Rar!\x1a\x07\x01\x00"
    if locked:  # an encryption header: all others are unreadable
        return out + block(bytes([4, 0, 0, 0, 15]) + bytes(16)) + bytes(range(200))
    extra = b""
    if encrypted:
        record = bytes([1, 0, 0, 15]) + bytes(16) + bytes(16)
        extra = number(len(record)) + record
    file = bytes([2, 3 if extra else 2]) + (number(len(extra)) if extra else b"") + number(len(data))
    file += bytes([4]) + number(len(data)) + number(0o644) + struct.pack("<I", zlib.crc32(data))
    file += bytes([0, 1]) + number(len(name)) + name + extra
    return out + block(bytes([1, 0, 0])) + block(file, data) + block(bytes([5, 0, 0]))


def cab(name: bytes, data: bytes, *, mszip: bool = False) -> bytes:
    packed = data
    if mszip:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = b"CK" + deflater.compress(data) + deflater.flush()
    file = struct.pack("<IIHHHH", len(data), 0, 0, 0x5021, 0, 0x20) + name + b"\0"
    start = 36 + 8 + len(file)
    block = struct.pack("<IHH", 0, len(packed), len(data)) + packed
    folder = struct.pack("<IHH", start, 1, int(mszip))
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, start + len(block), 0, 44, 0, 3, 1, 1, 1, 0, 7, 0)
    return head + folder + file + block


def by_7z(suffix: str, name: str, data: bytes, *options: str) -> bytes | None:
    """What 7z makes of one file; None without 7z, or where it cannot."""
    program = shutil.which("7z") or shutil.which("7zz")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="more-") as folder:
        Path(folder, name).write_bytes(data)
        done = subprocess.run(
            [program, "a", "-bd", "-y", *options, f"out.{suffix}", name],
            cwd=folder, capture_output=True, check=False,
        )  # fmt: skip
        made = Path(folder, f"out.{suffix}")
        return made.read_bytes() if done.returncode == 0 and made.exists() else None


def by_bsdtar(name: str, data: bytes, *options: str) -> bytes | None:
    """What bsdtar makes of one file; None without it."""
    program = shutil.which("bsdtar")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="more-") as folder:
        Path(folder, name).write_bytes(data)
        done = subprocess.run(
            [program, "-cf", "out", *options, name], cwd=folder, capture_output=True, check=False
        )
        return Path(folder, "out").read_bytes() if done.returncode == 0 else None
