"""What is withheld does not reach the log: queries, addresses, names; passwords never do, in any output."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.events import asker_part, policy_line, record_line, ticket_line
from icapd.events.formats import FORMATS
from icapd.events.privacy import Privacy
from icapd.events.withheld import WithheldLog, withholding
from icapd.recording import EventOptions
from tests.server.asking import Asking, reqmod
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = b"0123456789abcdef"


class Kept:
    """A log that keeps what it is given."""

    source = "k3v7q2xa"
    lost = 3

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flushed = 0

    def append(self, line: str) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        self.flushed += 1


def line(url: str, client: str | None, user: str | None, more: str = "") -> str:
    verdict = '"action":"allow","stage":"default","rule":null,"source":null,"category":null,'
    return (
        record_line(0.0, "k3v7q2xa-1", "reqmod", "GET", url, asker_part(client, user), verdict, "", 204)
        + more
    )


def test_nothing_stands_before_a_log_that_withholds_nothing() -> None:
    log = Kept()
    assert withholding(log, EventOptions(), b"") is log
    assert isinstance(withholding(log, EventOptions(users="drop"), b""), WithheldLog)


def test_each_switch_alone() -> None:
    url = "http://a.example/x?q=1#f"

    def kept(privacy: Privacy, more: str = "") -> dict[str, Any]:
        log = Kept()
        withheld = WithheldLog(log, privacy)
        withheld.append(line(url, "10.1.2.3", "alice", more))
        withheld.flush()
        assert (log.flushed, withheld.lost, withheld.source) == (1, 3, "k3v7q2xa")
        found: dict[str, Any] = json.loads(log.lines[0] + "}")
        return found

    whole = json.loads(line(url, "10.1.2.3", "alice") + "}")
    assert kept(Privacy(strip_query=True)) == whole | {"url": "http://a.example/x"}
    more = ',"client_port":4000,"sni":"a.example"'
    hidden = kept(Privacy(anonymise_client=True), more)
    assert hidden == whole | {"client": "10.1.2.0", "sni": "a.example"}
    assert kept(Privacy(users="drop")) == whole | {"user": None}
    hashed = kept(Privacy(users="hash", key=KEY))["user"]
    assert hashed == kept(Privacy(users="hash", key=KEY))["user"] != "alice"
    assert hashed != kept(Privacy(users="hash", key=KEY[::-1]))["user"]


@given(
    st.text(max_size=40), st.none() | st.text(max_size=20), st.none() | st.text(max_size=20),
    st.builds(Privacy, st.booleans(), st.booleans(), st.sampled_from(["keep", "hash", "drop"]), st.just(KEY)),
)  # fmt: skip
def test_it_is_what_privacy_says_whatever_clients_send(
    url: str, client: str | None, user: str | None, privacy: Privacy
) -> None:
    log = Kept()
    withheld = WithheldLog(log, privacy)
    for _ in range(2):
        text = line(url, client, user)
        withheld.append(text)
        assert json.loads(log.lines[-1] + "}") == privacy.apply(json.loads(text + "}"))
        assert log.lines[-1].isascii()


def test_other_lines_are_withheld_too() -> None:
    log = Kept()
    withheld = WithheldLog(log, Privacy(anonymise_client=True))
    withheld.append(ticket_line(0.0, "ticket-unused", "k", "k-1", (b"10.1.2.3", b"4000"), "a.test"))
    withheld.append(policy_line(0.0, "k", "abc"))
    ticket, policy = (json.loads(each + "}") for each in log.lines)
    assert (ticket["client"], "client_port" in ticket) == ("10.1.2.0", False)
    assert policy["digest"] == "abc"


def test_a_full_memory_of_askers_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icapd.events.withheld._MAX_ASKERS", 2)
    log = Kept()
    withheld = WithheldLog(log, Privacy(users="drop"))
    for number in range(5):
        withheld.append(line("http://a.example/", "10.0.0.1", f"u{number}"))
    assert [json.loads(each + "}")["user"] for each in log.lines] == [None] * 5


PASSWORDS: dict[str, Callable[[str], bytes]] = {
    "Proxy-Authorization of the message": lambda password: reqmod(
        http=(f"Proxy-Authorization: Basic {base64.b64encode(f'al:{password}'.encode()).decode()}",)
    ),
    "Proxy-Authorization of the ICAP head": lambda password: reqmod(
        lines=("Allow: 204", f"Proxy-Authorization: Basic {password}")
    ),
    "Authorization": lambda password: reqmod(http=(f"Authorization: Bearer {password}",)),
    "a URL's": lambda password: reqmod(f"http://al:{password}@bad.example/"),
    "a URL's, in a CONNECT": lambda password: reqmod(f"al:{password}@a.example:443", "CONNECT"),
    "a URI's in X-Authenticated-User": lambda password: reqmod(
        lines=("Allow: 204", f"X-Authenticated-User: LDAP://al:{password}@host/cn=al")
    ),
    "the same without a path": lambda password: reqmod(
        lines=("Allow: 204", f"X-Authenticated-User: Local://al:{password}@host")
    ),
    "the same in base64": lambda password: reqmod(
        lines=(
            "Allow: 204",
            f"X-Authenticated-User: {base64.b64encode(f'Local://al:{password}@host'.encode()).decode()}",
        )
    ),
    "what Basic sends as X-Authenticated-User": lambda password: reqmod(
        lines=("Allow: 204", f"X-Authenticated-User: {base64.b64encode(f'al:{password}'.encode()).decode()}")
    ),
}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_password_is_in_no_output(tmp_path: Path, workers: str) -> None:
    passwords = ["hunter2", "hunter22", "hunter222"]  # base64 with padding, and without
    with serving(tmp_path, options={"workers": workers, "events": {"store": "auto"}}) as running:
        for password in passwords:
            for message in PASSWORDS.values():
                with Asking(running.icap) as peer:
                    assert peer.ask(message(password)).status in {200, 204, 400}
        running.child.stop()
        assert "Traceback" not in running.child.output()
    traces = [b"hunter", *(base64.b64encode(b"x" * shift + b"hunter2xx")[4:8] for shift in range(3))]
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "policy.yaml"]
    assert {tmp_path / "decisions.log", tmp_path / "events.db"} <= set(files)
    for file in files:
        data = file.read_bytes()
        assert not [trace for trace in traces if trace in data], file
    records = [json.loads(each) for each in (tmp_path / "decisions.log").read_bytes().splitlines()]
    decided = [record for record in records if "event" not in record]
    assert len(decided) == len(passwords) * len(PASSWORDS)
    for record in records:
        for form in FORMATS.values():
            assert "hunter" not in form(record)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_icapd_yaml_withholds(tmp_path: Path, workers: str) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    events = {"strip_query": "true", "anonymise": "true", "users": "hash", "user_key": "key"}
    lines = ("Allow: 204", "X-Client-IP: 10.1.2.3", "X-Client-Username: alice")
    with serving(tmp_path, options={"workers": workers, "events": events}) as running:
        for _ in range(2):
            with Asking(running.icap) as peer:
                assert peer.ask(reqmod("http://a.example/?q=secret", lines=lines)).status == 204
                assert peer.ask(reqmod("a.example:443", "CONNECT", lines=lines)).status == 204
        running.child.stop()
    text = (tmp_path / "decisions.log").read_text()
    assert not [trace for trace in ("secret", "10.1.2.3", "alice") if trace in text]
    records = [json.loads(each) for each in text.splitlines()]
    (user,) = {record["user"] for record in records if "event" not in record}
    assert user == Privacy(users="hash", key=KEY).apply({"user": "alice"})["user"]
