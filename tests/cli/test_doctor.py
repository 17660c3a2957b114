"""`icapd doctor pins`: rules are proposed with their evidence, and load; nothing is changed."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main
from icapd.policy import load_policy

if TYPE_CHECKING:
    from pathlib import Path

LINE = "1795533129.057 59 {client} NONE_NONE/200 0 CONNECT {host}:443 - HIER_NONE/- - bump - {host} {error}\n"
INSIDE = "1795533130.000 9 {client} TCP_MISS/200 213 GET https://{host}/ - HIER_DIRECT/192.0.2.1 - bump - {host} -/-\n"
REFUSED = "ERR_SECURE_ACCEPT_FAIL/SQUID_TLS_ERR_ACCEPT+TLS_LIB_ERR=A000418+TLS_IO_ERR=1"
CLIENTS = ("10.0.0.1", "10.0.0.2")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "icapd.yaml").write_text(
        "listen: [icap://127.0.0.1:1344]\npolicy: policy.yaml\nsquid: {access_log: access.log}\n"
    )
    (tmp_path / "policy.yaml").write_text("tls:\n  - {name: rest, action: bump}\n")
    refused = [LINE.format(client=client, host="api.pin.test", error=REFUSED) for client in CLIENTS] * 3
    passed = [INSIDE.format(client=client, host="web.test") for client in CLIENTS]
    other = [LINE.format(client="10.0.0.9", host="web.test", error=REFUSED)] * 2
    (tmp_path / "access.log").write_text("".join([*refused, *passed, *other]))
    return tmp_path


def pins(directory: Path, *options: str) -> int:
    return main(["doctor", "pins", "-c", str(directory / "icapd.yaml"), *options])


def test_a_rule_is_proposed_that_loads_and_nothing_is_changed(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in directory.iterdir()}
    assert pins(directory) == 1
    out, err = capsys.readouterr()
    assert {path: path.read_bytes() for path in directory.iterdir()} == before
    assert "refused 6 times by 2 clients (10.0.0.1, 10.0.0.2), accepted by none;" in out
    assert "# unknown ca 6; 2026-11-24 to 2026-11-24" in out
    assert err == (
        "icapd: 10.0.0.9: refused all sites it asked for (2 times): it does not trust the CA; left out\n"
    )
    (directory / "proposed.yaml").write_text(out)
    [rule] = load_policy(directory / "proposed.yaml").tls
    assert (rule.action, rule.name[:21]) == ("splice", "pinned: api.pin.test ")


def test_as_json_and_compressed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = directory / "access.log.2.gz"
    log.write_bytes(gzip.compress((directory / "access.log").read_bytes()))
    assert pins(directory, "--log", str(log), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["entries"] == 10
    assert [(one["host"], one["reasons"]) for one in told["proposed"]] == [
        ("api.pin.test", {"unknown ca": 6})
    ]
    assert told["strangers"] == {"10.0.0.9": 2}


def test_nothing_to_propose(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pins(directory, "--clients", "3") == 0
    assert capsys.readouterr().out == "# 10 entries read: no site is refused by its clients.\n"


def test_a_rule_whose_date_is_over_is_told(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "policy.yaml").write_text(
        "tls:\n"
        '  - {name: "pinned: a.test (until 2024-02-01)", when: {host: [=a.test]}, action: splice}\n'
        '  - {name: "pinned: b.test (until 9024-02-01)", when: {host: [=b.test]}, action: splice}\n'
    )
    assert pins(directory, "--clients", "3") == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "is over" in line]
    assert "policy.yaml:2: rule 'pinned: a.test (until 2024-02-01)' is over: take it out" in line


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, (), "access.log: No such file or directory"),
        (
            "1 2 3 TCP_MISS/200 4 GET http://a/ - HIER_DIRECT/- text/html\n",
            (),
            "no line is of icapd's format",
        ),
        ("", ("--log", "/nonexistent.gz"), "/nonexistent.gz: No such file or directory"),
    ],
)
def test_a_log_that_is_none_is_one_line(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    options: tuple[str, ...],
    message: str,
) -> None:
    (directory / "access.log").unlink()
    if text is not None:
        (directory / "access.log").write_text(text)
    assert pins(directory, *options) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_a_log_it_says_how_to_have_one(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (directory / "icapd.yaml").read_text().replace("squid: {access_log: access.log}\n", "")
    (directory / "icapd.yaml").write_text(text)
    assert pins(directory) == 1
    assert "set squid.access_log" in capsys.readouterr().err
