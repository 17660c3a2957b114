"""The conformance deck icap.jsonl, sent to a real icapd that allows everything: every case of every level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.config import Limits
from tests.cases.deck import failed, run_deck
from tests.certificates import make_certificate
from tests.serving import Served, serving

if TYPE_CHECKING:
    from pathlib import Path


def _is_quiet(served: Served) -> bool:
    return "Traceback" not in served.child.output()


def test_every_case_but_the_slow_ones(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        outcomes = run_deck(served.icap, tmp_path, "--pid", str(served.pid))
        assert failed(outcomes) == {}
        assert len(outcomes) == 120
        assert _is_quiet(served)


def test_stalled_requests_end_at_the_deadlines(tmp_path: Path) -> None:
    """The two slow cases, with deadlines of one second where the defaults are 10 and 20."""
    limits = {"head": "1", "body": "1", "linger": "0.5", "drain": "2"}
    with serving(tmp_path, options={"limits": limits}) as served:
        outcomes = run_deck(served.icap, tmp_path, "--slow", "4", shards=("k",))
        assert failed(outcomes) == {}
        assert {"k-slow-head-408", "k-slow-body-408"} <= set(outcomes)


def test_every_case_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = {
        "listen": ["icaps://127.0.0.1:0"],
        "tls": {"certificate": certificate.name, "key": key.name},
    }
    with serving(tmp_path, options=options) as served:
        outcomes = run_deck(served.icaps, tmp_path, "--tls")
        assert failed(outcomes) == {}
        assert len(outcomes) > 110
        assert _is_quiet(served)


def test_default_deadlines_are_within_the_decks_wait() -> None:
    """The slow cases are also run by hand with --slow 26 against a default configuration."""
    assert max(Limits().head, Limits().body) < 25
