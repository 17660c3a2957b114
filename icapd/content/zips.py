"""Zip archives, read as every program reads them: by their directory, and by the headers of members.

Programs differ, so whatever any of them would unpack comes out: members the directory leaves out, archives
without one, several archives in one file, an archive behind or inside something else. Where directory
and header disagree both are followed. Source: PKWARE APPNOTE 6.3.10; sections are named below.
"""

from __future__ import annotations

import bisect
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.content import codings, rare
from icapd.content.budget import LimitReached
from icapd.content.codings import Broken, one_stream
from icapd.content.literal import Literal
from icapd.content.part import Flaw, Part
from icapd.verdicts import Kind

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

    from icapd.content.budget import Budget

    Buffer = mmap.mmap | bytes

_LOCAL = b"PK\x03\x04"
MEMBER = Literal(_LOCAL)  # without one in it, nothing is a zip with anything inside
_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_STORED, _AES = 0, 99
_ENCRYPTED = 0x2041  # bits 0 (encrypted), 6 (strong), 13 (masked headers): §4.4.4
_LATER = 8  # bit 3: sizes come after the data
_UTF8 = 0x800
_MARKED = 2  # bit 1 with LZMA: the stream has an end mark
_UNKNOWN = 0xFFFFFFFF
_METHODS = {8: "deflate", 12: "bzip2", 14: "lzma", 20: "zstd", 93: "zstd", 95: "xz"}
_KNOWN = frozenset({*_METHODS, _STORED, _AES, 1, 6, 9, 10, 18, 19, 94, 96, 97, 98})
# Headers as far as they can be told from other bytes: by their method, a member's by its version as well.
_METHOD = b"[" + b"".join(b"\\x%02x" % one for one in sorted(_KNOWN)) + b"]\\0"
_LOCALS = re.compile(_LOCAL + rb"[\0-\x3f].{3}" + _METHOD, re.DOTALL)
_CENTRALS = re.compile(_CENTRAL + rb".{6}" + _METHOD, re.DOTALL)
_NEXT = re.compile(rb"PK(?:\x03\x04|\x01\x02|\x05\x06|\x07\x08)")
_FIRST = 500  # members that are unpacked of an archive that says it has too many
_NO_NAME = re.compile(r"\A\Z|[\0-\x1f]")


@dataclass(frozen=True, slots=True)
class Member:
    """What one header, of a member or in the directory, says of a member.

    `at` is where the member's header stands; `end` where the end record of its directory does.
    """

    at: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: str
    end: int = -1


def unzip(data: Buffer, budget: Budget) -> Iterator[Part | Flaw]:
    """Yield every member of every zip archive in `data`, and what is odd about them.

    Raises LimitReached.
    """
    listed = _directory(data, budget)
    yield from _overlaps(data, listed)
    by_place: dict[int, list[Member]] = {}
    for member in listed:
        by_place.setdefault(member.at, []).append(member)
    spans: dict[int, int] = {}
    too_many = sum(1 for member in listed if member.packed) > budget.bounds.members
    found = _LOCALS.search(data)
    while found is not None:
        budget.clock()
        at = found.start()
        local = _local(data, at)
        after = at + 4
        if local is not None:
            reader = _Reader(data, local, by_place.get(at, []), budget)
            yield from reader.parts()
            after = spans[at] = max(after, reader.after)
            if too_many and len(spans) >= _FIRST:
                raise LimitReached("members")
        found = _LOCALS.search(data, after)
    starts = list(spans)  # ascending
    for place in sorted(by_place.keys() - spans.keys()):  # inside others
        budget.clock()
        local = _local(data, place)
        if local is not None and not _is_nested(by_place[place], starts, spans):
            yield from _Reader(data, local, by_place[place], budget).parts()


def _is_nested(members: list[Member], starts: list[int], spans: dict[int, int]) -> bool:
    """Tell whether these lie with their directory in one member: another archive, stored, for later."""
    i = bisect.bisect_right(starts, members[0].at) - 1
    return i >= 0 and all(member.end < spans[starts[i]] for member in members)


def names(data: Buffer, budget: Budget) -> tuple[str, ...]:
    """Return the names in the directory, as listed."""
    return tuple(member.name for member in _directory(data, budget))


def _local(data: Buffer, at: int) -> Member | None:
    """Read the header of a member (§4.3.7), None where there is none."""
    if data[at : at + 4] != _LOCAL or at + 30 > len(data):
        return None
    fields: tuple[int, ...] = struct.unpack_from("<5H3L2H", data, at + 4)
    version, flags, method, _, _, crc, packed, size, named, extra = fields
    name = bytes(data[at + 30 : at + 30 + named])
    if method not in _KNOWN or version & 0xFF > 0x3F or len(name) < named:  # noqa: PLR2004
        return None
    if _UNKNOWN in {packed, size}:
        size, packed, _ = _zip64(_slice(data, at + 30 + named, extra), size, packed, 0)
    return Member(at, flags, method, crc, packed, size, _text(name, flags))


def _slice(data: Buffer, at: int, size: int) -> bytes:
    return bytes(data[at : at + size])


def _zip64(extra: bytes, size: int, packed: int, place: int) -> tuple[int, int, int]:
    """Return sizes and place, taken from the extra field 1 where they are too large for theirs (§4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = [
                int.from_bytes(extra[each : each + 8], "little")
                for each in range(at + 4, min(at + 4 + length, len(extra)) - 7, 8)
            ]
            given = iter(values)
            size, packed, place = (
                next(given, old) if old == _UNKNOWN else old for old in (size, packed, place)
            )
            break
        at += 4 + length
    return size, packed, place


def _directory(data: Buffer, budget: Budget) -> list[Member]:
    """Read every entry of every directory (§4.3.12); `at` counts from the start of `data`."""
    members: list[Member] = []
    ends = _ends(data)
    found = _CENTRALS.search(data)
    while found is not None:
        at = found.start()
        after = at + 4
        if at + 46 <= len(data):
            fields = struct.unpack_from("<6H3L5H2L", data, at + 4)
            flags, method, crc, packed, size, named, extra, comment = *fields[2:4], *fields[6:12]
            place = fields[15]
            name = _slice(data, at + 46, named)
            if method in _KNOWN and len(name) == named:
                more = _slice(data, at + 46 + named, extra)
                size, packed, place = _zip64(more, size, packed, place)
                i = bisect.bisect_right(ends, (at, 0))
                end, base = ends[i] if i < len(ends) else (len(data), 0)
                told = _text(name, flags)
                members.append(Member(place + base, flags, method, crc, packed, size, told, end))
                after = at + 46 + named + extra + comment
                if len(members) > 4 * budget.bounds.members:
                    break
        budget.clock()
        found = _CENTRALS.search(data, after)
    return members


def _ends(data: Buffer) -> list[tuple[int, int]]:
    """Return each end record's offset, and the offset in `data` of what its archive counts from (§4.3.16)."""
    found: list[tuple[int, int]] = []
    at = data.find(_END)
    while at >= 0 and len(found) < 1000:  # noqa: PLR2004
        if at + 22 <= len(data):
            size, start = struct.unpack_from("<2L", data, at + 12)
            stands = at
            if _UNKNOWN in {size, start}:
                stands = data.rfind(_END64, 0, at)
                if stands < 0 or stands + 56 > len(data):
                    stands, size, start = at, 0, at
                else:
                    size, start = struct.unpack_from("<2Q", data, stands + 40)
            base = stands - size - start
            found.append((at, base if 0 < base < len(data) else 0))
        at = data.find(_END, at + 4)
    return found


def _overlaps(data: Buffer, members: list[Member]) -> Iterator[Flaw]:
    """Tell of entries that share bytes: how a small archive becomes a very large one."""
    directory, after = -1, -1
    for member in sorted(members, key=lambda one: (one.end, one.at)):
        if member.end != directory:
            directory, after = member.end, -1
        if member.at < after and _local(data, member.at) is not None:
            yield Flaw(Kind.LIMIT, "overlapping members", member.name)
            return
        after = max(after, member.at + 30 + min(member.packed, len(data)))


def _text(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & _UTF8 or name.isascii() else "cp437")
    except UnicodeDecodeError:
        return name.decode("cp437")


class _Reader:
    """One member: every reading of its headers that gives something else. `after` is where it ends."""

    def __init__(self, data: Buffer, local: Member, listed: list[Member], budget: Budget) -> None:
        self._data = data
        self._local = local
        self._listed = listed
        self._budget = budget
        # What no directory lists and no name tells of: machine code that looks for archives has such bytes
        self._by_chance = not listed and _NO_NAME.search(local.name) is not None
        named, extra = struct.unpack_from("<2H", data, local.at + 26)
        self._start: int = local.at + 30 + named + extra
        self.after = self._start

    def parts(self) -> Iterator[Part | Flaw]:
        """Yield the content."""
        tried: set[tuple[int, int]] = set()
        for member in () if self._by_chance else (*self._listed, self._local):
            if member.flags & _ENCRYPTED or member.method == _AES:
                yield Flaw(Kind.ENCRYPTED, "encrypted zip", member.name)
        hidden = any(one.flags & _ENCRYPTED or one.method == _AES for one in (*self._listed, self._local))
        for member in (*self._listed[:4], self._local):
            method = member.method
            key = (method, self._packed(member) if method == _STORED else 0)
            if method == _AES or key in tried:
                if method == _AES:
                    self.after = max(self.after, self._start + member.packed)
                continue
            tried.add(key)
            if member.name.endswith("/") and not member.packed and not member.size:
                continue
            self._budget.member()
            if method != _STORED and method not in _METHODS and not rare.can_undo(method):
                if not self._by_chance:
                    yield Flaw(Kind.UNSCANNABLE, f"zip method {method}", member.name)
                self.after = max(self.after, min(self._start + self._packed(member), len(self._data)))
                continue
            # Broken is how it looks to a reader that is wrong
            again = len(tried) > 1 or hidden or self._by_chance
            yield Part(self._named(member), self._content(member), self._source(member), guessed=again)

    def _named(self, member: Member) -> str:
        return member.name or "?"

    def _source(self, member: Member) -> int:
        left = len(self._data) - self._start
        return min(max(one.packed for one in (member, *self._listed)), left) or left

    def _packed(self, member: Member) -> int:
        """Return the size of a stored member: what is said, or up to what comes next."""
        left = len(self._data) - self._start
        if member.packed or not member.flags & _LATER:
            return min(member.packed, left)
        at = self._start
        while True:
            found = self._data.find(b"PK", at)
            if found < 0:
                return left
            if _NEXT.match(_slice(self._data, found, 4)):
                return found - self._start
            at = found + 2

    def _content(self, member: Member) -> Iterator[bytes]:
        if member.method == _STORED:
            yield from self._stored(member)
            return
        if member.method not in _METHODS:
            yield from self._rare(member)
            return
        crc = 0
        make, start = self._decoder(member)
        end = self._start
        for out in one_stream(make, self._data, start, self._start):
            if isinstance(out, int):
                end = out
            else:
                crc = zlib.crc32(out, crc)
                yield out
        self.after = max(self.after, end)
        self._check(member, crc)

    def _decoder(self, member: Member) -> tuple[Callable[[], codings.Decoder], int]:
        name = _METHODS[member.method]
        if name == "deflate":
            return codings.DEFLATE, self._start
        if name == "lzma":  # §5.8.8: version, size of properties, properties
            size = 0 if member.flags & _MARKED else member.size
            return codings.raw_lzma(_slice(self._data, self._start + 4, 5), size), self._start + 9
        return codings.DECODERS[name], self._start

    def _rare(self, member: Member) -> Iterator[bytes]:
        size = self._packed(member)
        packed = _slice(self._data, self._start, size)
        self.after = max(self.after, self._start + size)
        crc = 0
        for out in rare.undo(member.method, packed, member.size, member.crc):
            crc = zlib.crc32(out, crc)
            yield out
        self._check(member, crc)

    def _stored(self, member: Member) -> Iterator[bytes]:
        size = self._packed(member)
        crc = 0
        for at in range(self._start, self._start + size, codings.STEP):
            piece = _slice(self._data, at, min(codings.STEP, self._start + size - at))
            crc = zlib.crc32(piece, crc)
            yield piece
        self.after = max(self.after, self._start + size)
        if size < member.packed:
            raise Broken("ends early")
        self._check(member, crc)

    def _check(self, member: Member, crc: int) -> None:
        said = {one.crc for one in (*self._listed, self._local) if one.crc}
        if said and crc not in said:
            raise Broken("wrong check sum")
        if not said and not member.flags & _LATER and crc:
            raise Broken("wrong check sum")
