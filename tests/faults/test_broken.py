"""Policies and feeds that are broken, again and again under load: the last good ones go on."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.asking import Asking, reqmod
from tests.server.working import Load, lines, status, told, until, working

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RELOADS = int(os.environ.get("ICAPD_TEST_RELOADS", "11"))  # 500 by hand
GOOD = {"access": [{"name": "bad", "when": {"host": ["bad.example"]}, "action": "block"}]}


def rule(when: dict[str, Any]) -> str:
    return json.dumps({"access": [{"name": "x", "when": when, "action": "block"}]})


BROKEN: tuple[tuple[str, str], ...] = (
    ("bad YAML", "access: [unclosed"),
    ("a tab and no key", "access:\n\t- x\n"),
    ("deep nesting", "access: " + "[" * 2000 + "]" * 2000),
    ("a huge number", rule({"size": ">" + "9" * 5000})),
    ("an unknown key", rule({"hots": ["a.example"]})),
    ("a missing list", rule({"list": ["nowhere"]})),
    ("a bad expression", rule({"regex": ["(" * 200]})),
    ("half a file", json.dumps(GOOD)[:-12]),
    ("no text", "access: \x00\xff"),
    ("an alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
    ("not readable", ""),  # a folder: root could read what has no mode
)


def spoil(file: Path, text: str) -> None:
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    if text:
        file.write_text(text)
    else:
        file.mkdir()


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_policies_under_load(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "policy.yaml"
    with working(tmp_path, workers=workers, policy=GOOD) as served, Asking(served.icap) as peer:
        before = status(tmp_path)["workers"]
        tag = peer.ask(reqmod("http://bad.example/")).get("istag")
        with Load(served.icap, clients=4, pause=0.005) as load:
            for number in range(RELOADS):
                kind, text = BROKEN[number % len(BROKEN)]
                spoil(file, text)
                answer = told(tmp_path, "reload")
                assert not answer["ok"], kind
        again = peer.ask(reqmod("http://bad.example/"))
        assert (again.status, again.get("istag")) == (200, tag)
        assert {one for _, _, one in load.tags} == {tag}
        assert [one["digest"] for one in status(tmp_path)["workers"]] == [one["digest"] for one in before]
        spoil(file, '{"access": []}')
        assert told(tmp_path, "reload")["ok"]
        assert peer.ask(reqmod("http://bad.example/")).status == 204
        output = served.child.output()
        assert output.count("reload refused") >= RELOADS
        assert "Traceback" not in output
        assert load.failed == []
        until(lambda: len(lines(tmp_path)) == len(load.answered) + 3)


LINES = [f"name-{number}.example" for number in range(3000)]
FEED = "".join(f"{line}\n" for line in LINES)
PAGE = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>down</body></html>\n"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        pytest.param(lambda: "", False, id="empty"),
        pytest.param(lambda: PAGE, False, id="a page"),
        pytest.param(lambda: "\x00\x01" * 5000, False, id="binary"),
        pytest.param(lambda: FEED[: len(FEED) // 2], True, id="cut"),
        pytest.param(
            lambda: FEED + "".join(f"more-{number}.example\n" for number in range(27_000)), True, id="x10"
        ),
    ],
)
def test_a_feed_that_is_bad(tmp_path: Path, text: Callable[[], str], taken: bool) -> None:
    feed = tmp_path / "feed.domains"
    feed.write_text(FEED)
    policy = {
        "lists": {"feed": {"domains": ["feed.domains"]}},
        "access": [{"name": "feed", "when": {"list": ["feed"]}, "action": "block"}],
    }
    with working(tmp_path, workers=1, policy=policy) as served, Asking(served.icap) as peer:
        first, last = f"http://{LINES[0]}/", f"http://{LINES[-1]}/"
        tag = peer.ask(reqmod(first)).get("istag")
        feed.write_text(text())
        answer = told(tmp_path, "reload")
        assert answer["ok"] is taken, answer
        time.sleep(0.05)
        found = peer.ask(reqmod(first))
        assert found.status == 200
        assert (found.get("istag") != tag) is taken
        assert peer.ask(reqmod(last)).status == (204 if taken and len(text()) < len(FEED) else 200)
        assert ("reload refused" in served.child.output()) is not taken
        assert "Traceback" not in served.child.output()
    assert len(lines(tmp_path)) == 3
