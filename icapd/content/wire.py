"""How the server and its children talk: frames over a Unix socket, descriptors beside them.

A frame is four bytes of length (big-endian) and JSON. An order is one frame and one descriptor, the
body's; an answer is one frame, then one byte and at most BATCH descriptors as often as needed.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from icapd.content.model import Item, Report, Shape
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 200  # descriptors in one message; Linux takes 253 (SCM_MAX_FD)
MAX_FRAME = 64 << 20  # bytes; 10,000 items with long names are a tenth
_LENGTH = struct.Struct(">I")
ROOT = -1  # in place of a descriptor's number: the body itself


def frame(value: object) -> bytes:
    """Return a value as one frame."""
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    return _LENGTH.pack(len(data)) + data


class Frames:
    """Puts frames together from the bytes that come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._data += data

    def take(self) -> Any | None:  # noqa: ANN401  (JSON)
        """Return the next frame's value, None if it is not whole. Raises ValueError for what is none."""
        if len(self._data) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._data)
        if size > MAX_FRAME:
            raise ValueError("a frame too long")
        if len(self._data) < _LENGTH.size + size:
            return None
        text = bytes(self._data[_LENGTH.size : _LENGTH.size + size])
        del self._data[: _LENGTH.size + size]
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("a frame nested too deeply") from None

    def skip(self, count: int) -> int:
        """Drop up to `count` bytes that are no frame; return how many there were."""
        there = min(count, len(self._data))
        del self._data[:there]
        return there


def order(shape: Shape, size: int) -> bytes:
    """Return the frame that asks for one body's inspection."""
    return frame({"shape": asdict(shape), "size": size})


def read_order(value: dict[str, Any]) -> tuple[Shape, int]:
    """Return what a frame orders."""
    given: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in value["shape"].items()
    }
    return Shape(**given), int(value["size"])


def answer(report: Report, body: int) -> tuple[bytes, list[int]]:
    """Return the frame of a report, and the descriptors that follow it; `body` is the body's own."""
    fds = [item.fd for item in report.items if item.fd != body]
    items = [
        [
            *(item.path, item.depth, item.size, ROOT if item.fd == body else 0),
            *(item.md5, item.sha256, list(item.file_types)),
        ]
        for item in report.items
    ]
    findings = [[finding.kind, finding.threat, finding.by, finding.where] for finding in report.findings]
    return frame({"items": items, "findings": findings, "sha256": report.sha256}), fds


def descriptors_of(value: dict[str, Any]) -> int:
    """Return how many descriptors follow an answer."""
    return sum(1 for item in value["items"] if item[3] != ROOT)


def read_answer(value: dict[str, Any], body: int, fds: Sequence[int]) -> Report:
    """Return the report; `body` is a descriptor of the body that the report may own, `fds` what came."""
    left = iter(fds)
    items = [
        Item(path, depth, size, body if place == ROOT else next(left), md5, sha256, tuple(types))
        for path, depth, size, place, md5, sha256, types in value["items"]
    ]
    findings = [Finding(Kind(kind), threat, by, where) for kind, threat, by, where in value["findings"]]
    return Report(tuple(items), tuple(findings), str(value["sha256"]))


def send_descriptors(link: socket.socket, fds: Sequence[int]) -> None:
    """Send what follows an answer; blocks until all is taken."""
    for at in range(0, len(fds), BATCH):
        socket.send_fds(link, [b"."], list(fds[at : at + BATCH]))
