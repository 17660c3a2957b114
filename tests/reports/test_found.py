"""A decision is found in the store, in the log, and in what that was rotated to."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from icapd.errors import IcapdError
from icapd.events.store import open_store
from icapd.reports.found import in_log, in_store, read_identity, texts_in
from tests.events.recorded import line, record

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = {"client": "10.1.1.1"}
POLICY = {"time": record(1)["time"], "event": "policy", "source": "k3v7q2xa", "seq": 0, "digest": "5bf2"}
OTHER = {**POLICY, "source": "m8d2w5pz", "digest": "0000"}
SQUID = (
    "1795543981.363    12 10.0.0.1 TCP_DENIED/403 4711 GET https://a.example/b - HIER_NONE/- text/html "
    "bump K3V7Q2XA-2 a.example -/-"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("k3v7q2xa-1f", "k3v7q2xa-1f"),
        (" K3V7Q2XA-1F. ", "k3v7q2xa-1f"),
        ('Reference: "k3v7q2xa-1f"', "k3v7q2xa-1f"),
        (SQUID, "k3v7q2xa-2"),
        ("hello", None),
        ("", None),
        ("k3v7q2xa-", None),
        ("https://x.example/k3v7q2xa-1f", None),
    ],
)
def test_a_reference_is_read_out_of_what_was_pasted(text: str, found: str | None) -> None:
    assert read_identity(text) == found


def test_the_store_knows_the_policy_and_what_is_around(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "events.db", readonly=False)) as store:
        event = {"time": record(9)["time"], "event": "ticket-unused", "id": "k3v7q2xa-2", "host": "a"}
        store.add([OTHER, POLICY, record(1), record(2, **CLIENT), record(3, **CLIENT), event], None)
        found = in_store(store, "k3v7q2xa-2")
        assert found is not None
        assert found.record == record(2, **CLIENT)
        assert found.policy == "5bf2"
        assert found.others == (event, record(3, **CLIENT))
        assert in_store(store, "k3v7q2xa-ff") is None


def test_the_log_knows_them_too(tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    lines = [
        json.dumps(OTHER).encode(),
        json.dumps(POLICY).encode(),
        line(1),
        line(2, **CLIENT),
        b'{"torn',
        line(3, **CLIENT),
    ]
    log.write_bytes(b"\n".join(lines) + b"\n")
    found = in_log(log, "k3v7q2xa-2")
    assert found is not None
    assert (found.record, found.policy) == (record(2, **CLIENT), "5bf2")
    assert found.others == (record(3, **CLIENT),)
    assert in_log(log, "k3v7q2xa-ff") is None
    assert in_log(tmp_path / "none", "k3v7q2xa-ff") is None


def test_a_policy_that_came_later_is_not_that_of_the_decision(tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    lines = [POLICY, record(2), {**POLICY, "digest": "later"}]
    log.write_text("\n".join(map(json.dumps, lines)))
    found = in_log(log, "k3v7q2xa-2")
    assert found is not None
    assert found.policy == "5bf2"


def test_rotated_logs_are_read(tmp_path: Path) -> None:
    log, first, second = (tmp_path / f"decisions.log{end}" for end in ("", ".1", ".2.gz"))
    log.write_bytes(line(3) + b"\n")
    first.write_bytes(line(2) + b"\n")
    second.write_bytes(gzip.compress(json.dumps(POLICY).encode() + b"\n" + line(1) + b"\n"))
    for age, file in enumerate((second, first, log)):
        os.utime(file, (age, age))
    for number in (1, 2, 3):
        found = in_log(log, f"k3v7q2xa-{number}")
        assert found is not None
        assert (found.record, found.policy) == (record(number), "5bf2")


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "decisions.log.2.gz").write_bytes(b"no gzip")
    with pytest.raises(IcapdError, match=r"decisions.log.2.gz: cannot be read: Not a gzipped file"):
        in_log(tmp_path / "decisions.log", "k3v7q2xa-1")


def test_texts_that_the_store_has_not_taken_in_yet_are_found(tmp_path: Path) -> None:
    (tmp_path / "5bf2.json").write_text(json.dumps({"time": 1, "files": {"policy.yaml": "access: []\n"}}))
    (tmp_path / "torn.json").write_text('{"files": ')
    assert texts_in(tmp_path, "5bf2") == {"policy.yaml": "access: []\n"}
    assert texts_in(tmp_path, "torn") is None
    assert texts_in(tmp_path, "none") is None
