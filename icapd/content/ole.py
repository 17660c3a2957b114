"""OLE compound files: old Office documents, encrypted new ones, bare VBA projects, MSI, Outlook messages.

Reading the file system inside is olefile's (the extra `office`); without it, and where the file is broken,
the names of its streams are still looked for. Sources: [MS-CFB], [MS-OVBA], [MS-XLS] 2.4.28, [MS-DOC] 2.5.2,
[MS-PPT] 2.3.2, [MS-OFFCRYPTO] 2.3.2, [MS-OXMSG], [MS-OLEDS] 2.3.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icapd.content import biff
from icapd.content.budget import LimitReached
from icapd.content.look import Look, found
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.content.budget import Budget

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BY_NAME = {
    "_vba_project": (Kind.MACRO, "VBA"),
    "_vba_project_cur": (Kind.MACRO, "VBA"),
    "encryptedpackage": (Kind.ENCRYPTED, "OOXML"),
    "encryptedsummary": (Kind.ENCRYPTED, "PPT"),
    "\tdrmcontent": (Kind.ENCRYPTED, "DRM"),
    "\x06dataspaces/dataspaceinfo": (Kind.ENCRYPTED, "DRM"),
    "equation native": (Kind.ACTIVE_CONTENT, "Equation"),
}
_TYPES = {
    "worddocument": "doc",
    "workbook": "xls",
    "book": "xls",
    "powerpoint document": "ppt",
    "__properties_version1.0": "msg",
}
_INSTALLERS = ("000C1084-0000-0000-C000-000000000046", "000C1086-0000-0000-C000-000000000046")
# Streams that are files of their own
_FILE = re.compile(
    rb"MZ|PK\x03\x04|\xd0\xcf\x11\xe0|%PDF-|\{\\rt|MSCF|7z\xbc\xaf|Rar!\x1a|\x7fELF|\x1f\x8b\x08|L\0\0\0\x01\x14"
)
_WHOLE = re.compile(r"contents|package|__substg1\.0_(?:3701|1013|1009|1000)")
_NATIVE = "\x01ole10native"
_FIELD = re.compile(rb"\x13[^\x14\x15]{0,40}?\bDDE(?:AUTO)?\b", re.IGNORECASE)
_WIDE_FIELD = re.compile(rb"\x13\0(?:[^\x14\x15]\0){0,40}?D\0D\0E\0", re.IGNORECASE)
_PPT_OBJECT = re.compile(rb"[\x00\x10]\0\x11\x10(.{4})", re.DOTALL)
_PPT_CIPHER = b"\xdf\xc4\xd1\xf3"
_MAX_ENTRIES = 20_000
_MAX_STREAM = 64 << 20


def look_ole(data: bytes, budget: Budget) -> Look:
    """Look inside an OLE file; one that cannot be read is told by its streams' names, or is UNSCANNABLE."""
    try:
        import olefile  # noqa: PLC0415  (optional)
    except ImportError:
        return _by_names(data, "OLE: reading it needs icapd[office]", required=False)
    try:
        file = olefile.OleFileIO(io.BytesIO(data))
        streams = [_Stream("/".join(path), path) for path in file.listdir(streams=True, storages=True)]
    except LimitReached:
        raise
    except Exception:  # noqa: BLE001  (whatever a broken file makes of the library)
        return _by_names(data, "OLE: broken", required=True)
    return _Inside(file, data, streams[:_MAX_ENTRIES], budget).look()


def _by_names(data: bytes, threat: str, *, required: bool) -> Look:
    """Tell what a file is by the names in its directory, wherever that stands."""
    looked: dict[Finding, None] = {}
    types: dict[str, None] = {}
    folded = data.lower()
    for name, (kind, what) in _BY_NAME.items():
        if name.rpartition("/")[2].encode("utf-16-le") + b"\0\0" in folded:
            looked[found(kind, what)] = None
    for name, kind_of in _TYPES.items():
        if name.encode("utf-16-le") + b"\0\0" in folded:
            types[kind_of] = None
    packed = _NATIVE.encode("utf-16-le") in folded
    if (required or packed or "msg" in types) and not looked:
        looked[found(Kind.UNSCANNABLE, threat)] = None
    return Look(tuple(looked), types=tuple(types))


@dataclass(frozen=True, slots=True)
class _Stream:
    name: str
    path: list[str]

    @property
    def last(self) -> str:
        return self.path[-1].lower() if self.path else ""


@dataclass(slots=True)
class _Inside:
    """One OLE file under inspection."""

    file: Any
    data: bytes
    streams: list[_Stream]
    budget: Budget
    findings: dict[Finding, None] = field(default_factory=dict)
    types: dict[str, None] = field(default_factory=dict)

    def look(self) -> Look:
        names = {stream.name.lower() for stream in self.streams}
        for stream in self.streams:
            self.budget.clock()
            for name in (stream.last, stream.name.lower()):
                if name in _BY_NAME:
                    self._add(*_BY_NAME[name])
            if stream.last in _TYPES and len(stream.path) == 1:
                self.types[_TYPES[stream.last]] = None
            self._content(stream)
        if any(name.endswith("vba/dir") for name in names):
            self._add(Kind.MACRO, "VBA")
        if str(getattr(self.file.root, "clsid", "")).upper() in _INSTALLERS:
            self.types["msi"] = None
        return Look(tuple(self.findings), self._parts(), tuple(self.types))

    def _add(self, kind: Kind, threat: str) -> None:
        self.findings[found(kind, threat)] = None

    def _content(self, stream: _Stream) -> None:
        """Look into the streams that hold a document's own content."""
        if stream.last in {"workbook", "book"}:
            for kind, threat in biff.look_records(self._read(stream), self.budget):
                self._add(kind, threat)
        elif stream.last == "worddocument":
            text = self._read(stream)
            if text[:1] in {b"\xec", b"\xdc", b"\xdb"} and len(text) > 11 and text[11] & 1:  # noqa: PLR2004
                self._add(Kind.ENCRYPTED, "DOC")
            if _FIELD.search(text) or _WIDE_FIELD.search(text):
                self._add(Kind.ACTIVE_CONTENT, "DDE")
        elif stream.last == "current user" and self._read(stream)[12:16] == _PPT_CIPHER:
            self._add(Kind.ENCRYPTED, "PPT")

    def _read(self, stream: _Stream) -> bytes:
        """Return a stream's content, as much of it as can be read."""
        try:
            if not self._size(stream) <= min(_MAX_STREAM, len(self.data)):
                return b""
            return bytes(self.file.openstream(stream.path).read())
        except LimitReached:
            raise
        except Exception:  # noqa: BLE001  (a broken chain: the others may be whole)
            return b""

    def _size(self, stream: _Stream) -> int:
        return int(self.file.get_size(stream.path)) if self.file.get_type(stream.path) == 2 else 0  # noqa: PLR2004

    def _start(self, stream: _Stream) -> bytes:
        """Return a stream's first bytes without reading a long one through."""
        size = self._size(stream)
        if size < self.file.minisectorcutoff:
            return self._read(stream)[:16] if size else b""
        entry = self.file.direntries[self.file._find(stream.path)]  # noqa: SLF001
        offset = (entry.isectStart + 1) * self.file.sectorsize
        return self.data[offset : offset + 16]

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        for stream in self.streams:
            self.budget.clock()
            try:
                start = self._start(stream)
            except Exception:  # noqa: BLE001, S112  (an entry that leads nowhere)
                continue
            if not start:
                continue
            if stream.last == _NATIVE:
                yield from native(self._read(stream))
            elif stream.last == "powerpoint document":
                yield from _ppt_objects(self._read(stream), self.budget)
            elif _FILE.match(start) is not None or _WHOLE.match(stream.last) is not None:
                yield self._name(stream), self._read(stream)

    def _name(self, stream: _Stream) -> str:
        """Return what a stream is called: an Outlook attachment has its file name beside it."""
        if stream.last.startswith("__substg1.0_3701"):
            for tag, coding in (
                ("3707001F", "utf-16-le"),
                ("3704001F", "utf-16-le"),
                ("3707001E", "latin-1"),
            ):
                name = self._read(_Stream("", [*stream.path[:-1], f"__substg1.0_{tag}"]))
                if name:
                    return name.decode(coding, "replace").rstrip("\0")
        return "/".join(part.encode("ascii", "replace").decode() for part in stream.path)


def native(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the file in an OLE package ([MS-OLEDS] 2.3.6, the Packager's own layout), as far as it is one."""
    size = int.from_bytes(data[:4], "little")
    inner = data[4 : 4 + size] if 0 < size <= len(data) - 4 else data
    label = re.compile(rb"\x02\0([^\0]{0,300})\0([^\0]{0,300})\0.{4}(.{4})", re.DOTALL).match(inner)
    if label is None:
        yield "object", inner
        return
    at = label.end() + int.from_bytes(label[3], "little")
    length = int.from_bytes(inner[at : at + 4], "little")
    name = label[1].decode("latin-1") or "object"
    yield name, inner[at + 4 : at + 4 + length] if length and at < len(inner) else inner[label.end() :]


def _ppt_objects(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    """Yield the OLE files in ExOleObjStg records; VBA is in one of them."""
    for match in _PPT_OBJECT.finditer(data):
        budget.clock()
        length = int.from_bytes(match[1], "little")
        body = data[match.end() : match.end() + length]
        if body.startswith(MAGIC):
            yield "object", body
        elif match[0][0] and body[4:5] == b"\x78":
            out = zlib.decompressobj()
            try:
                yield "object", out.decompress(body[4:], min(budget.room + 1, _MAX_STREAM))
            except zlib.error:
                continue
