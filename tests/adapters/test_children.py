import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from icapd.adapters import children as module
from icapd.adapters.children import Children
from icapd.content import walk as walking
from icapd.content.model import Shape
from icapd.options import ContentSettings
from tests.content.making import MARK, Found, body_of, read, walk, zipped
from tests.reactor import pause, run, together

ZIP = zipped(("a", MARK), ("b.zip", zipped(("c", b"x"))))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def with_children(call: Callable[[Children], Awaitable[Any]], **options: Any) -> None:
    """Run `call` with a pool that is started, and see that nothing stays of it."""

    async def whole() -> None:
        pool = Children(ContentSettings(**({"children": 1, "seconds": 5} | options)))
        await pool.start()
        pids = pool.pids
        try:
            await call(pool)
        finally:
            pids += pool.pids
            await pool.stop()
        assert pool.pids == ()
        assert not any(map(alive, pids))

    run(lambda: together(whole()))  # the reactor's own descriptors, once
    before = descriptors()
    run(whole)
    assert descriptors() == before


async def ask(pool: Children, data: bytes, shape: Shape = Shape()) -> Found:  # noqa: B008
    with body_of(data) as body:
        report = await pool.inspect(shape, body)
    found = read(report)
    report.close()
    return found


async def idle(pool: Children) -> int:
    """Wait until a process answers; return it."""
    await ask(pool, zipped(("warm", b"x")))
    return pool.pids[0]


def test_a_report_is_that_of_the_walk() -> None:
    async def call(pool: Children) -> None:
        for data in (ZIP, b"", b"<html>", MARK, zipped(*((str(n), b"%d" % n) for n in range(3000)))):
            assert (await ask(pool, data)).plain == walk(data).plain

    with_children(call)


def test_many_at_once_each_get_their_own() -> None:
    async def call(pool: Children) -> None:
        bodies = [zipped((str(n), b"%d" % n * 50)) for n in range(40)]
        founds = await together(*(ask(pool, data) for data in bodies))
        assert [found.plain for found in founds] == [walk(data).plain for data in bodies]

    with_children(call, children=2)


def test_too_large_is_said_without_looking() -> None:
    async def call(pool: Children) -> None:
        found = await ask(pool, b"x" * 101)
        assert found.kinds == {"too_large"}
        assert found.contents == []

    with_children(call, max_body=100)


def test_a_child_killed_while_idle_is_replaced() -> None:
    async def call(pool: Children) -> None:
        for _ in range(3):
            pid = await idle(pool)
            os.kill(pid, signal.SIGKILL)
            while pool.pids in {(pid,), ()}:
                await pause(0.01)
            assert (await ask(pool, ZIP)).plain == walk(ZIP).plain

    with_children(call)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_body_under_way_when_its_child_dies_is_unscannable_and_not_tried_a_third_time(number: int) -> None:
    async def call(pool: Children) -> None:
        for _ in range(2):
            pid = await idle(pool)
            os.kill(pid, signal.SIGSTOP)  # so that it has the body when it dies
            with body_of(ZIP) as body:
                asked = together(pool.inspect(Shape(), body))
                pool._reactor.callLater(0.05, os.kill, pid, number)
                pool._reactor.callLater(
                    0.06, os.kill, pid, signal.SIGCONT
                ) if number != signal.SIGKILL else None
                (report,) = await asked
            found = read(report)
            report.close()
            assert found.contents == [("", ZIP)]
            assert found.kinds == {"unscannable"}
        pid = await idle(pool)
        found = await ask(pool, ZIP)
        assert found.kinds == {"unscannable"}
        assert found.threats == ["ended its inspection before"]
        assert pool.pids == (pid,)

    with_children(call)


def test_a_child_that_stands_still_is_killed_in_time() -> None:
    async def call(pool: Children) -> None:
        pid = await idle(pool)
        os.kill(pid, signal.SIGSTOP)
        found = await ask(pool, ZIP)
        assert (found.kinds, found.threats) == ({"limit"}, ["time"])
        assert found.contents == [("", ZIP)]
        assert await idle(pool) != pid

    with_children(call, seconds=3.0)


def test_who_waits_too_long_hears_that_nobody_was_free() -> None:
    async def call(pool: Children) -> None:
        os.kill(await idle(pool), signal.SIGSTOP)
        founds = await together(*(ask(pool, ZIP + bytes([n])) for n in range(4)))
        assert sorted(found.threats[0] for found in founds)[:1] == ["no process was free to inspect it"]
        assert {"unscannable", "limit"} >= set().union(*(found.kinds for found in founds))

    with_children(call, seconds=0.3, waiting=1)


def test_reports_that_hold_too_many_descriptors_let_no_other_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(pool: Children) -> None:
        monkeypatch.setattr(pool, "_most", 4)
        with body_of(zipped(*((str(n), b"%d" % n) for n in range(9)))) as body:
            report = await pool.inspect(Shape(), body)
        assert len(report.items) == 10
        assert (await ask(pool, ZIP)).threats == ["no process was free to inspect it"]
        report.close()
        assert (await ask(pool, ZIP)).threats == []

    with_children(call)


def test_what_is_cancelled_leaves_nothing() -> None:
    async def call(pool: Children) -> None:
        from twisted.internet.defer import CancelledError, Deferred

        await idle(pool)
        with body_of(ZIP) as body:
            asked = [Deferred.fromCoroutine(pool.inspect(Shape(), body)) for _ in range(3)]
            for one in asked:
                one.cancel()
                one.addErrback(lambda failure: failure.trap(CancelledError))
        assert (await ask(pool, ZIP)).plain == walk(ZIP).plain

    with_children(call)


def test_a_process_has_an_end_and_a_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODIES", 3)

    async def call(pool: Children) -> None:
        first = await idle(pool)
        for _ in range(10):
            assert (await ask(pool, ZIP)).kinds == set()
        assert pool.pids != (first,)

    with_children(call)


def test_bombs_grow_neither_process() -> None:
    import brotli

    def resident(pid: int) -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    bombs = [
        (brotli.compress(bytes(100 << 20)), Shape(codings=("br",))),
        (zipped(*((str(n), bytes(4 << 20)) for n in range(30))), Shape()),
        (zipped(("a.zip", zipped(("b", bytes(100 << 20))))), Shape()),
    ]

    async def call(pool: Children) -> None:
        pid = await idle(pool)
        for data, shape in bombs:
            before = resident(pid)
            found = await ask(pool, data, shape)
            assert found.kinds == {"limit"}, found.threats
            assert resident(pid) - before < 64 << 10

    with_children(call)


def test_memory_that_runs_out_is_a_finding() -> None:
    async def call(pool: Children) -> None:
        found = await ask(pool, os.urandom(100 << 20))
        assert found.kinds <= {"limit", "unscannable"}
        assert (await ask(pool, ZIP)).plain == walk(ZIP).plain

    with_children(call, memory=128 << 20)


def test_who_finds_is_named_alike_everywhere() -> None:
    assert module.BY == walking.BY
