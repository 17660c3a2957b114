"""What icapd.yaml says of records: addresses, outputs, the store, what is withheld."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.config import Config, load_config, render_config
from icapd.errors import ConfigError, ConfigErrors
from icapd.recording import EventOptions, policies_directory, user_key

if TYPE_CHECKING:
    from pathlib import Path

_REST = 'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n'


def config(directory: Path, text: str) -> Config:
    (directory / "icapd.yaml").write_text(_REST + text)
    return load_config(directory / "icapd.yaml")


def test_without_a_word_there_is_a_store_beside_the_log_and_nothing_else(tmp_path: Path) -> None:
    found = config(tmp_path, "decisions: log/decisions.log\n")
    assert found.events.store_file(found.decisions) == tmp_path / "log" / "events.db"
    assert found.events.syslog == ()
    assert found.metrics is None
    assert found.events.users == "keep"


def test_everything_is_read_and_printed_back(tmp_path: Path) -> None:
    text = """\
metrics: "[::1]:9136"
events:
  store: kept.db
  days: 7
  megabytes: 5
  syslog:
    - {to: "tls://siem.example", format: cef, facility: auth, actions: [block, refuse], ca: ca.pem,
       certificate: own.pem, key: credential:syslog}
    - to: udp://[2001:db8::1]:5140
  strip_query: true
  anonymise: true
  users: hash
  user_key: secret
"""
    found = config(tmp_path, text)
    first, second = found.events.syslog
    assert (first.to.scheme, first.to.host, first.to.port) == ("tls", "siem.example", 6514)
    assert first.ca == tmp_path / "ca.pem"
    assert first.actions == ("block", "refuse")
    assert (second.to.scheme, second.to.host, second.to.port) == ("udp", "2001:db8::1", 5140)
    assert (second.format, second.facility, second.actions) == ("json", "local0", None)
    assert found.metrics is not None
    assert (found.metrics.host, found.metrics.port) == ("::1", 9136)
    assert found.events.store_file(tmp_path / "x.log") == tmp_path / "kept.db"
    (tmp_path / "again.yaml").write_text(render_config(found))
    again = load_config(tmp_path / "again.yaml")
    assert again.events == found.events
    assert again.metrics == found.metrics


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("metrics: 9136", "3: metrics: not ADDRESS:PORT"),
        ("metrics: 127.0.0.1:70000", "3: metrics: not ADDRESS:PORT"),
        ("events:\n  days: 0", "4: events.days: "),
        ("events:\n  colour: red", "4: "),
        ("events:\n  users: hash", "4: hash needs user_key"),
        ("events:\n  user_key: secret", "4: is for `users: hash` only"),
        ("events:\n  syslog:\n    - to: siem.example", "5: .*not udp://HOST"),
        ("events:\n  syslog:\n    - to: tcp://siem.example:0", "5: .*not udp://HOST"),
        ("events:\n  syslog:\n    - {format: cef}", "5: .*to"),
        ("events:\n  syslog:\n    - to: tcp://a\n      format: xml", "6: .*format"),
        ("events:\n  syslog:\n    - to: tcp://a\n      facility: local8", "6: .*facility"),
        ("events:\n  syslog:\n    - to: tcp://a\n      actions: [deny]", "6: .*actions"),
        ("events:\n  syslog:\n    - to: tcp://a\n      actions: []", "6: .*must not be empty"),
        ("events:\n  syslog:\n    - to: tcp://a\n      ca: ca.pem", "6: is for tls:// only"),
        (
            "events:\n  syslog:\n    - to: tls://a\n      key: key.pem",
            "5: certificate and key need each other",
        ),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigErrors, match=f"icapd.yaml:{error}"):
        config(tmp_path, text + "\n")


def test_no_log_no_store(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    assert EventOptions().store_file(None) is None
    assert EventOptions(store="off").store_file(tmp_path / "decisions.log") is None
    assert EventOptions().store_file(tmp_path) is None
    assert EventOptions().store_file(tmp_path / "a.log") == tmp_path / "events.db"
    assert policies_directory(tmp_path / "events.db") == tmp_path / "events.db.policies"


def test_the_secret_is_long_and_ones_own(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    events = EventOptions(users="hash", user_key=secret)
    assert user_key(EventOptions()) == b""
    with pytest.raises(ConfigError, match=r"secret: cannot be read: No such file"):
        user_key(events)
    secret.write_bytes(b"x" * 15 + b"\n")
    secret.chmod(0o600)
    with pytest.raises(ConfigError, match=r"secret: holds 15 bytes; the key must have 16"):
        user_key(events)
    secret.write_bytes(b"x" * 16 + b"\n")
    assert user_key(events) == b"x" * 16
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match=r"may be read by others \(mode 0644\)"):
        user_key(events)
