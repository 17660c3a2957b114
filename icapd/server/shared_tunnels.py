"""Open tunnels in memory that workers share: a CONNECT comes to one of them, what is inside to another.

A table of fixed size: buckets of slots, found by a checksum of client address and port. Who writes holds a
lock on the bucket that the kernel takes back from the dead. Who reads takes none: a record carries a checksum
and is taken as absent if it does not fit. A slot is invisible (its tag is 0) while it is written, so that a
process killed at any moment leaves a whole record, or none.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from icapd.server.tunnels import Key, Ticket, Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUCKETS = 4096
_SLOTS = 16
_SLOT = 384  # bytes; the longest host, address and id take 340
_TAGS = 4 * _SLOTS
_BUCKET = _TAGS + _SLOTS * _SLOT
SIZE = _BUCKETS * _BUCKET  # bytes: 25 MB, of which the kernel gives those that were touched
_HEAD = struct.Struct("<IIBBHd")  # number of the write, checksum, ticket, worker, length of the text, opened
_STAMP = 8  # bytes of it that no two writes have in common
_STATE = 8  # where the ticket is in a slot
_TAG = struct.Struct("<I")
_MAX_TEXT = _SLOT - _HEAD.size
_MAX_KNOWN = 4096  # records that need not be read again while they are unchanged
_TICKETS = tuple(Ticket)


@final
@dataclass(slots=True)
class SharedTunnel(Tunnel):
    """A tunnel, where it lies, and the stamp by which it is known to be still the same."""

    at: int = 0
    stamp: bytes = b""


class SharedStore:
    """The table as one worker sees it; `worker` is its number, from 0."""

    def __init__(self, descriptor: int, worker: int) -> None:
        """Map the table of `descriptor` (of `make_table`), which stays open."""
        self._descriptor = descriptor
        self._worker = worker
        self._map = mmap.mmap(descriptor, SIZE)
        self._known: dict[Key, SharedTunnel] = {}
        self._writes = int.from_bytes(os.urandom(3), "little")

    def find(self, key: Key) -> Tunnel | None:
        """Return the tunnel of `key`."""
        known = self._known.get(key)
        if known is not None:
            at = known.at
            state = self._map[at + _STATE]
            if self._map[at : at + _STAMP] == known.stamp and state < len(_TICKETS):
                known.ticket = _TICKETS[state]
                return known
            del self._known[key]
        found = self._read(key)
        if found is not None:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found

    def put(self, key: Key, tunnel: Tunnel) -> None:
        """Keep a new tunnel, in place of one of the same key, or of the oldest of its bucket."""
        tag, bucket = _place(key)
        text = _text(key, tunnel)
        if len(text) > _MAX_TEXT:
            return  # no client address and host that Squid tells are as long
        with self._locked(bucket):
            slot = self._slot_for(key, tag, bucket)
            at, mark = _at(bucket, slot), bucket * _BUCKET + 4 * slot
            self._map[mark : mark + 4] = bytes(4)
            self._writes = (self._writes + 1) & 0xFFFFFFFF
            rest = _HEAD.pack(self._writes, 0, 0, self._worker, len(text), tunnel.opened)[10:] + text
            state = _TICKETS.index(tunnel.ticket)
            head = _HEAD.pack(self._writes, zlib.crc32(rest), state, self._worker, len(text), tunnel.opened)
            self._map[at : at + len(head) + len(text)] = head + text
            self._map[mark : mark + 4] = _TAG.pack(tag)

    def mark(self, key: Key, tunnel: Tunnel, becomes: Ticket) -> bool:
        """Change its ticket; False if it is gone, or its ticket is another meanwhile."""
        was, (_, bucket) = tunnel.ticket, _place(key)
        with self._locked(bucket):
            found = self._read(key)
            if found is None or found.id != tunnel.id or found.ticket is not was:
                return False
            self._map[found.at + _STATE] = _TICKETS.index(becomes)
        tunnel.ticket = becomes
        return True

    def waiting(self) -> list[tuple[Key, Tunnel]]:
        """Return the tunnels whose tickets this worker was to look after when it died, oldest first."""
        found: list[tuple[Key, Tunnel]] = []
        state = _TICKETS.index(Ticket.WAITING)
        for bucket in range(_BUCKETS):
            start = bucket * _BUCKET
            tags = self._map[start : start + _TAGS]
            if not any(tags):
                continue
            for slot in range(_SLOTS):
                at = _at(bucket, slot)
                if any(tags[4 * slot : 4 * slot + 4]) and self._map[at + _STATE] == state:
                    record = self._record(at)
                    if record is not None and self._map[at + _STATE + 1] == self._worker:
                        found.append(record)
        return sorted(found, key=lambda one: one[1].opened)

    def _slot_for(self, key: Key, tag: int, bucket: int) -> int:
        start = bucket * _BUCKET
        tags = struct.unpack_from(f"<{_SLOTS}I", self._map, start)
        oldest, least = 0, float("inf")
        empty = None
        for slot, each in enumerate(tags):
            if not each:
                empty = slot if empty is None else empty
                continue
            record = self._record(_at(bucket, slot))
            if record is None or (each == tag and record[0] == key):
                return slot
            if record[1].opened < least:
                oldest, least = slot, record[1].opened
        return oldest if empty is None else empty

    def _read(self, key: Key) -> SharedTunnel | None:
        tag, bucket = _place(key)
        wanted = _TAG.pack(tag)
        start = bucket * _BUCKET
        tags = self._map[start : start + _TAGS]
        place = tags.find(wanted)
        while place >= 0:
            if place % 4 == 0:
                record = self._record(_at(bucket, place // 4))
                if record is not None and record[0] == key:
                    return record[1]
            place = tags.find(wanted, place + 1)
        return None

    def _record(self, at: int) -> tuple[Key, SharedTunnel] | None:
        """Return what lies there, None if it is not whole."""
        slot = self._map[at : at + _SLOT]
        _, checksum, state, _, length, opened = _HEAD.unpack_from(slot)
        if state >= len(_TICKETS) or zlib.crc32(slot[10 : _HEAD.size + length]) != checksum:
            return None
        client, port, decision, host = slot[_HEAD.size : _HEAD.size + length].split(b"\n")
        tunnel = SharedTunnel(
            host.decode("latin-1"), decision.decode("ascii"), opened, _TICKETS[state], at, slot[:_STAMP]
        )
        return (client, port), tunnel

    @contextlib.contextmanager
    def _locked(self, bucket: int) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, bucket)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, bucket)


def make_table() -> int:
    """Return the descriptor of an empty table, in memory."""
    descriptor = os.memfd_create("icapd-tunnels", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SIZE)
    return descriptor


def _place(key: Key) -> tuple[int, int]:
    checksum = zlib.crc32(key[1], zlib.crc32(key[0]))
    return checksum | 1, (checksum >> 1) % _BUCKETS


def _at(bucket: int, slot: int) -> int:
    return bucket * _BUCKET + _TAGS + slot * _SLOT


def _text(key: Key, tunnel: Tunnel) -> bytes:
    return b"\n".join((*key, tunnel.id.encode("ascii"), tunnel.host.encode("latin-1", "replace")))
