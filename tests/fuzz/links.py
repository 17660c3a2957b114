"""What icapd's own parts and neighbours say: clamd, content children, Squid's helper, control socket, shared tables."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.internet.testing import StringTransport

from icapd.adapters.clam_replies import Clean, Failed, Found, read_reply
from icapd.content import wire
from icapd.content.model import Item, Report, Shape
from icapd.policy import Block, Decision, Policy, load_policy
from icapd.server.control import _ControlFactory
from icapd.server.late import LateBlocks
from icapd.server.reload import Reloaded
from icapd.server.shared_tunnels import SIZE, SharedStore, make_table
from icapd.server.tunnels import Ticket, Tunnel
from icapd.squid.accesslog import read_entry
from icapd.squid.steps import reply
from icapd.transaction import Client, Point, Transaction
from icapd.verdicts import Finding, Kind
from tests.fuzz.mutation import EDITS, changed_tree, spoilt_bytes, spoilt_text
from tests.fuzz.output import TEXT
from tests.fuzz.targets import target
from tests.fuzz.wire import site

REPLIES = (
    b"stream: OK", b"stream: Eicar-Test-Signature FOUND", b"fd[10]: Heuristics.Limits.Exceeded.MaxFiles FOUND", b"instream(local): x FOUND",
    b"INSTREAM size limit exceeded. ERROR", b"stream: x(44d88612fea8a8f36de82e1278abb02f:68) FOUND", b"UNKNOWN COMMAND", b"",
)  # fmt: skip


@target(
    "clamd-replies",
    spoilt_bytes(*REPLIES, more=(b" FOUND", b"OK", b" ERROR", b"stream: ", b"\n")),
    known=(b"", b"OK", b"stream: OK\nstream: x FOUND"),
)
def clamd(data: bytes) -> None:
    """Clean is what is clean word for word; what is told is printable."""
    found = read_reply(data)
    if isinstance(found, Clean):
        assert data.endswith(b": OK")
        assert b"FOUND" not in data
    elif isinstance(found, Found):
        assert found.threat.isprintable()
        assert len(found.threat) <= 200
    else:
        assert isinstance(found, Failed)
        assert found.text.isprintable()


ORDER = {
    "shape": {
        "codings": ["gzip"],
        "media": [],
        "names": ["a"],
        "length": 5,
        "range": None,
        "is_request": True,
        "is_error": False,
    },
    "size": 5,
}
REPORT = json.loads(
    wire.answer(
        Report(
            (Item("", 0, 5, 3, "0" * 32, "1" * 64, ("zip",)), Item("a", 1, 2, 4, "0", "1")),
            (Finding(Kind.MACRO, "x", "y", "z"),),
        ),
        3,
    )[0][4:]
)


@target("child-frames", spoilt_bytes(wire.frame(ORDER), wire.frame(REPORT), wire.order(Shape(), 3) * 2, most=3,
        more=(b"\0\0\0\0", b"\0\0\0\5[[[[[")), known=(b"\0\0\x40\0" + b"[" * 16384,))  # fmt: skip
def frames(data: bytes) -> None:
    """A frame is a value, not there yet, or a ValueError (RecursionError is none)."""
    reader = wire.Frames()
    with contextlib.suppress(ValueError):
        for at in range(0, len(data), 7):
            reader.feed(data[at : at + 7])
            while reader.take() is not None:
                pass


@target("child-answers", EDITS)
def child_answers(edits: list[tuple[int, str, Any]]) -> None:
    """What a child says is a report, or refused with what its parent catches."""
    value = changed_tree(REPORT, edits)
    with contextlib.suppress(
        ValueError, LookupError, TypeError, AttributeError, StopIteration
    ):  # as Child does
        count = wire.descriptors_of(value)
        report = wire.read_answer(value, 3, list(range(10, 10 + count)))
        assert len(report.items) == len(value["items"])


@functools.cache
def _policy() -> Policy:
    folder = tempfile.TemporaryDirectory(prefix="icapd-fuzz")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "policy.yaml"
    file.write_text(
        "access: [{name: a, when: {host: [bad.example]}, action: block}]\n"
        "tls: [{name: b, when: {host: [bank.example], client: [10.0.0.0/8]}, action: splice_if_sni_matches}, {name: c, when: {user: [x]}, action: splice}]\n"
    )
    return load_policy(file)


QUESTIONS = (
    "0 192.0.2.1 192.0.2.80 443 3128 bank.example 2",
    "17 ::1 2001:db8::1 443 - - 1",
    "3 10.0.0.1 10.0.0.2 443 3129 bad.example 2",
    "9 - - - - - 2",
)


@target(
    "helper-lines",
    spoilt_text(*QUESTIONS, more=(" ", "-", "%0a", "%20", "%", "\u0661", "\u00b2", "9" * 20, "443")),
    known=("\u00b2 a b 1 2 c 1", "1 a b 1 \u00b2 c 1"),
)
def helper(line: str) -> None:
    """One line for one line, with the question's number; what is unknown is terminated or refused."""
    answer = reply(line, _policy(), 1e9)
    assert "\n" not in answer
    assert "\r" not in answer
    number, word, rest = answer.split(" ", 2)
    assert number.isdigit()
    assert word in {"OK", "BH"}
    assert rest in {"message=not-a-question", *[f"icapd_step1={each}" for each in ("peek", "bump")],
                    *[f"icapd_step2={each}" for each in ("bump", "splice", "terminate")]}  # fmt: skip


class _Doubles:
    """A reloader and probes that do nothing."""

    def reload(self) -> Any:
        return succeed(Reloaded(digest="0" * 16, changed=False))

    def issue(self) -> str:
        return "token"

    def seen(self, token: str) -> list[dict[str, str]] | None:
        return [] if token == "token" else None


ASKED = (
    b'{"command": "reload"}\n',
    b'{"command": "status"}\n',
    b'{"command": "probed", "token": "token"}\n',
    b'{"command": "probe"}\n',
)


@target(
    "control-lines",
    spoilt_bytes(*ASKED, more=(b"{", b"[" * 900, b'"command"', b"1e999", b"null", b"\\ud800", b"\xff")),
    known=(b"[" * 1000 + b"\n", b'{"command": ["reload"]}\n'),
)
def control(data: bytes) -> None:
    """Each line is answered with one line of JSON, or the connection closed."""
    doubles: Any = _Doubles()
    protocol: Any = _ControlFactory(doubles, doubles, lambda: {"digest": "x"}).buildProtocol(None)
    wired = StringTransport()
    protocol.makeConnection(wired)
    protocol.dataReceived(data)
    out = wired.value()
    for line in out.splitlines():
        assert isinstance(json.loads(line)["ok"], bool)
    assert b"\n" not in data[:1000] or out or wired.disconnecting


@functools.cache
def _table() -> int:
    return make_table()


KEYS = st.sampled_from(
    [(b"192.0.2.1", b"40000"), (b"::1", b"1"), (b"2001:db8:" + b"f" * 30, b"65535"), (b"", b"")]
)
DAMAGES = st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=6)), max_size=5)


@target("shared-tunnels", st.tuples(KEYS, TEXT, DAMAGES), spare=64 << 10)
def tunnels(value: tuple[tuple[bytes, bytes], str, list[tuple[int, bytes]]]) -> None:
    """What was put is found whole, and what is damaged is found as it was, or not at all."""
    key, text, damages = value
    host = "".join(one for one in text if one.isprintable() and one.isascii())[:200]
    here = SharedStore(_table(), 0)
    here.put(key, Tunnel(host, "id-1", 5.0))
    found: Any = here.find(key)
    assert (found.host, found.id, found.ticket) == (host, "id-1", Ticket.NONE)
    kept = here._map[found.at : found.at + 384]
    for at, piece in damages:
        place = min(found.at + at, SIZE - 8)
        here._map[place : place + len(piece)] = piece
    try:
        for store in (here, SharedStore(_table(), 1)):
            again = store.find(key)
            assert again is None or (again.host, again.id) == (host, "id-1")
        if sum(at for at, _ in damages) % 16 == 1:  # it reads all 4096 buckets
            here.waiting()
        here.put(key, Tunnel(host, "id-2", 6.0))
    finally:
        here._map[found.at : found.at + 384] = kept


@target("late-blocks", st.tuples(TEXT, TEXT, TEXT), spare=4 << 20)
def late(value: tuple[str, str, str]) -> None:
    """What one worker tells another it keeps, and the page that tells the user has no markup of his."""
    url, user, category = value
    one, other = LateBlocks(), LateBlocks()
    one.tell = other.hear
    from icapd.http import RequestHead

    head = RequestHead(
        b"GET http://a.example/next HTTP/1.1\r\nHost: a.example\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n"
    )
    tx = Transaction(Point.REQMOD, Client("192.0.2.1", user), head)
    one.note(tx, url, Decision(Block(), "protection", category=category), "id-1")
    assert other
    outcome: Any = other.explain(tx, site().generation, "id-2", "http://a.example/next?" + url)
    if outcome is not None:
        assert b"<script" not in outcome.answer.body if hasattr(outcome.answer, "body") else True
        assert b"\r\n\r\n" in outcome.answer.head if hasattr(outcome.answer, "head") else True


ENTRIES = (
    "1700000000.250 12 192.0.2.1 TCP_DENIED/403 0 CONNECT a.example:443 - HIER_NONE/- text/html bump k3-1f a.example -",
    "1700000000.250 12 192.0.2.1 NONE_NONE/000 0 CONNECT 1.2.3.4:443 - HIER_DIRECT/1.2.3.4 - bump - a.example ERR_SECURE_CONNECT_FAIL/SQUID_TLS_ERR_ACCEPT+TLS_LIB_ERR=A000418+TLS_IO_ERR=1",
)  # fmt: skip


@target(
    "squid-log",
    spoilt_text(*ENTRIES, more=("TLS_LIB_ERR=", "F" * 40, "nan", "inf", "9" * 400, "\u0661", " ", "/")),
)
def squid_log(line: str) -> None:
    entry = read_entry(line)
    if entry is not None:
        assert entry.host is None or entry.host.isascii()
        assert entry.time == entry.time
