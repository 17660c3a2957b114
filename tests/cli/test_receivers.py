"""What `icapd check` says of where records go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.cli.receivers import receiver_findings
from icapd.config import load_config
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

CLEAR = "who is on the way can read and change who visited what"


def findings(directory: Path, text: str, decisions: str = "decisions.log") -> list[str]:
    (directory / "policy.yaml").write_text("{}\n")
    file = directory / "icapd.yaml"
    file.write_text(
        f"listen: ['icap://127.0.0.1:1344']\npolicy: policy.yaml\ndecisions: {decisions}\nevents:\n{text}"
    )
    return [found.text().replace(str(directory), "DIR") for found in receiver_findings(load_config(file))]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("udp://127.0.0.1", []),
        ("tcp://localhost:601", []),
        ("udp://[::1]", []),
        ("udp://siem.example:514", [f"warning: records go to udp://siem.example:514 in clear — {CLEAR} — use tls://siem.example:514"]),
        ("tcp://192.0.2.1", [f"note: records go to tcp://192.0.2.1 in clear — {CLEAR} — use tls://192.0.2.1"]),
        ("tcp://1.1.1.1", [f"warning: records go to tcp://1.1.1.1 in clear — {CLEAR} — use tls://1.1.1.1"]),
    ],
)  # fmt: skip
def test_what_goes_in_clear(to: str, expected: list[str], tmp_path: Path) -> None:
    found = findings(tmp_path, f"  syslog:\n    - to: {to}\n")
    assert found == [f"DIR/icapd.yaml:6: {one}" for one in expected]


def test_which_authorities_are_used_is_told(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "  syslog:\n    - to: tls://siem.example\n")
    assert found.startswith(
        "DIR/icapd.yaml:6: note: tls://siem.example is checked by the CAs of this system (/"
    )
    chain, _ = make_certificate(tmp_path)
    assert findings(tmp_path, f"  syslog:\n    - to: tls://siem.example\n      ca: {chain}\n") == []


def test_files_that_do_not_serve(tmp_path: Path) -> None:
    found = findings(tmp_path, "  syslog:\n    - to: tls://h\n      ca: none.pem\n")
    assert found[0] == (
        "DIR/icapd.yaml:7: warning: tls://h gets nothing: DIR/none.pem cannot be read: No such file or directory"
        " — name a file that icapd's user may read"
    )
    (tmp_path / "bad.pem").write_text("nothing")
    found = findings(tmp_path, "  syslog:\n    - to: tls://h\n      ca: bad.pem\n")
    assert "tls://h gets nothing: ca, certificate and key do not serve: TLS: no certificate" in found[0]


def test_nothing_comes_from_standard_output(tmp_path: Path) -> None:
    found = findings(tmp_path, "  store: e.db\n  syslog:\n    - to: udp://127.0.0.1\n", "'-'")
    assert [one.partition(" — ")[0] for one in found] == [
        "DIR/icapd.yaml:6: warning: events.syslog: nothing comes there, since decisions go to standard output",
        "DIR/icapd.yaml:5: warning: events.store: nothing comes there, since decisions go to standard output",
    ]


def test_a_key_that_names_cannot_be_hashed_with(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    (tmp_path / "key").chmod(0o600)
    (found,) = findings(tmp_path, "  users: hash\n  user_key: key\n")
    assert found.startswith(
        "DIR/icapd.yaml:6: error: DIR/key: holds 5 bytes; the key must have 16 or more — names"
    )
    (tmp_path / "key").write_text("x" * 16)
    assert findings(tmp_path, "  users: hash\n  user_key: key\n") == []
