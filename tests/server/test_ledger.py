"""A worker's memory that outlives it: lines whole, in order and numbered, counters, bounds."""

from __future__ import annotations

import json
import os
import signal
import time

from icapd.server import ledger as module
from icapd.server.ledger import CLOSED, REQUESTS, Ledger, LedgerLog, make_ledger


def test_lines_come_out_whole_and_in_order_round_and_round() -> None:
    ledger = make_ledger()
    full = []
    log = LedgerLog(Ledger(ledger.descriptor), lambda: full.append(1))
    sent = count = 0
    got: list[bytes] = []
    expected: list[bytes] = []
    while sent < 3 * module.RING:
        for number in range(1000):
            line = f'{{"number":"{number} {"x" * (number % 700)}"'
            log.append(line)
            count += 1
            expected.append(f'{line},"seq":{count}}}\n'.encode())
            sent += len(expected[-1])
        got.append(ledger.take())
        assert got[-1].endswith(b"\n")
    assert b"".join(got) == b"".join(expected)
    assert ledger.take() == b""
    assert (log.lost, full, ledger.untold) == (0, [], None)
    os.close(ledger.descriptor)


def test_half_full_calls_and_full_counts_what_is_lost_and_tells_it_first_when_there_is_room() -> None:
    ledger = make_ledger()
    full = []
    log = LedgerLog(ledger, lambda: full.append(1), lambda: 0.0)
    line = '{"a":"' + "x" * 970 + '"'
    while not full:
        log.append(line)
    half = ledger.words[0]
    assert module.RING // 2 < half < module.RING // 2 + 1000
    while not log.lost:
        log.append(line)
    for _ in range(9):
        log.append(line)
    assert log.lost == ledger.lost == 10
    before = ledger.take().splitlines()
    log.append(line)
    told, last = map(json.loads, ledger.take().splitlines())
    assert told == {
        "time": "1970-01-01T00:00:00.000Z",
        "event": "lost",
        "source": log.source,
        "count": 10,
        "before": last["seq"],
        "why": "the log was behind",
    }
    assert last["seq"] == json.loads(before[-1])["seq"] + 11
    log.append(line)
    assert ledger.take().count(b"\n") == 1
    os.close(ledger.descriptor)


def test_what_was_missed_is_told_by_the_clock_or_by_who_survives() -> None:
    for by_clock in (True, False):
        ledger = make_ledger()
        log = LedgerLog(ledger, lambda: None, lambda: 0.0)
        while not log.lost:
            log.append('{"a":"' + "x" * 970 + '"')
        last = json.loads(ledger.take().splitlines()[-1])["seq"]
        if by_clock:
            log.flush()
            assert json.loads(ledger.take())["count"] == 1
        else:
            assert ledger.untold == (log.source, "the log was behind", 1, last + 2)
        assert ledger.untold is None
        log.flush()
        assert ledger.take() == b""
        os.close(ledger.descriptor)


def test_what_tells_of_the_missing_may_go_round_the_end() -> None:
    for short in range(220):
        ledger = make_ledger()
        ledger.words[0] = ledger.words[1] = module.RING - short
        log = LedgerLog(ledger, lambda: None, lambda: 0.0)
        log._miss(1)
        log.flush()
        assert json.loads(ledger.take())["count"] == 1
        log.append('{"a":1')
        assert ledger.take() == b'{"a":1,"seq":1}\n'
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
                log.append(f'{{"n":"{number} {"y" * 300} {number}"')
        time.sleep(0.01 + 0.002 * life)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = ledger.take().decode().splitlines()
        assert found == [
            f'{{"n":"{number} {"y" * 300} {number}","seq":{number}}}' for number in range(1, len(found) + 1)
        ]
        os.close(ledger.descriptor)
