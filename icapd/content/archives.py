"""Archives other than zip: tar with Python's own library, the rest as far as libarchive reads them."""

from __future__ import annotations

import os
import re
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from icapd.content import rar
from icapd.content.codings import STEP, Broken, Sealed
from icapd.content.part import Flaw, Part
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget
    from icapd.content.store import Piece

# Our names of types, and libarchive's formats and filters that read them.
_FORMATS = {
    "7z": ("7zip", "none"),
    "rar": ("all", "none"),
    "iso": ("iso9660", "none"),
    "cab": ("cab", "none"),
    "cpio": ("cpio", "none"),
    "ar": ("ar", "none"),
    "deb": ("ar", "none"),
    "rpm": ("cpio", "all"),
    "lha": ("lha", "none"),
    "xar": ("xar", "none"),
    "compress": ("raw", "compress"),
    "lz4": ("raw", "lz4"),
    "lzip": ("raw", "lzip"),
}
TYPES = frozenset(_FORMATS) | {"tar"}
_SEALED = re.compile(r"encrypt|passphrase|password", re.IGNORECASE)
# What no library at hand unpacks: only a scanner that knows the format could see inside.
CLOSED = frozenset({"arj", "ace", "wim", "vhd"})


def unpack(kind: str, piece: Piece, budget: Budget) -> Iterator[Part | Flaw]:
    """Yield what an archive holds. `kind` is one of TYPES. Raises LimitReached."""
    if kind == "rar":
        with piece.mapped() as data:
            yield from rar.flaws(data, budget)
    yield from _tar(piece, budget) if kind == "tar" else _libarchive(kind, piece, budget)


class _Window:
    """A file of a descriptor that keeps an offset of its own."""

    def __init__(self, piece: Piece) -> None:
        self._fd, self._size, self._at = piece.fd, piece.size, 0

    def read(self, size: int = -1) -> bytes:
        data = os.pread(self._fd, self._size - self._at if size < 0 else size, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at


def _tar(piece: Piece, budget: Budget) -> Iterator[Part | Flaw]:
    try:
        with tarfile.open(fileobj=cast("BinaryIO", _Window(piece)), mode="r:", ignore_zeros=True) as archive:
            for member in archive:
                budget.member()
                archive.members.clear()  # type: ignore[attr-defined]  # else all headers stay in memory
                if member.size <= 0:
                    continue
                if member.isreg():
                    yield Part(member.name, _tar_content(archive, member), min(member.size, piece.size))
                else:  # a link or folder that brings content: readers differ on whether it has any
                    yield Part(member.name, _raw(piece, member), min(member.size, piece.size), guessed=True)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        yield Flaw(Kind.UNSCANNABLE, f"broken tar ({str(error)[:80]})")


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    if file is None:
        return
    try:
        while chunk := file.read(STEP):
            yield chunk
    except (tarfile.TarError, OSError, ValueError) as error:
        raise Broken(str(error)[:80] or "ends early") from None


def _raw(piece: Piece, member: tarfile.TarInfo) -> Iterator[bytes]:
    end = min(member.offset_data + member.size, piece.size)
    for at in range(member.offset_data, end, STEP):
        yield os.pread(piece.fd, min(STEP, end - at), at)


def _libarchive(kind: str, piece: Piece, budget: Budget) -> Iterator[Part | Flaw]:
    try:
        import libarchive  # noqa: PLC0415  (children only, and only when it comes up)
        from libarchive import ffi  # noqa: PLC0415
    except (ImportError, OSError, AttributeError):
        yield Flaw(Kind.UNSCANNABLE, f"{kind} (icapd[archive] is not installed)")
        return
    read, filtered = _FORMATS[kind]
    fd = os.open(f"/proc/self/fd/{piece.fd}", os.O_RDONLY | os.O_CLOEXEC)
    came = False
    try:
        with libarchive.fd_reader(fd, format_name=read, filter_name=filtered) as archive:
            for entry in archive:
                budget.member()
                came = True
                name = _name(entry)
                if ffi.libarchive.archive_entry_is_encrypted(entry._entry_p) > 0:  # noqa: SLF001
                    yield Flaw(Kind.ENCRYPTED, f"encrypted {kind}", name)
                    yield Part(name, _content(entry), piece.size, guessed=True)
                else:
                    yield Part(name, _content(entry), piece.size)
    except (libarchive.ArchiveError, UnicodeError, ValueError) as error:
        yield _flaw(kind, error, came=came)
    finally:
        os.close(fd)


def _flaw(kind: str, error: Exception, *, came: bool) -> Flaw:
    text = _text(error)
    if _SEALED.search(text):
        return Flaw(Kind.ENCRYPTED, f"encrypted {kind}")
    return Flaw(Kind.UNSCANNABLE, f"broken {kind} ({'then ' if came else ''}{text})")


def _name(entry: Any) -> str:  # noqa: ANN401  (libarchive has no types)
    try:
        return str(entry.pathname or "?")
    except (UnicodeError, ValueError):
        return "?"


def _content(entry: Any) -> Iterator[bytes]:  # noqa: ANN401
    from libarchive import ArchiveError  # noqa: PLC0415

    try:
        yield from entry.get_blocks(STEP)
    except ArchiveError as error:
        text = _text(error)
        raise (Sealed if _SEALED.search(text) else Broken)(text) from None


def _text(error: Exception) -> str:
    return str(getattr(error, "msg", error) or "cannot be read")[:80]
