"""The text of each policy that was loaded lies where the store takes it in, whole; a failure stops nothing."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from icapd.config import Config, load_config
from icapd.events.store import open_store
from icapd.server.keeping import Texts
from tests.server.asking import Asking, reqmod
from tests.server.working import until
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "# why\naccess: []\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "icapd.yaml").write_text(
        'listen: ["icap://127.0.0.1:0"]\npolicy: p.yaml\ndecisions: d.log\nevents: {store: e.db}\n'
    )
    (tmp_path / "p.yaml").write_text(TEXT)
    return load_config(tmp_path / "icapd.yaml")


def test_what_was_loaded_is_kept_under_its_digest(tmp_path: Path, config: Config) -> None:
    for _ in range(2):
        Texts(config).keep("abc")
    (kept,) = (tmp_path / "e.db.policies").iterdir()
    assert kept.name == "abc.json"
    assert json.loads(kept.read_text()) == {str(tmp_path / "p.yaml"): TEXT}


def test_what_changed_while_it_was_loaded_is_not(tmp_path: Path, config: Config) -> None:
    texts = Texts(config)
    (tmp_path / "p.yaml").write_text("access: [] # else\n")
    texts.keep("abc")
    (tmp_path / "p.yaml").unlink()
    Texts(config).keep("def")
    assert not (tmp_path / "e.db.policies").exists()


def test_a_failure_is_told_and_leaves_nothing(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.db.policies").touch()
    Texts(config).keep("abc")
    assert "the text of policy abc is not kept: [Errno 17] File exists" in capsys.readouterr().err
    assert (tmp_path / "e.db.policies").read_bytes() == b""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_policy_that_is_served_is_kept_and_recorded(tmp_path: Path, workers: str) -> None:
    with (
        serving(tmp_path, options={"workers": workers, "events": {"store": "auto"}}) as running,
        Asking(running.icap) as peer,
    ):
        assert peer.ask(reqmod()).status == 204
        text = '{"access": [{"when": {"method": ["TRACE"]}, "action": "block"}]}'
        (tmp_path / "policy.yaml").write_text(text)
        os.kill(running.pid, signal.SIGHUP)
        until(lambda: "reloaded: policy" in running.child.output())
        running.child.stop()
    records = [json.loads(line) for line in (tmp_path / "decisions.log").read_bytes().splitlines()]
    served = [(each["source"], each["digest"]) for each in records if each.get("event") == "policy"]
    assert len(served) == len(set(served)) == 2 * int(workers)
    first, second = dict.fromkeys(digest for _, digest in served)
    assert f"reloaded: policy {second}" in running.child.output()
    assert first != second
    waiting = tmp_path / "events.db.policies" / f"{second}.json"
    store = open_store(tmp_path / "events.db")
    kept = json.loads(waiting.read_bytes()) if waiting.exists() else store.policy_text(second)
    assert kept == {str(tmp_path / "policy.yaml"): text}
    assert store.policy_text(first) is not None
    store.close()
