"""The adapter `clamd` when clamd fails: whatever happens, each scan is answered, nothing is called clean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from twisted.internet.defer import Deferred

from icapd.adapters.clamd import Clamd
from tests.adapters.clam_use import ask, scanning, threats
from tests.adapters.false_clam import false_clam
from tests.adapters.messages import descriptors
from tests.clam import CLAMD, EICAR_NAME, clam_running, eicar, make_clam
from tests.reactor import pause, reactor, run, together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.verdicts import Verdict
    from tests.clam import Clam

needs_clamd = pytest.mark.skipif(CLAMD is None, reason="needs clamd")
FOUND = [("malware", EICAR_NAME, "")]
HEALED = 5.0  # s after clamd's return within which it is used again


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the adapter reports, without what it says of a working clamd."""
    told: list[str] = []
    monkeypatch.setattr(Clamd, "_report", lambda _self, what, _good: told.append(what.partition(" (")[0]))
    return told


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> object:
    run(lambda: pause(0))  # the reactor has some of its own
    before = descriptors()
    yield
    run(lambda: pause(0.05))
    assert descriptors() <= before


async def healed(adapter: Clamd) -> float:
    """Scan until that works; return the seconds it took, at most HEALED and some."""
    begun = reactor.seconds()
    while reactor.seconds() < begun + 2 * HEALED:
        if threats(await ask(adapter, eicar())) == FOUND:
            break
        await pause(0.1)
    return float(reactor.seconds() - begun)


def slow() -> bytes:
    """Make a body that keeps clamd busy for a while."""
    return b"PK\x03\x04" + os.urandom(24 << 20)


@needs_clamd
def test_killed_while_it_scans_then_started_again(tmp_path: Path, told: list[str]) -> None:
    async def story(clam: Clam) -> tuple[list[Verdict], Verdict, float]:
        async with scanning(clam.socket, transfer="stream", timeout="10") as adapter:
            body = slow()
            reactor.callLater(0.1, clam.kill)
            during = await together(*(ask(adapter, body + b"%d" % n) for n in range(4)))
            after = await ask(adapter, b"x")
            clam.start()
            return during, after, await healed(adapter)

    with clam_running(tmp_path / "d") as clam:
        during, after, seconds = run(lambda: story(clam), 60)
    assert all(verdict.error and not verdict.findings for verdict in during)
    assert after.error.startswith("clamd cannot be reached")
    assert seconds < HEALED
    assert told[-1] == "answers"


@needs_clamd
@pytest.mark.parametrize("transfer", ["auto", "stream"])
def test_stopped_then_continued(tmp_path: Path, told: list[str], transfer: str) -> None:
    async def story(clam: Clam) -> tuple[list[Verdict], list[Verdict], float]:
        async with scanning(clam.socket, transfer=transfer, timeout="1") as adapter:
            assert threats(await ask(adapter, eicar())) == FOUND
            clam.pause()
            first = await together(*(ask(adapter, b"%d" % n) for n in range(20)))
            while not adapter._breaker.is_open:
                await pause(0.05)
            second = await together(*(ask(adapter, b"%d" % n) for n in range(20)))
            clam.resume()
            return first, second, await healed(adapter)

    with clam_running(tmp_path / "d") as clam:
        first, second, seconds = run(lambda: story(clam), 60)
    assert all(verdict.error and not verdict.findings for verdict in first + second)
    hung, waited = "clamd gave no answer within 1 s", "clamd is busy: no turn came in time"
    assert {verdict.error for verdict in first} == {hung, waited}
    assert {verdict.error for verdict in second} == {"clamd gave no answer within 3 s"}
    assert seconds < HEALED
    assert told == ["clamd gave no answer within 3 s", "answers"]


@needs_clamd
def test_saturated(tmp_path: Path) -> None:
    async def story(clam: Clam) -> list[Verdict]:
        async with scanning(clam.socket) as adapter:  # more connections than it has threads
            bodies = [eicar() if n % 2 else b"%d" % n + os.urandom(1 << 20) for n in range(30)]
            return await together(*(ask(adapter, body) for body in bodies))

    with clam_running(tmp_path / "d", MaxThreads="2", MaxQueue="4") as clam:
        verdicts = run(lambda: story(clam), 60)
        assert clam.answers()
    assert {verdict.error for verdict in verdicts} == {""}
    assert [threats(verdict) for verdict in verdicts] == [FOUND if n % 2 else [] for n in range(30)]


@needs_clamd
def test_its_socket_appears_later(tmp_path: Path, told: list[str]) -> None:
    async def story(clam: Clam) -> tuple[str, Verdict, float, str]:
        async with scanning(clam.socket) as adapter:
            before, verdict = adapter.tag, await ask(adapter, eicar())
            clam.start()
            return before, verdict, await healed(adapter), adapter.tag

    clam = make_clam(tmp_path / "d")
    try:
        before, verdict, seconds, after = run(lambda: story(clam), 60)
    finally:
        clam.stop()
    assert before == ""
    assert not verdict.findings
    assert verdict.error.startswith("clamd cannot be reached: ")
    assert seconds < HEALED
    assert after.startswith("ClamAV ")
    assert len(told) == 2


@needs_clamd
def test_restarted_between_two_scans_nobody_notices(tmp_path: Path, told: list[str]) -> None:
    async def story(clam: Clam) -> list[Verdict]:
        async with scanning(clam.socket) as adapter:
            verdicts = [await ask(adapter, eicar())]
            clam.stop()
            clam.start()
            return [*verdicts, await ask(adapter, eicar())]

    with clam_running(tmp_path / "d") as clam:
        assert [threats(verdict) for verdict in run(lambda: story(clam), 60)] == [FOUND, FOUND]
    assert told == []


@needs_clamd
def test_reloads_under_load(tmp_path: Path) -> None:
    async def story(clam: Clam) -> list[Verdict]:
        async with scanning(clam.socket, check="0.1") as adapter:
            verdicts = []
            for version in range(2, 6):
                clam.publish(version)
                clam.ask("RELOAD")
                verdicts += await together(*(ask(adapter, eicar()) for _ in range(40)))
            return verdicts

    with clam_running(tmp_path / "d") as clam:
        assert all(threats(verdict) == FOUND for verdict in run(lambda: story(clam), 60))


@needs_clamd
def test_leaving_takes_its_place_from_nobody(tmp_path: Path) -> None:
    async def story(clam: Clam) -> list[Verdict]:
        async with scanning(clam.socket, transfer="stream", concurrency="2") as adapter:
            body = slow()
            left = [Deferred.fromCoroutine(ask(adapter, body + b"%d" % n)) for n in range(6)]
            for each in left:
                each.addErrback(lambda _: None)
            await pause(0.1)
            for each in left:
                each.cancel()
            return await together(*(ask(adapter, eicar()) for _ in range(6)))

    with clam_running(tmp_path / "d") as clam:
        assert [threats(verdict) for verdict in run(lambda: story(clam), 60)] == [FOUND] * 6


@needs_clamd
def test_descriptors_that_are_refused_are_streamed_instead(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "icapd.adapters.clam_session.socket.send_fds", lambda handle, data, _fds: handle.send(data[0])
    )

    async def story(clam: Clam) -> list[Verdict]:
        async with scanning(clam.socket, transfer="auto") as adapter:
            return [
                await ask(adapter, eicar()),
                await ask(adapter, eicar()),
                await ask(adapter, bytes(26 << 20)),
            ]

    with clam_running(tmp_path / "d") as clam:
        first, second, large = run(lambda: story(clam), 60)
    assert threats(first) == threats(second) == FOUND
    assert threats(large) == [("limit", "larger than max_stream", "")]
    assert told == ["takes no descriptors, so all is streamed to it"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: b"garbage\0", "clamd answered 'garbage'"),
        (lambda n: b"%d: what?\0" % n, "clamd answered 'what?'"),
        (lambda _: b"\xff" * (1 << 20) + b"\0", "clamd's answer does not end within 4096 bytes"),
        (lambda n: b"%d: stream: OK" % n, "clamd gave no answer within 0.5 s"),
        (lambda n: b"%d: stream: OK\0" % (n + 1), "clamd answered '"),
        (lambda _: b"", "clamd gave no answer within 0.5 s"),
        (lambda _: None, "clamd gave no answer: "),
    ],
)
def test_one_that_is_no_clamd(
    tmp_path: Path, told: list[str], answer: Callable[[int], bytes | None], error: str
) -> None:
    async def story(path: Path) -> list[Verdict]:
        async with scanning(path, transfer="stream", timeout="0.5", check="100") as adapter:
            return [await ask(adapter, b"%d" % n) for n in range(2)]

    with false_clam(tmp_path / "s", answer) as clam:
        verdicts = run(lambda: story(tmp_path / "s"))
    assert not any(verdict.findings for verdict in verdicts)
    assert all(verdict.error.startswith(error) for verdict in verdicts), verdicts
    assert clam.scans >= 2
    assert told == []


def test_one_that_hangs_up_is_asked_once_more(tmp_path: Path, told: list[str]) -> None:
    answers = [None, b"1: stream: OK\0"]

    async def story(path: Path) -> Verdict:
        async with scanning(path, transfer="stream", check="100") as adapter:
            return await ask(adapter, b"x")

    with false_clam(tmp_path / "s", lambda _: answers.pop(0)) as clam:
        verdict = run(lambda: story(tmp_path / "s"))
    assert (verdict.error, verdict.findings, clam.scans) == ("", (), 2)
    assert told == []


def test_the_breaker_spares_one_that_fails_and_the_next_who_ask(tmp_path: Path, told: list[str]) -> None:
    async def story(path: Path) -> list[Verdict]:
        async with scanning(path, transfer="stream", check="100") as adapter:
            return [await ask(adapter, b"%d" % n) for n in range(10)]

    with false_clam(tmp_path / "s", lambda _: b"garbage\0") as clam:
        verdicts = run(lambda: story(tmp_path / "s"))
    assert {verdict.error for verdict in verdicts} == {"clamd answered 'garbage'"}
    assert clam.scans == 3
    assert told == ["clamd answered 'garbage'"]
