"""SIGHUP: the new policy as a whole, or the old one and one clear error."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import capturedLogs

from icapd.errors import AdapterError
from icapd.server import reload as module
from icapd.server.reload import Reloaded, Reloader
from icapd.server.scanning import Scans
from tests.server.asking import Asking, answers, reqmod
from tests.server.conftest import POLICY, connected
from tests.server.scanner import StandIn, scanned_by
from tests.server.test_run import until
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.server.site import Generation, Site

BAD = reqmod("http://bad.example/")
BROKEN = "access:\n  - {name: a, when: {hots: [x]}, action: block}\n  - {acton: block}\n"


def reloaded(site: Site) -> Reloaded:
    """Reload now: the thread's work is done in place, since no reactor runs here."""
    results: list[Reloaded] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "deferToThread", maybeDeferred)
        Reloader(site).reload().addCallback(results.append)
    (result,) = results
    return result


def test_a_changed_policy_serves_the_next_request(site: Site, tmp_path: Path) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(BAD)
    (tmp_path / "policy.yaml").write_text("access: []\n")
    with capturedLogs() as logs:
        result = reloaded(site)
    protocol.dataReceived(BAD)
    first, second = answers(link.sent, "REQMOD", "REQMOD")
    assert (first.status, second.status) == (200, 204)
    assert first.get("istag") != second.get("istag") == f'"icapd-{result.digest}"'
    assert result == Reloaded(site.generation.policy.digest, changed=True)
    assert len(logs) == 1


def test_an_unchanged_policy_keeps_its_istag(site: Site) -> None:
    before = site.generation.istag
    result = reloaded(site)
    assert not result.changed
    assert site.generation.istag == before


def test_a_broken_policy_leaves_the_old_one_and_names_every_fault(site: Site, tmp_path: Path) -> None:
    before = site.generation
    (tmp_path / "policy.yaml").write_text(BROKEN)
    with capturedLogs() as logs:
        result = reloaded(site)
    assert site.generation is before
    assert (result.changed, result.digest) == (False, before.policy.digest)
    first, second = result.problems
    assert "policy.yaml:2: unknown key" in first
    assert "policy.yaml:3: unknown key" in second
    (event,) = logs
    assert event["log_level"].name == "error"


def test_a_bug_while_loading_leaves_the_old_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "load_kept", fail)
    before = site.generation
    with capturedLogs():
        result = reloaded(site)
    assert site.generation is before
    assert result.problems == ("unforeseen: ZeroDivisionError",)


def test_what_needs_a_restart_is_said(make_site: Callable[..., Site], tmp_path: Path) -> None:
    site = make_site()
    document = json.loads((tmp_path / "icapd.yaml").read_text())
    document["limits"]["idle"] = "100"
    (tmp_path / "icapd.yaml").write_text(json.dumps(document))
    with capturedLogs():
        result = reloaded(site)
    assert result.notes == ("`limits` changed: it takes effect at the next restart",)
    assert site.config.limits.idle == 61


def test_nothing_is_loaded_any_more_while_icapd_stops(site: Site) -> None:
    site.draining = True
    with capturedLogs():
        assert reloaded(site).problems == ("icapd is stopping",)


def test_a_second_reload_waits_for_the_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Deferred[object]] = []

    def later(*_: object) -> Deferred[object]:
        begun.append(Deferred())
        return begun[-1]

    monkeypatch.setattr(module, "deferToThread", later)
    reloader = Reloader(site)
    done: list[Reloaded] = []
    for _ in range(2):
        reloader.reload().addCallback(done.append)
    assert len(begun) == 1
    with capturedLogs():
        begun[0].callback((site.config, site.generation))
        assert (len(begun), len(done)) == (2, 1)
        begun[1].callback((site.config, site.generation))
    assert len(done) == 2


def test_a_hundred_reloads_under_load_cost_no_request(tmp_path: Path) -> None:
    """Each transaction sees one policy or the other, whole; the process says what it did."""
    with serving(tmp_path, policy=POLICY) as running, Asking(running.icap) as peer:
        stop = threading.Event()

        def reload_often() -> None:
            for number in range(100):
                rules: object = POLICY if number % 2 else {"access": []}
                (tmp_path / "new").write_text(json.dumps(rules))
                (tmp_path / "new").rename(tmp_path / "policy.yaml")
                os.kill(running.pid, signal.SIGHUP)
                if stop.wait(0.01):
                    return

        thread = threading.Thread(target=reload_often)
        thread.start()
        tags: dict[str | None, set[int]] = {}
        while thread.is_alive():
            answer = peer.ask(BAD)
            tags.setdefault(answer.get("istag"), set()).add(answer.status)
        stop.set()
        thread.join()
        assert sorted(map(sorted, tags.values())) == [[200], [204]]
        until(lambda: peer.ask(BAD).status == 200)  # the last file's policy: all before it has been loaded
        (tmp_path / "policy.yaml").write_text(BROKEN)
        os.kill(running.pid, signal.SIGHUP)
        until(lambda: "reload refused" in running.child.output())
        assert peer.ask(BAD).status == 200
        assert "Traceback" not in running.child.output()


def test_scanners_start_before_they_serve_and_the_old_stop(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = scanned_by(site, StandIn()), StandIn()
    generation = dataclasses.replace(site.generation, scans=Scans(new))

    def load(*_: object) -> Generation:
        assert (new.started, old.stopped) == (0, 0)
        return generation

    monkeypatch.setattr(module, "load_kept", load)
    assert reloaded(site).problems == ()
    assert (new.started, new.stopped, old.stopped) == (1, 0, 1)
    assert site.generation is generation


class Hopeless(StandIn):
    """Never starts."""

    async def start(self) -> None:
        raise AdapterError("adapter x does not start")


def test_scanners_that_do_not_start_are_not_adopted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scanned_by(site, StandIn())
    generation = dataclasses.replace(site.generation, scans=Scans(Hopeless()))
    before = site.generation
    monkeypatch.setattr(module, "load_kept", lambda *_: generation)
    assert reloaded(site).problems == ("adapter x does not start",)
    assert site.generation is before
    assert old.stopped == 0
