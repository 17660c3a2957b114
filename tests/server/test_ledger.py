"""A worker's memory that outlives it: lines whole and in order, counters, bounds."""

from __future__ import annotations

import os
import signal
import time

from icapd.server import ledger as module
from icapd.server.ledger import CLOSED, REQUESTS, Ledger, LedgerLog, make_ledger


def test_lines_come_out_whole_and_in_order_round_and_round() -> None:
    ledger = make_ledger()
    full = []
    log = LedgerLog(Ledger(ledger.descriptor), lambda: full.append(1))
    sent = 0
    got: list[bytes] = []
    expected: list[bytes] = []
    while sent < 3 * module.RING:
        for number in range(1000):
            line = f"{number} {'x' * (number % 700)}\n"
            log.append(line)
            expected.append(line.encode())
            sent += len(line)
        got.append(ledger.take())
        assert got[-1].endswith(b"\n")
    assert b"".join(got) == b"".join(expected)
    assert ledger.take() == b""
    assert (log.lost, full) == (0, [])
    os.close(ledger.descriptor)


def test_half_full_calls_and_full_counts_what_is_lost() -> None:
    ledger = make_ledger()
    full = []
    log = LedgerLog(ledger, lambda: full.append(1))
    line = "x" * 999 + "\n"
    room = module.RING // len(line)
    for _ in range(room // 2):
        log.append(line)
    assert not full
    for _ in range(10):
        log.append(line)
    assert full == [1]
    for _ in range(room):
        log.append(line)
    assert ledger.lost == log.lost == room // 2 + 10
    assert ledger.take() == line.encode() * room
    log.append(line)
    assert ledger.take() == line.encode()
    os.close(ledger.descriptor)


def test_counters_are_seen_from_the_other_side() -> None:
    ledger = make_ledger()
    other = Ledger(ledger.descriptor)
    other.words[CLOSED] += 3
    other.words[REQUESTS] = 1 << 40
    assert (ledger.closed, ledger.requests) == (3, 1 << 40)
    os.close(ledger.descriptor)


def test_who_is_killed_leaves_whole_lines_only() -> None:
    for life in range(8):
        ledger = make_ledger()
        child = os.fork()
        if not child:
            log, number = LedgerLog(Ledger(ledger.descriptor), lambda: None), 0
            while True:
                number += 1
                log.append(f"{number} {'y' * 300} {number}\n")
        time.sleep(0.01 + 0.002 * life)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = ledger.take().decode().splitlines()
        assert found == [f"{number} {'y' * 300} {number}" for number in range(1, len(found) + 1)]
        os.close(ledger.descriptor)
