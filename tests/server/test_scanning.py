"""Scanners start before they serve and stop after their last scan; a scan that fails is an error, not a verdict."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from icapd.content.model import Shape
from icapd.server.scanning import NO_SCANNERS, Scans
from tests.server.scanner import MALWARE, MARK, StandIn

if TYPE_CHECKING:
    from icapd.adaptation import Scanned
    from icapd.transaction import Transaction

_TX = cast("Transaction", None)


class Bytes:
    """A body."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self.key = self.sha256 = hashlib.sha256(content).hexdigest()
        self._content = content

    def read(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]

    def fileno(self) -> int:
        raise NotImplementedError


def scan(scans: Scans, content: bytes) -> list[Scanned]:
    found: list[Scanned] = []
    scans.scan(_TX, Shape(), Bytes(content)).addCallback(found.append)
    return found


def test_what_is_found_is_told() -> None:
    (found,) = scan(Scans(StandIn()), MARK)
    assert found.findings == (MALWARE,)
    assert found.facts is not None
    assert found.facts.size == len(MARK)


def test_the_scanners_stop_after_the_last_scan() -> None:
    scanner = StandIn(waits=True)
    scans = Scans(scanner)
    scans.start()
    first, second = scan(scans, b"a"), scan(scans, b"b")
    scans.retire()
    assert (scanner.started, scanner.stopped) == (1, 0)
    scanner.pending.pop().callback(None)
    assert (len(first) + len(second), scanner.stopped) == (1, 0)
    scanner.go_on()
    assert (len(first), len(second), scanner.stopped) == (1, 1, 1)


def test_scanners_that_are_idle_stop_at_once() -> None:
    scanner = StandIn()
    Scans(scanner).retire()
    assert scanner.stopped == 1


def test_what_began_before_a_reload_and_is_whole_after_it_is_scanned_by_the_successors() -> None:
    scanners = [StandIn(), StandIn(), StandIn()]
    first, second, third = map(Scans, scanners)
    first.retire(second)
    second.retire(third)
    (found,) = scan(first, MARK)
    assert found.findings == (MALWARE,)
    assert [one.bodies for one in scanners] == [[], [], [MARK]]
    assert [one.stopped for one in scanners] == [1, 1, 0]


def test_scanners_that_nothing_uses_are_not_started() -> None:
    scanner = StandIn()
    scans = Scans(scanner, used=False)
    scans.start()
    scans.retire()
    assert (scanner.started, scanner.stopped) == (0, 0)


class Broken(StandIn):
    """Raises what it never should."""

    async def scan(self, *_: object) -> Scanned:
        raise ZeroDivisionError


def test_a_bug_in_a_scanner_blocks() -> None:
    (found,) = scan(Scans(Broken()), MARK)
    assert found.findings == ()
    assert [error.on_error for error in found.errors] == ["closed"]


def test_where_there_are_no_scanners_nothing_is_found() -> None:
    assert not NO_SCANNERS.active
    assert NO_SCANNERS.heads(_TX) == ()
    (found,) = scan(Scans(NO_SCANNERS), MARK)
    assert found.findings == ()
