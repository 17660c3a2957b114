"""Bodies that are read: whatever passes is unchanged to the byte, whatever is blocked does not get out."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.policy import load_policy
from icapd.verdicts import Finding, Kind
from tests.server.asking import OK, answers, chunks, head_of, icap, reqmod
from tests.server.conftest import connected, new_site, ticks
from tests.server.doubles import LOST, Link
from tests.server.scanner import MARK, StandIn, scanned_by

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from icapd.server.connection import IcapProtocol
    from icapd.server.site import Site
    from tests.cases.icap_cases import Resp

_RANDOM = random.Random(4)
PATTERN = _RANDOM.randbytes(1 << 20)
BOUNDARIES: tuple[int, ...] = (1023, 1024, 1025, 4096, 32768, 59_999, 60_000, 60_001, 62_999, 63_000, 63_001)
BOUNDARIES += (65_535, 65_536, 65_537, 92_767, 92_768, 92_769, 262_143, 262_144, 262_145, 600_000)
SIZES = (*range(201), *BOUNDARIES)
CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"


def response(
    body: bytes | None,
    *,
    lines: Iterable[str] = (),
    http: bytes = b"",
    url: str = "http://a.example/x",
    request: Iterable[str] = (),
) -> bytes:
    """A RESPMOD without its body's coding."""
    head = head_of("GET", url, ("Host: a.example", *request))
    answer = OK[:-2] + http + b"\r\n"
    kind = "null" if body is None else "res"
    parts = f"req-hdr=0, res-hdr={len(head)}, {kind}-body={len(head) + len(answer)}"
    return icap("respmod", parts, head, answer, lines=lines)


def cut(body: bytes, sizes: Iterable[int]) -> bytes:
    """`body` in chunks of `sizes` over and over."""
    pieces: list[bytes] = []
    at = 0
    sizes = tuple(sizes)
    while at < len(body):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[at : at + size])
        at += size
    return chunks(*pieces)


class Client:
    """Speaks as Squid does: preview, then the rest if it is asked for."""

    def __init__(self, site: Site) -> None:
        self.protocol, self.link = connected(site)

    def send(self, data: bytes, step: int = 65536) -> None:
        for at in range(0, len(data), step):
            if not self.link.ended:
                self.protocol.dataReceived(data[at : at + step])

    def ask(self, head: bytes, body: bytes, *, preview: int | None, pieces: Iterable[int] = (4096,)) -> Resp:
        """Send a message with `body`, return the answer."""
        if preview is None:
            self.send(head + cut(body, pieces))
        elif len(body) <= preview:
            self.send(head + cut(body, pieces)[: -len(b"0\r\n\r\n")] + b"0; ieof\r\n\r\n")
        else:
            self.send(head + cut(body[:preview], pieces))
            if self.link.sent == CONTINUE:
                self.link.socket.taken.clear()
                self.send(cut(body[preview:], pieces))
        method = "RESPMOD" if head.startswith(b"RESPMOD") else "REQMOD"
        (answer,) = answers(self.link.sent, method)
        return answer


def lines_of(preview: int | None, allow: str) -> list[str]:
    return ([] if preview is None else [f"Preview: {preview}"]) + ([f"Allow: {allow}"] if allow else [])


@pytest.fixture(scope="module")
def scanned_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = new_site(tmp_path_factory.mktemp("site"))
    scanned_by(site, StandIn())
    return site


@pytest.mark.parametrize("allow", ["", "204", "204, 206"])
@pytest.mark.parametrize("preview", [None, 0, 1, 100, 1024])
@pytest.mark.parametrize("upload", [True, False])
def test_what_passes_is_unchanged_at_every_size(
    scanned_site: Site, upload: bool, preview: int | None, allow: str
) -> None:
    for size in SIZES:
        body = PATTERN[:size]
        lines = lines_of(preview, allow)
        head = reqmod(method="POST", lines=lines, body=b"") if upload else response(b"", lines=lines)
        client = Client(scanned_site)
        answer = client.ask(head, body, preview=preview)
        scanner = scanned_site.generation.scans.scanners
        assert isinstance(scanner, StandIn)
        assert scanner.bodies.pop() == body
        if answer.status == 204:
            assert allow or (preview is not None and size <= preview), size
        else:
            assert answer.status == 200
            assert (answer.body or b"") == body, size
        client.protocol.connectionLost(LOST)
    assert (scanned_site.spools.memory, scanned_site.spools.disk) == (0, 0)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_chunking_cut_or_pace_changes_what_passes(scanned_site: Site, data: st.DataObject) -> None:
    size = data.draw(st.one_of(st.integers(0, 300), st.sampled_from(BOUNDARIES)))
    pieces = data.draw(st.lists(st.integers(1, 70_000), min_size=1, max_size=5))
    step = data.draw(st.sampled_from([7, 1000, 65536, 1 << 20]) if size < 1000 else st.just(65536))
    upload = data.draw(st.booleans())
    body = PATTERN[:size]
    head = reqmod(method="POST", lines=(), body=b"") if upload else response(b"", lines=())
    client = Client(scanned_site)
    stream = head + cut(body, pieces)
    for at in range(0, len(stream), step):
        if not client.link.held:
            client.link.socket.room = data.draw(st.sampled_from([0, 10, 5000, 1 << 30]))
        client.protocol.dataReceived(stream[at : at + step])
        while client.link.held:
            client.link.take(data.draw(st.sampled_from([1000, 100_000])))
    (answer,) = answers(client.link.sent, "REQMOD" if upload else "RESPMOD")
    assert (answer.body or b"") == body
    client.protocol.connectionLost(LOST)


@pytest.mark.parametrize("preview", [None, 1024])
@pytest.mark.parametrize("size", [10, 1024, 2000, 59_990])
def test_what_is_found_in_a_short_body_is_answered_by_the_page(
    scanned_site: Site, size: int, preview: int | None
) -> None:
    body = PATTERN[: size - len(MARK)] + MARK
    client = Client(scanned_site)
    answer = client.ask(response(b"", lines=lines_of(preview, "")), body, preview=preview)
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert MARK not in client.link.sent
    assert answer.get("x-virus-id") == "Test.Malware"


@pytest.mark.parametrize("size", [10, 70_000, 700_000])
def test_an_upload_is_held_whole(scanned_site: Site, size: int) -> None:
    body = PATTERN[: size - len(MARK)] + MARK
    client = Client(scanned_site)
    answer = client.ask(reqmod(method="POST", lines=["Preview: 1024"], body=b""), body, preview=1024)
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert answer.body is not None
    assert len(client.link.sent) < 10_000


def begun(site: Site, size: int) -> tuple[IcapProtocol, Link]:
    """A download of which `size` bytes have come, and more is to come."""
    protocol, link = connected(site)
    protocol.dataReceived(response(b"", lines=["Preview: 0"]) + b"0\r\n\r\n")
    assert link.sent == CONTINUE
    link.socket.taken.clear()
    protocol.dataReceived(b"%x\r\n%b\r\n" % (size, PATTERN[:size]))
    return protocol, link


def test_a_long_download_begins_before_squid_stalls_and_holds_its_end(scanned_site: Site) -> None:
    _, link = begun(scanned_site, 59_999)
    assert link.sent == b""
    for size in (60_000, 63_000, 65_535):
        protocol, link = begun(scanned_site, size)
        head, _, rest = link.sent.partition(b"\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert head.startswith(b"ICAP/1.0 200 OK")
        sent = rest.partition(b"\r\n\r\n")[2]
        assert len(sent) >= 1
        assert len(sent) < size - 32 * 1024 + 20
        protocol.connectionLost(LOST)


@pytest.mark.parametrize("passes", [True, False])
def test_a_client_that_keeps_a_long_copy_is_answered_in_a_word(scanned_site: Site, passes: bool) -> None:
    body = PATTERN[:300_000] + (b"" if passes else MARK)
    http = b"Content-Length: %d\r\n" % len(body)
    head = response(b"", lines=["Preview: 1024", "Allow: 204"], http=http)
    client = Client(scanned_site)
    answer = client.ask(head, body, preview=1024)
    assert answer.status == (204 if passes else 200)
    assert passes or (answer.http_head or b"").startswith(b"HTTP/1.1 403 ")


def test_a_late_block_cuts_is_recorded_and_told_on_the_next_page(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanned_by(site, StandIn())
    protocol, link = begun(site, 70_000)
    protocol.dataReceived(chunks(MARK))
    assert link.aborted
    assert not link.sent.endswith(b"0\r\n\r\n")
    assert MARK not in link.sent
    site.decisions.flush()
    record = json.loads((tmp_path / "decisions.log").read_text().splitlines()[-1])
    assert (record["action"], record["late"], record["scan"]) == ("block", True, "scanned")

    def asked(url: str, *http: str) -> Resp:
        _, link = connected(site)
        _.dataReceived(reqmod(url, http=("Host: a.example", *http)))
        return answers(link.sent, "REQMOD")[0]

    assert asked("http://a.example/image.png").status == 204  # a page's part is not where to tell it
    opens = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    page = asked("http://a.example/next?a=1&b=2", *opens)
    assert page.body is not None
    assert b'<a href="http://a.example/next?a=1&amp;b=2">' in page.body
    assert b"http://a.example/x" in page.body
    assert b"Test.Malware" in page.body
    assert asked("http://a.example/next?a=1&b=2", *opens).status == 204  # once
    again = asked("http://a.example/x")
    assert again.http_head is not None
    assert again.http_head.startswith(b"HTTP/1.1 403 ")


def test_a_trickle_goes_at_its_rate_and_never_stalls_squid(tmp_path: Path) -> None:
    site = new_site(tmp_path, delivery={"rate": "1000", "delay": "2", "hold": "10k"}, body="20")
    scanned_by(site, StandIn())
    protocol, link = begun(site, 65_535)
    first = len(link.sent)
    assert link.sent.endswith(b"\r\n1\r\n" + PATTERN[:1] + b"\r\n")  # a byte at once: Squid would stall
    ticks(site, 2)
    assert len(link.sent) == first
    ticks(site, 2)
    assert 1900 < len(link.sent) - first < 2200
    protocol.connectionLost(LOST)


def test_a_declared_length_that_is_too_large_follows_the_policy_before_anything_is_read(
    tmp_path: Path,
) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn(), max_size=1000)
    client = Client(site)
    head = response(b"", lines=["Preview: 10"], http=b"Content-Length: 2000\r\n")
    assert client.ask(head, PATTERN[:2000], preview=10).status == 204
    assert scanner.bodies == []


@pytest.mark.parametrize("allow", ["", "204"])
def test_a_body_that_grows_too_large_goes_on_as_it_comes(tmp_path: Path, allow: str) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn(), max_size=1000)
    client = Client(site)
    body = PATTERN[:300_000]
    answer = client.ask(response(b"", lines=lines_of(10, allow)), body, preview=10, pieces=(700,))
    assert (answer.status, answer.body) == (200, body)
    assert scanner.bodies == []
    assert (site.spools.memory, site.spools.disk) == (0, 0)


@pytest.mark.parametrize("start", [b"data: one\n\n", b": hello\n"])
def test_an_event_stream_is_let_go(tmp_path: Path, start: bytes) -> None:
    site = new_site(tmp_path)
    scanned_by(site, StandIn())
    protocol, link = connected(site)
    head = response(b"", lines=["Preview: 1024"], http=b"Content-Type: text/event-stream\r\n")
    protocol.dataReceived(head + chunks(start)[:-5])
    ticks(site, 3)
    (answer,) = answers(link.sent, "RESPMOD")
    assert answer.status == 204


def test_what_only_calls_itself_a_stream_is_read(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn())
    head = response(b"", lines=["Preview: 4"], http=b"Content-Type: text/event-stream\r\n")
    answer = Client(site).ask(head, b"MZ\x90\0" + PATTERN[:5000] + MARK, preview=4)
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert scanner.bodies


def drip(site: Site, start: bytes, seconds: int) -> tuple[IcapProtocol, Link]:
    """A response of no known length of which ten bytes come each second, behind `start`."""
    protocol, link = connected(site)
    protocol.dataReceived(response(b"") + chunks(start)[:-5])
    for _ in range(seconds):
        protocol.dataReceived(b"a\r\n" + b"x" * 10 + b"\r\n")
        ticks(site, 1)
    return protocol, link


@pytest.mark.parametrize("start", [b"hello", b"<html><body>", b"ID3\x04\0\0\0\0\0\0"])
def test_what_is_shown_as_it_drips_is_let_go_as_a_stream(tmp_path: Path, start: bytes) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn())
    _, link = drip(site, start, 29)
    assert link.sent == b""
    protocol, link = drip(site, start, 32)
    assert link.sent.startswith(b"ICAP/1.0 200 OK\r\n")
    protocol.dataReceived(b"0\r\n\r\n")
    (answer,) = answers(link.sent, "RESPMOD")
    assert answer.body == start + b"x" * 320
    assert scanner.bodies == []


@pytest.mark.parametrize("start", [b"\x7fELF\x02\x01\x01", b"PK\x03\x04" + bytes(30), b"%PDF-1.7\n"])
def test_a_file_that_drips_is_waited_for_and_scanned(tmp_path: Path, start: bytes) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn())
    protocol, link = drip(site, start + MARK, 90)
    assert link.sent == b""
    protocol.dataReceived(b"0\r\n\r\n")
    (answer,) = answers(link.sent, "RESPMOD")
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert scanner.bodies


@pytest.mark.parametrize(("start", "passes"), [(b"hello", True), (b"%PDF-1.7\n", False)])
def test_what_falls_silent_is_a_stream_or_cannot_be_scanned(
    tmp_path: Path, start: bytes, passes: bool
) -> None:
    site = new_site(tmp_path)
    scanned_by(site, StandIn())
    _, link = drip(site, start, 1)
    ticks(site, 22)
    assert (b"403" not in link.sent) is passes
    assert (start in link.sent) is passes


def test_a_scan_is_waited_for_and_ends_when_the_client_is_gone(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn(waits=True))
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"form")) + reqmod())
    ticks(site, 20)  # beyond limits.body: there is nothing to come
    assert link.sent == b""
    scanner.go_on()
    assert [answer.status for answer in answers(link.sent, "REQMOD", "REQMOD")] == [204, 204]
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"form")))
    protocol.connectionLost(LOST)
    assert scanner.cancelled == 1
    assert (site.spools.memory, site.spools.disk) == (0, 0)


def test_a_scan_that_takes_too_long_counts_as_none(tmp_path: Path) -> None:
    site = new_site(tmp_path, scan="5")
    scanner = scanned_by(site, StandIn(waits=True))
    _, link = connected(site)
    _.dataReceived(reqmod(method="POST", body=chunks(b"form")))
    ticks(site, 6)
    (answer,) = answers(link.sent, "REQMOD")
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert scanner.cancelled == 1


def test_what_finds_no_room_waits_then_follows_the_policy(tmp_path: Path) -> None:
    spool = {"memory": "10000", "body_memory": "10000", "disk": "100000", "wait": "4"}
    site = new_site(tmp_path, spool={**spool, "directory": str(tmp_path)})
    scanned_by(site, StandIn())
    clients = [connected(site) for _ in range(3)]
    for protocol, link in clients:
        protocol.dataReceived(reqmod(method="POST", lines=(), body=b"ea60\r\n" + PATTERN[:60_000]))
        assert not link.sent
    (first, first_link), (second, second_link), (third, third_link) = clients
    assert first_link.reading
    assert not second_link.reading
    first.dataReceived(b"\r\n0\r\n\r\n")  # makes room for the next
    assert answers(first_link.sent, "REQMOD")[0].body == PATTERN[:60_000]
    assert second_link.reading
    assert not third_link.reading
    ticks(site, 2)
    second.dataReceived(b"\r\n")
    ticks(site, 2.5)
    assert answers(third_link.sent, "REQMOD")[0].get("x-response-info") == "Blocked"
    second.dataReceived(b"0\r\n\r\n")
    assert answers(second_link.sent, "REQMOD")[0].body == PATTERN[:60_000]
    assert third is not None
    assert site.spools.disk == 0


def test_a_client_that_sends_all_before_it_reads_is_served_from_the_spool(site: Site) -> None:
    body = PATTERN * 2
    protocol, link = connected(site)
    link.socket.room = 1000
    stream = response(b"", lines=()) + cut(body, (30_000,))
    at = 0
    for _ in range(200):
        while at < len(stream) and link.reading:
            protocol.dataReceived(stream[at : at + 65536])
            at += 65536
        if at >= len(stream):
            break
        ticks(site, 0.5)
    assert at >= len(stream)
    while link.held:
        link.take()
    (answer,) = answers(link.sent, "RESPMOD")
    assert answer.body is not None
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def test_lines_in_the_log_tell_the_true_status(tmp_path: Path) -> None:
    site = new_site(tmp_path, body_bytes="10")
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 20)))
    assert answers(link.sent, "REQMOD")[0].status == 413
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 5))[:-5])
    ticks(site, 5)
    assert answers(link.sent, "REQMOD")[0].status == 408
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 5))[:-5])
    protocol.connectionLost(LOST)
    site.decisions.flush()
    lines = (tmp_path / "decisions.log").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [413, 408, 0]


def test_a_request_is_edited_with_its_body(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanned_by(site, StandIn())
    for method, body in (("GET", None), ("POST", PATTERN[:5000])):
        client = Client(site)
        http = ("Host: a.example", "Accept-Encoding: gzip, dcb")
        head = reqmod(method=method, http=http, lines=["Preview: 10", "Allow: 204"], body=body and b"")
        if body is None:
            client.send(head)
            (answer,) = answers(client.link.sent, "REQMOD")
        else:
            answer = client.ask(head, body, preview=10)
        assert answer.http_head is not None
        assert b"\r\nAccept-Encoding: gzip\r\n" in answer.http_head
        assert (answer.body or None) == body


# -- what heads alone show, and what the shortcut leaves alone ----------------------------------------


def test_what_a_list_of_threats_holds_is_blocked_by_its_head(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn())
    scanner.head = (Finding(Kind.PHISHING, "list bad", "urls"),)
    protocol, link = connected(site)
    marks = ("Allow: 204", "X-Icapd-Fragment: 1")
    protocol.dataReceived(
        reqmod(method="POST", body=chunks(b"form"))
        + reqmod("a.example:443", "CONNECT", lines=marks)
        + reqmod("http://bad.example/")
    )
    post, connect, access = answers(link.sent, *["REQMOD"] * 3)
    assert post.http_head is not None
    assert post.http_head.startswith(b"HTTP/1.1 403 ")
    assert connect.http_head is not None
    assert b"\r\nX-Icapd-Verdict: block\r\n" in connect.http_head
    assert connect.get("x-icapd-page")
    assert connect.get("x-infection-found")
    assert access.get("x-infection-found") is None  # a rule of access had blocked it before
    assert scanner.bodies == []


def test_the_shortcut_is_not_taken_where_something_is_scanned(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    requests = (
        reqmod(),
        response(None, lines=["Allow: 204"]),
        response(b"", lines=["Preview: 4"]) + chunks(b"abcd"),
    )
    assert all(site.quick.answer(request) is not None for request in requests)
    scanned_by(site, StandIn())
    assert [site.quick.answer(request) is not None for request in requests] == [True, True, False]


def test_what_it_was_not_is_asked_again_when_the_body_is_known(tmp_path: Path) -> None:
    rules = {"access": [{"name": "large", "when": {"size": ["> 100"]}, "action": "block"}]}
    (tmp_path / "size.yaml").write_text(json.dumps(rules))
    site = new_site(tmp_path)
    scanned_by(site, StandIn(), policy=load_policy(tmp_path / "size.yaml"))
    for size, status in ((100, 204), (101, 200)):
        answer = Client(site).ask(reqmod(method="POST", body=b""), PATTERN[:size], preview=None)
        assert answer.status == status


def test_the_istag_follows_the_databases(tmp_path: Path) -> None:
    site = new_site(tmp_path)
    scanner = scanned_by(site, StandIn())
    tags = set()
    for tag in ("1", "2", "2"):
        scanner.tag = tag
        site.on_tick()
        _, link = connected(site)
        _.dataReceived(reqmod())
        tags.add(answers(link.sent, "REQMOD")[0].get("istag"))
    assert len(tags) == 2
    assert all(tag is not None and len(tag) <= 34 for tag in tags)
