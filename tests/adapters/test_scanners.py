# ruff: noqa: ARG001  (an adapter is given what it need not look at)
"""Scanning as one question: what adapters do wrong costs their verdict alone."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from icapd.adapters.scanners import Scan, Scanners
from icapd.content.model import Shape
from icapd.errors import AdapterError
from icapd.verdicts import Finding, Kind, Verdict
from tests.adapters.scanning import Bytes, Plain, loaded, policy_of, request, scanners
from tests.reactor import pause, run, together


async def clean(xaction: Any) -> Verdict:
    return Verdict()


async def found(xaction: Any) -> Verdict:
    return Verdict((Finding(Kind.MALWARE, "Bad\r\nX: y" + "z" * 300, "somebody else"),))


async def raises(xaction: Any) -> Verdict:
    raise ZeroDivisionError("oh\nno")


async def hangs(xaction: Any) -> Verdict:
    while True:
        try:
            await Deferred()
        except Exception:  # noqa: BLE001  (it does not even let itself be cancelled)
            continue


async def talks(xaction: Any) -> Any:
    return "clean"


async def lists(xaction: Any) -> Any:
    return Verdict(("virus",))  # type: ignore[arg-type]


async def blocks(xaction: Any) -> Any:
    return await xaction.in_thread(lambda: time.sleep(1))


def scan(one: Scanners, content: bytes = b"abc") -> Scan:
    return run(lambda: one.scan(request(), Shape(), Bytes(content)))


@pytest.mark.parametrize("wrong", [raises, hangs, talks, lists, blocks])
def test_a_misbehaving_adapter_costs_its_verdict_alone(tmp_path: Path, wrong: Any) -> None:
    bad = loaded("bad", wrong, timeout=0.1, on_error="open")
    said = scan(scanners(policy_of(tmp_path), bad, loaded("good", found)))
    assert [(one.by, one.on_error) for one in said.errors] == [("bad", "open")]
    assert said.errors[0].text.isprintable()
    assert [one.by for one in said.findings] == ["good"]
    assert said.findings[0].threat.isprintable()
    assert len(said.findings[0].threat) == 200


def test_adapters_are_asked_at_once(tmp_path: Path) -> None:
    under_way: list[str] = []
    both: Deferred[None] = Deferred()

    async def waits(xaction: Any) -> Verdict:
        under_way.append("one")
        if len(under_way) == 2:
            both.callback(None)
        while len(under_way) < 2:
            await pause(0.01)
        return Verdict()

    assert not scan(scanners(policy_of(tmp_path), loaded("a", waits), loaded("b", waits))).errors


def test_what_was_scanned_is_remembered_but_not_errors_and_not_under_another_tag(tmp_path: Path) -> None:
    good, plain = loaded("good", found), Plain()
    one = scanners(policy_of(tmp_path), good, inspector=plain)
    assert not scan(one).cached
    assert scan(one).cached
    before = one.tag
    good.adapter.tag = "2"
    assert one.tag != before
    assert not scan(one).cached
    assert plain.count == 2
    bad = scanners(policy_of(tmp_path), loaded("bad", raises), inspector=plain)
    scan(bad)
    assert not scan(bad).cached


def test_equal_bodies_at_once_are_scanned_once(tmp_path: Path) -> None:
    plain = Plain()

    async def slowly(xaction: Any) -> Verdict:
        await pause(0.05)
        return Verdict()

    one = scanners(policy_of(tmp_path), loaded("slow", slowly), inspector=plain)
    run(lambda: together(*(one.scan(request(), Shape(), Bytes(b"same")) for _ in range(5))))
    assert plain.count == 1


def test_descriptors_are_closed_when_the_last_thread_has_ended(tmp_path: Path) -> None:
    gate = threading.Event()
    given: list[int] = []

    async def waits(xaction: Any) -> Any:
        given.append(xaction.report.items[0].fd)
        return await xaction.in_thread(gate.wait)

    one = scanners(policy_of(tmp_path), loaded("slow", waits, timeout=0.1))

    async def whole() -> None:
        await one.scan(request(), Shape(), Bytes(b"x"))
        os.fstat(given[0])
        gate.set()
        await pause(0.1)

    run(whole)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(given[0])


def test_life(tmp_path: Path) -> None:
    good = loaded("good", clean)
    adapter: Any = good.adapter
    one = scanners(policy_of(tmp_path), good)

    async def slowly(xaction: Any) -> Verdict:
        await pause(0.1)
        adapter.life.append("ended")
        return Verdict()

    adapter.does = slowly

    async def whole() -> None:
        await one.start()
        scanning = Deferred.fromCoroutine(one.scan(request(), Shape(), Bytes(b"1")))
        await one.retire()
        assert not (await scanning).errors

    run(whole)
    assert adapter.life == ["start", "scan", "ended", "stop"]


def test_one_that_cannot_start_stops_the_others(tmp_path: Path) -> None:
    first, second = loaded("first", clean), loaded("second", clean)
    adapter: Any = second.adapter

    async def start() -> None:
        raise AdapterError("no rules")

    adapter.start = start
    with pytest.raises(AdapterError, match="second does not start: AdapterError: no rules"):
        run(scanners(policy_of(tmp_path), first, second).start)
    life: Any = first.adapter
    assert life.life == ["start", "stop"]


def test_facts_of_the_body(tmp_path: Path) -> None:
    facts = scan(scanners(policy_of(tmp_path)), b"abc").facts
    assert (facts.size, facts.file_types) == (3, ("txt",))
    assert facts.md5 == ("900150983cd24fb0d6963f7d28e17f72",)
    assert scanners(policy_of(tmp_path)).active is False
