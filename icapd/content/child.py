"""The child process: takes bodies one after the other, inspects each, answers. Only it may die of one.

Bounds: memory (RLIMIT_AS), the processor's time for each body (RLIMIT_CPU), size of files, open files, no
core; no network where the system lets it go. It ends with its parent: by the end of the socket, and by
the kernel (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from icapd.content import wire
from icapd.content.budget import Bounds
from icapd.content.store import Store
from icapd.content.walk import BY, Walk
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    from icapd.content.model import Report
    from icapd.content.store import Piece

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # of unshare
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt
_KEPT, _APART = 16 << 20, 4 << 20  # bytes of freed memory that stay ours; larger blocks never do
_CPU_SLACK = 2  # s past the bound on time: the walk should have ended by itself


def main(descriptor: int) -> int:
    """Serve on the socket of that descriptor until the parent is gone. The first frame tells the bounds."""
    link = socket.socket(fileno=descriptor)
    link.setblocking(True)
    frames = wire.Frames()
    settings, _ = _next(link, frames)
    if settings is None:
        return 0
    _confine(settings)
    bounds = Bounds(**settings["bounds"])
    gc.freeze()
    link.sendall(wire.frame({"ready": os.getpid()}))
    while True:
        value, fds = _next(link, frames)
        if value is None:
            return 0
        try:
            _serve(link, value, fds, bounds, Store(settings["directory"], md5=settings["md5"]))
        finally:
            for fd in fds:
                os.close(fd)


def _next(link: socket.socket, frames: wire.Frames) -> tuple[Any | None, list[int]]:
    """Wait for a frame; None at the end."""
    fds: list[int] = []
    while (value := frames.take()) is None:
        data, came, _, _ = socket.recv_fds(link, 1 << 16, 4)
        fds += came
        if not data:
            return None, fds
        frames.feed(data)
    return value, fds


def _serve(link: socket.socket, value: dict[str, Any], fds: list[int], bounds: Bounds, store: Store) -> None:
    shape, size = wire.read_order(value)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + bounds.seconds) + _CPU_SLACK
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
    try:
        body = store.piece_of(fds[0], size)
        if body.size != size:
            raise RuntimeError("another body came than was ordered")
        report = _inspected(Walk(bounds, store), shape, body)
        answer, handed = wire.answer(report, fds[0])
        link.sendall(answer)
        wire.send_descriptors(link, handed)
    finally:
        store.close()


def _inspected(walk: Walk, shape: Any, body: Piece) -> Report:  # noqa: ANN401
    try:
        return walk.run(shape, body)
    except MemoryError:
        reason = Finding(Kind.LIMIT, "memory", BY)
    except OSError as error:
        reason = Finding(Kind.UNSCANNABLE, f"no room to unpack ({error.strerror})", BY)
    return walk.report(reason)


def _leave_network(libc: ctypes.CDLL) -> None:
    """Go where there is no network, if the system allows it; the socket to the parent stays.

    Root goes without a change of user: its rights are what it writes files by.
    """
    libc.unshare(_NEW_NETWORK if os.geteuid() == 0 else _NEW_USER | _NEW_NETWORK)
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own files in /proc would be root's


def _confine(settings: dict[str, Any]) -> None:
    """Bound what this process can take, for good."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        _leave_network(libc)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)  # giving a megabyte back and taking it again costs as much
        libc.mallopt(_M_MMAP_THRESHOLD, _APART)  # as reading it: the kernel empties each page
    if os.getppid() != settings["parent"]:  # it went before we asked to be told
        sys.exit(0)
    unpacked = int(settings["bounds"]["unpacked"])
    for limit, value in (
        (resource.RLIMIT_AS, int(settings["memory"])),
        (resource.RLIMIT_FSIZE, unpacked + (1 << 20)),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, int(settings["bounds"]["members"]) + 256),
    ):
        hard = resource.getrlimit(limit)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, bound))
    with contextlib.suppress(OSError):
        os.nice(5)  # the server beside it goes first
