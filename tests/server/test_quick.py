"""The shortcut says what the long way says, byte for byte, in the answer and in the log; or nothing."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from icapd.server.quick import Quick
from tests.server.asking import chunks, head_of, icap, reqmod, respmod
from tests.server.conftest import POLICY as SMALL
from tests.server.conftest import connected, new_site
from tests.server.scanner import StandIn, scanned_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.server.site import Site

POLICY: dict[str, Any] = {
    "lists": {
        "ads": {"domains": ["ads.txt"], "category": "Ads & <trackers>"},
        "urls": {"urls": ["urls.txt"], "category": "URLs"},
    },
    "bypass": [{"name": "trusted", "when": {"host": ["trusted.example"]}}],
    "access": [
        {"name": "our own", "when": {"host": ["good.ads.example"]}, "action": "allow"},
        {"name": "ads 100 % <b>", "when": {"list": ["ads"]}, "action": "block"},
        {"name": "urls", "when": {"list": ["urls"]}, "action": "block"},
        {"name": "seen", "mode": "shadow", "when": {"host": ["shadow.example"]}, "action": "block"},
        {"name": "posts", "when": {"host": ["post.example"], "method": ["POST"]}, "action": "block"},
        {
            "name": "but",
            "when": {"host": ["but.example"]},
            "unless": [{"method": ["GET"]}],
            "action": "block",
        },
        *SMALL["access"],
    ],
    "tls": SMALL["tls"],
}
PLAIN = ("http://a.example/", "https://a.example/b/c.html?d=1&e", "http://sub.a.example/x")
URLS = (
    *PLAIN,
    "http://bad.example/",
    "http://bad.example/a&b='c'?d=1&e",
    "http://bad.example/picture.png",
    "https://sub.bad.example/" + "x" * 600,
    "http://ads.example/",
    "http://good.ads.example/",
    "http://trusted.example/",
    "http://list.example/x",
    "http://list.example/listed/x",
    "http://shadow.example/",
    "http://post.example/",
    "http://but.example/",
    "http://old.example/x",
    "http://bank.example/",
    "http://a.example/../b",
    "http://a.example/./b",
    "http://a.example/.b",
    "http://A.example/",
    "http://a.example:80/",
    "http://a.example:8080/",
    "http://a.example./",
    "http://user@a.example/",
    "http://xn--bcher-kva.example/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://0x7f.1/",
    "http://a.example",
    "http://a.example?b",
    "http://a.example/?",
    "http://a.example/%41",
    "http://a.example/%",
    "http://a.example/a b",
    "http://a.example/\xe9",
    "http://a.example/a#b",
    "http://" + "a." * 130 + "example/",
    "ftp://a.example/",
    "/only/a/path",
    "*",
    "a.example:443",
    "",
)
HOSTS = (
    "Host: a.example",
    "HOST: A.Example",
    "Host:a.example",
    "Host:  a.example",
    "Host: a.example ",
    "Host: a.example:80",
    "Host: b.example",
    "Host: bad.example",
    "Host: sub.a.example",
    "Host: a.example\r\n b",
    "Host : a.example",
    "Host: a.example\r\nHost: a.example",
    "Host: a.example\r\nHost: bad.example",
    "X-Host: a.example",
    "Host:",
)
FIELDS = (
    "Content-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5, 6",
    "Content-Length: +5",
    "Content-Length: 5\r\n 6",
    "Content-Length: " + "9" * 19,
    "content-length:5",
    "Content-Length:",
    "Transfer-Encoding: chunked",
    "User-Agent: x",
    "User-Agent: Mozilla/5.0",
    "Accept: text/html,*/*",
    "Accept: */*",
    "Accept: image/png\r\nUser-Agent: Mozilla/5.0",
    "Accept: image/png\r\nAccept: text/html",
    "Accept: text/html\r\nSec-Fetch-Dest: image",
    "Accept: text/html\r\nSec-Fetch-Dest: document",
    "Accept: text/html\r\nUpgrade: websocket",
    "Accept: text/html\r\nPing-To: x",
    "Accept: text/html\r\nContent-Type: text/ping",
    "Sec-Fetch-Dest: script",
    "Sec-Fetch-Dest: empty\r\nOrigin: http://a.example",
    "Accept-Encoding: gzip, deflate, br",
    "Accept-Encoding: gzip\r\n , sdch",
    "Accept-Encoding: gzip, sdch",
    "Accept-Encoding: gzip\r\nAccept-Encoding: sdch",
    "Range: bytes=0-5",
    "X: a\nHost: bad.example",
    "X: a\r",
    "X: a\0",
    "no colon",
)
LINES = (
    "Allow: 204",
    "Allow: 204, 206",
    "Allow: 2040",
    "Preview: 0",
    "Preview: 4",
    "Preview: 1024",
    "Preview: x",
    "Connection: close",
    "Connection: keep-alive",
    "X-Client-IP: 192.0.2.1",
    "X-Client-IP: -",
    "X-Client-IP:",
    "X-Client-IP: 192.0.2.1\r\nX-Client-IP: 192.0.2.2",
    "X-Client-Username: anna",
    "X-Client-Username: YW5uYQ==",
    "X-Client-Username: a\x07b",
    "X-Client-Username: -",
    "X-Authenticated-User: TG9jYWw6Ly9hbm5h",
    "X-Authenticated-Groups: Local://staff",
    "X-Authenticated-Groups: \x07",
    "X-Icapd-Fragment: 1",
    "X-Client-Port: 4000",
    "X-Client-Port: x",
    "X-Server-IP: 192.0.2.80",
    "X-Server-IP: 10.1.2.3",
    "X-Server-IP: rubbish",
    "X-Server-IP: -",
    "X-Proxy-Port: 3128",
    "X-SNI: a.example",
    "X-SNI: bad.example",
    "X-SNI: -",
    "X-SNI: b\xe4d",
    "X-A: b",
    "X-F: a\r\n b",
)
BODIES = (
    None,
    b"",
    chunks(),
    chunks(b"hello"),
    chunks(b"hel", b"lo"),
    b"5\r\nhello\r\n0; ieof\r\n\r\n",
    b"5\r\nhello\r\n0;ieof\r\n\r\n",
    b"0; ieof\r\n\r\n",
    b"05\r\nhello\r\n0\r\n\r\n",
    b"5;a\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhell",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n5\r\nagain\r\n0\r\n\r\n",
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request that is plain but for a thing or two, or for many."""
    url = draw(st.sampled_from((*PLAIN, "http://bad.example/")) | st.sampled_from(URLS))
    host = re.sub(r"^https?://", "", url).split("/")[0]
    lines = draw(st.lists(st.sampled_from(LINES), max_size=4, unique_by=lambda line: line.split(":")[0]))
    method = draw(
        st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "NONE", "get", "G T"])
    )
    fields = [draw(st.just(f"Host: {host}") | st.sampled_from(HOSTS))]
    fields += draw(st.lists(st.sampled_from(FIELDS), max_size=1))
    head = head_of(method, url, fields)
    response = b""
    if is_respmod := draw(st.booleans()):
        more = draw(st.lists(st.sampled_from(FIELDS), max_size=1))
        first = draw(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 304", "rubbish"]))
        response = "".join(f"{line}\r\n" for line in (first, *more, "")).encode("latin-1")
    body = draw(st.sampled_from(BODIES))
    kind = "null" if body is None else "res" if is_respmod else "req"
    shift = draw(st.sampled_from([0] * 12 + [1, -1]))
    end = len(head) + len(response) + shift
    parts = (
        f"req-hdr=0, res-hdr={len(head)}, {kind}-body={end}"
        if is_respmod
        else f"req-hdr=0, {kind}-body={end}"
    )
    service = draw(
        st.sampled_from(["respmod"] * 8 + ["reqmod"] if is_respmod else ["reqmod"] * 8 + ["respmod", "no"])
    )
    return icap(service, parts, head, response, lines=lines, body=body or b"")


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Draw a request with one byte changed, left out or added, or with something behind it."""
    data = draw(requests())
    at = draw(st.integers(0, len(data)))
    piece = draw(st.sampled_from([b"", b"\0", b" ", b"\r", b"\n", b"\r\n", b":", b"a", b"\xff", b"\t"]))
    return data[:at] + piece + data[at + draw(st.integers(0, 1)) :]


class Ways:
    """Two connections to one site: one may take the shortcut, the other may not."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.lines: list[str] = []
        self.taken = 0
        patch.setattr(site.decisions, "append", self.lines.append)
        patch.setattr(site, "warn", lambda *_, **__: None)
        patch.setattr(site, "next_id", lambda: "id")
        self._quick = functools.partial(Quick.answer, site.quick)
        patch.setattr(site.quick, "answer", self._quick)  # and put back what each run sets

    def run(self, pieces: Iterable[bytes], *, quick: bool) -> tuple[Any, ...]:
        """Send `pieces`; return all that can be seen of it, less the times."""
        self.lines.clear()
        answer = self._counted if quick else self._never
        self.site.quick.answer = answer  # type: ignore[method-assign, assignment]
        protocol, link = connected(self.site)
        states = []
        for piece in pieces:
            protocol.dataReceived(piece)
            conn = protocol.conn
            states.append((conn.state, conn.closing, conn.unread, link.ended, link.reading))
        self.site.connections.clear()  # or the limit would refuse most of them
        records = [json.loads(line + "}") for line in self.lines]
        keys = [list(record) for record in records]
        for record in records:
            del record["time"]
        return re.sub(rb"20\d\d-\d\d-\d\dT[0-9:+-]+", b"", link.sent), records, keys, states

    def _never(self, _: bytes) -> None:
        """Take the long way."""

    def _counted(self, data: bytes) -> tuple[bytes, bool, int] | None:
        answer = self._quick(data)
        self.taken += answer is not None
        return answer


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One site for all examples of a property."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "ads.txt").write_text("ads.example\n")
    (directory / "urls.txt").write_text("list.example/listed/\n")
    return new_site(directory, policy=POLICY)


@pytest.fixture
def ways(shared_site: Site, monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(shared_site, monkeypatch)


FIXTURE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=max(400, settings().max_examples),
)


@FIXTURE
@given(st.lists(requests(), min_size=1, max_size=3))
def test_requests_in_a_row(ways: Ways, pieces: list[bytes]) -> None:
    assert ways.run(pieces, quick=True) == ways.run(pieces, quick=False)


@FIXTURE
@given(spoiled(), requests())
def test_a_spoiled_request_and_one_behind_it(ways: Ways, first: bytes, second: bytes) -> None:
    assert ways.run([first, second], quick=True) == ways.run([first, second], quick=False)


@FIXTURE
@given(requests(), st.integers(0, 400))
def test_a_request_in_two_pieces(ways: Ways, data: bytes, at: int) -> None:
    pieces = [data[:at], data[at:]]
    assert ways.run(pieces, quick=True) == ways.run(pieces, quick=False)


@FIXTURE
@given(st.binary(max_size=40), st.data())
def test_an_echo_in_pieces(ways: Ways, payload: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    body = chunks(*(payload[at : at + size] for at in range(0, len(payload), size)))
    request = respmod(lines=(), body=body)
    begin = len(request) - len(body)
    ends = sorted(data.draw(st.sets(st.integers(begin, len(request)), max_size=5)))
    pieces = [request[a:b] for a, b in pairwise([0, *ends, len(request)]) if b > a]
    before = ways.taken
    found = ways.run(pieces, quick=True)
    assert ways.taken == before + 1
    assert found == ways.run(pieces, quick=False)
    assert found[0].endswith(body)


@FIXTURE
@given(st.lists(requests(), min_size=1, max_size=3))
def test_requests_while_scanners_are_active(ways: Ways, pieces: list[bytes]) -> None:
    before = ways.site.generation
    scanned_by(ways.site, StandIn())
    try:
        assert ways.run(pieces, quick=True) == ways.run(pieces, quick=False)
    finally:
        ways.site.replace(before)


def test_scanners_leave_the_shortcut_to_what_has_no_body_and_needs_no_edit(ways: Ways) -> None:
    before = ways.site.generation
    scanned_by(ways.site, StandIn())
    fields = ["Host: a.example", "Accept-Encoding: gzip, deflate, br, zstd"]
    ways.run([reqmod(http=fields), respmod()], quick=True)
    assert ways.taken == 2
    edited = [[*fields[:1], "Accept-Encoding: sdch"], [*fields, "Range: bytes=0-9"]]
    ways.run([*(reqmod(http=each) for each in edited), respmod(lines=PREVIEW, body=chunks(b"a"))], quick=True)
    assert ways.taken == 2
    ways.site.replace(before)


SQUIDS = (
    "Date: Tue, 24 Nov 2026 09:00:00 GMT",
    "Preview: 0",
    "Allow: 204, trailers",
    "X-Client-IP: 192.0.2.1",
)
PREVIEW = (*SQUIDS[:1], "Preview: 1024", *SQUIDS[2:])


@pytest.mark.parametrize(
    "data",
    [
        reqmod(),
        reqmod(lines=SQUIDS),
        reqmod(lines=[*SQUIDS, "X-Client-Username: YW5uYQ==", "X-Icapd-Fragment: 1", "X-SNI: a.example"]),
        reqmod(method="POST", http=["Host: a.example", "Content-Length: 0"], lines=SQUIDS),
        reqmod(
            method="POST", http=["Content-Length: 5", "Host: a.example"], lines=PREVIEW, body=chunks(b"hello")
        ),
        reqmod("http://bad.example/", http=["Host: bad.example"]),
        reqmod("http://ads.example/", "POST", http=["Host: ads.example"], lines=PREVIEW, body=chunks(b"a")),
        reqmod("http://good.ads.example/", http=["Host: good.ads.example"]),
        reqmod("http://trusted.example/", http=["Host: trusted.example"]),
        respmod(lines=SQUIDS),
        respmod(lines=[*SQUIDS, "X-Server-IP: 192.0.2.80"]),
        respmod(lines=PREVIEW, body=chunks(b"x" * 1024)),
        respmod(lines=PREVIEW, body=b"5\r\nhello\r\n0; ieof\r\n\r\n"),
    ],
)
def test_what_squid_sends_takes_the_shortcut(ways: Ways, data: bytes) -> None:
    ways.run([data, data], quick=True)
    assert ways.taken == 2
    assert len(ways.lines) == 2


@pytest.mark.parametrize(
    "data",
    [
        reqmod("http://old.example/", http=["Host: old.example"]),
        reqmod("http://post.example/", http=["Host: post.example"]),
        reqmod("http://but.example/", http=["Host: but.example"]),
        reqmod("http://shadow.example/", http=["Host: shadow.example"]),
        reqmod("http://list.example/", http=["Host: list.example"]),
        respmod("http://bad.example/"),
        reqmod(http=["Host: bad.example"]),
        reqmod("bad.example:443", "CONNECT"),
        reqmod(lines=["Allow: 204", "X-SNI: bad.example"]),
        reqmod(lines=["Allow: 204", "Connection: close"]),
        respmod(lines=["Allow: 204", "X-Server-IP: 10.1.2.3"]),
        reqmod(lines=()),
        reqmod() + b"X",
        respmod(lines=["Preview: 4"], body=b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        respmod(body=chunks(b"hello")),
    ],
)
def test_what_is_not_plain_does_not(ways: Ways, data: bytes) -> None:
    ways.run([data], quick=True)
    assert ways.taken == 0


def test_a_site_that_drains_takes_the_long_way(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways.site, "draining", True)
    assert b"Connection: close" in ways.run([reqmod()], quick=True)[0]
    assert ways.taken == 0


def test_the_rest_of_a_body_after_its_preview_was_answered_is_not_answered(ways: Ways) -> None:
    preview = respmod(lines=PREVIEW, body=chunks(b"hello"))
    sent, *_ = ways.run([preview, chunks(b"the rest")], quick=True)
    assert ways.taken == 1
    assert sent.count(b"ICAP/1.0 ") == 1


def test_a_fault_in_the_shortcut_costs_nothing_and_in_the_policy_answers_500(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = shared_site.generation.policy

    def fails(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(type(policy), "of_host", fails)
    pages = dataclasses.replace(shared_site.generation.pages)  # or what it knows would not be asked anew
    shared_site.replace(dataclasses.replace(shared_site.generation, pages=pages))
    protocol, link = connected(shared_site)
    protocol.dataReceived(reqmod())
    assert link.sent.startswith(b"ICAP/1.0 204 ")
    monkeypatch.setattr(type(policy), "decide", fails)
    with capturedLogs() as logs:
        protocol.dataReceived(reqmod())
    assert b"ICAP/1.0 500 " in link.sent
    assert protocol.decision_id in str(logs)
