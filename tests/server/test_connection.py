"""One connection, over a double of its transport: what is sent when, and when it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from icapd.protocol import ServerConnection
from icapd.server.site import Generation
from tests.server.asking import answers, chunks, icap, options, reqmod, respmod
from tests.server.conftest import connected, ticks
from tests.server.doubles import LOST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from icapd.server.site import Site

ECHO = respmod(lines=(), body=chunks(b"x" * 10, b"y" * 20))  # no 204 allowed: everything goes back
PREVIEW = respmod(lines=("Preview: 4",), body=chunks(b"abcd"))
MIXED = (
    ("OPTIONS", options()),
    ("REQMOD", reqmod()),
    ("REQMOD", reqmod("http://bad.example/")),
    ("RESPMOD", ECHO),
    ("RESPMOD", PREVIEW),
    ("REQMOD", reqmod("http://old.example/x", "POST", body=chunks(b"form"))),
    ("REQMOD", reqmod()),
)


class Broken:
    """A policy with a bug."""

    digest = "0" * 16

    def decide(self, _tx: object) -> object:
        msg = "a bug in the policy"
        raise RuntimeError(msg)


def broken(site: Site) -> Generation:
    good = site.generation
    return Generation(Broken(), good.pages, good.istag)  # type: ignore[arg-type]  # a double with a bug


def test_an_allowed_request_is_one_send(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod())
    assert len(link.socket.taken) == 1
    (answer,) = answers(link.sent, "REQMOD")
    assert answer.status == 204
    assert answer.get("connection") == "keep-alive"


def test_requests_in_a_row_are_answered_in_order(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(b"".join(request for _, request in MIXED))
    found = answers(link.sent, *(method for method, _ in MIXED))
    assert [answer.status for answer in found] == [200, 204, 200, 200, 204, 200, 204]
    assert found[3].body == b"x" * 10 + b"y" * 20
    assert found[2].http_head is not None
    assert found[2].http_head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert not link.ended


@given(st.data())
def test_no_cut_of_the_input_and_no_pace_of_the_reader_changes_what_is_sent(
    shared_site: Site, data: st.DataObject
) -> None:
    stream = b"".join(request for _, request in MIXED)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    protocol, link = connected(shared_site)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        link.socket.room = data.draw(st.sampled_from([0, 1, 50, 10_000])) if not link.held else 0
        if end > start:
            protocol.dataReceived(stream[start:end])
        while link.held:
            assert not link.reading
            link.take(data.draw(st.sampled_from([1000, 10_000])))
        assert link.reading
    found = answers(link.sent, *(method for method, _ in MIXED))
    assert [answer.status for answer in found] == [200, 204, 200, 200, 204, 200, 204]
    protocol.connectionLost(LOST)


# -- backpressure ------------------------------------------------------------------------------------


def test_while_the_reader_is_slow_nothing_is_read_and_nothing_else_begins(site: Site, tmp_path: Path) -> None:
    protocol, link = connected(site)
    link.socket.room = 5
    protocol.dataReceived(reqmod() + reqmod() + reqmod())
    paused = not link.reading
    site.decisions.flush()
    assert paused
    assert len((tmp_path / "decisions.log").read_text().splitlines()) == 1
    link.take()
    assert link.reading
    assert [answer.status for answer in answers(link.sent, *["REQMOD"] * 3)] == [204] * 3


def test_a_reader_that_stops_is_cut_and_one_that_goes_on_is_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = iter([True] * 40 + [False] * 40)
    monkeypatch.setattr("icapd.server.sending.DirectSender.progressed", lambda _: next(moved))
    protocol, link = connected(site)
    link.socket.room = 5
    protocol.dataReceived(reqmod())
    ticks(site, 20)
    assert not link.aborted
    ticks(site, 4)
    assert link.aborted


def test_a_close_waits_for_what_is_held(site: Site) -> None:
    protocol, link = connected(site)
    link.socket.room = 5
    protocol.dataReceived(reqmod().replace(b"/reqmod", b"/nowhere"))
    assert not link.ended
    link.take()
    assert link.half_closed
    assert link.reading


def test_a_peer_that_resets_at_a_send_costs_one_decision(site: Site, tmp_path: Path) -> None:
    protocol, link = connected(site)
    link.socket.reset = True
    protocol.dataReceived(reqmod() * 5)
    assert link.aborted
    ticks(site, 5)
    assert len((tmp_path / "decisions.log").read_text().splitlines()) == 1
    protocol.connectionLost(LOST)
    assert not site.connections


# -- deadlines ---------------------------------------------------------------------------------------


def test_a_head_that_does_not_end_is_answered_408(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(b"OPTI")
    for _ in range(4):  # a byte now and then does not help
        ticks(site, 0.5)
        protocol.dataReceived(b"O")
    assert not link.sent
    ticks(site, 1)
    (answer,) = answers(link.sent, "OPTIONS")
    assert (answer.status, answer.get("connection")) == (408, "close")
    assert link.half_closed


def test_an_encapsulated_head_counts_as_head(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod()[:-10])
    ticks(site, 3)
    assert answers(link.sent, "REQMOD")[0].status == 408


def test_a_body_may_take_long_while_it_goes_on(site: Site) -> None:
    protocol, link = connected(site)
    body = reqmod(method="POST", body=chunks(b"x" * 20))
    protocol.dataReceived(body[:-30])
    for byte in body[-30:]:
        ticks(site, 2)
        protocol.dataReceived(bytes([byte]))
    assert answers(link.sent, "REQMOD")[0].status == 204


def test_a_body_that_stalls_is_answered_408(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 20))[:-10])
    ticks(site, 4)
    assert answers(link.sent, "REQMOD")[0].status == 408
    assert link.half_closed


def test_a_body_that_stalls_after_its_echo_has_begun_is_cut_without_last_chunk(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(ECHO[:-10])
    ticks(site, 4)
    assert link.aborted
    assert not link.sent.endswith(b"0\r\n\r\n")


def test_an_idle_connection_is_closed_by_fin_without_a_word(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod())
    sent = link.sent
    ticks(site, 61)
    assert not link.ended
    ticks(site, 1)
    assert link.half_closed
    assert link.sent == sent
    ticks(site, 2)
    assert link.aborted


def test_a_peer_that_closes_in_time_after_our_fin_is_not_cut(site: Site) -> None:
    protocol, link = connected(site)
    ticks(site, 62)
    protocol.dataReceived(reqmod())  # crossed our FIN: never answered, the client asks again
    protocol.readConnectionLost()
    assert link.closed
    assert not link.sent


def test_a_body_without_its_last_crlf_ends_after_a_second(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(ECHO[:-2])
    ticks(site, 0.5)
    assert not link.ended
    ticks(site, 1)
    (answer,) = answers(link.sent, "RESPMOD")
    assert answer.body == b"x" * 10 + b"y" * 20
    assert link.half_closed


def test_a_fault_of_one_connection_does_not_stop_the_clock(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, bad_link = connected(site)
    _, link = connected(site)

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(bad, "check_deadline", fail)
    with capturedLogs() as logs:
        ticks(site, 62)
    assert bad_link.aborted
    assert link.half_closed
    assert logs


# -- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (icap("x", "req-hdr=0, null-body=4").replace(b"X icap", b"REQMOD icap"), 400),
        (reqmod().replace(b"/reqmod", b"/nowhere"), 404),
        (reqmod().replace(b"/reqmod", b"/respmod"), 405),
        (reqmod().replace(b"REQMOD icap", b"FOOMOD icap"), 501),
        (reqmod().replace(b"ICAP/1.0", b"ICAP/2.0"), 505),
        (reqmod().replace(b"Encapsulated", b"Encapsulatee"), 400),
        (reqmod().replace(b"GET http", b"GET\thttp"), 400),
    ],
)
def test_what_cannot_be_served_is_answered_and_closed(site: Site, request_: bytes, status: int) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(request_ + reqmod())
    (answer,) = answers(link.sent, "REQMOD")
    assert (answer.status, answer.get("connection")) == (status, "close")
    assert link.half_closed


def test_a_body_over_the_limit_is_answered_413(make_site: Callable[..., Site]) -> None:
    site = make_site(body_bytes="15")
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 15)))
    protocol.dataReceived(reqmod(method="POST", body=chunks(b"x" * 10, b"y" * 6)))
    assert [answer.status for answer in answers(link.sent, "REQMOD", "REQMOD")] == [204, 413]
    assert link.half_closed


def test_one_connection_too_many_is_answered_503(make_site: Callable[..., Site]) -> None:
    site = make_site(connections="2")
    links = [connected(site)[1] for _ in range(3)]
    assert [link.sent for link in links[:2]] == [b"", b""]
    (answer,) = answers(links[2].sent, "OPTIONS")
    assert (answer.status, answer.get("connection")) == (503, "close")
    assert links[2].half_closed


@pytest.mark.parametrize("rest", [b"zz\r\n", None])
def test_after_an_early_answer_a_broken_or_ended_body_gets_no_second_one(
    site: Site, rest: bytes | None
) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod("http://bad.example/", "POST", body=b"4\r\nabcd\r\n"))
    sent = link.sent
    assert answers(sent, "REQMOD")[0].status == 200
    if rest is None:
        protocol.readConnectionLost()
    else:
        protocol.dataReceived(rest)
    assert link.sent == sent
    assert link.ended


def test_the_rest_of_a_body_nobody_needs_is_dropped_and_the_connection_goes_on(site: Site) -> None:
    protocol, link = connected(site)
    request = reqmod("http://bad.example/", "POST", body=chunks(b"a" * 5000))
    protocol.dataReceived(request[:400])
    assert answers(link.sent, "REQMOD")[0].status == 200
    protocol.dataReceived(request[400:] + reqmod())
    assert [answer.status for answer in answers(link.sent, "REQMOD", "REQMOD")] == [200, 204]


# -- what was not foreseen ---------------------------------------------------------------------------


def test_a_bug_answers_500_is_logged_with_its_id_and_costs_one_connection(site: Site, tmp_path: Path) -> None:
    good = site.generation
    site.replace(broken(site))
    protocol, link = connected(site)
    with capturedLogs() as logs:
        protocol.dataReceived(reqmod("http://user:secret@a.example/"))
    (answer,) = answers(link.sent, "REQMOD")
    assert (answer.status, answer.get("connection")) == (500, "close")
    (event,) = logs
    assert "a bug in the policy" in event["log_failure"].getTraceback()
    site.decisions.flush()
    (line,) = (tmp_path / "decisions.log").read_text().splitlines()
    record = json.loads(line)
    assert (record["id"], record["action"], record["status"]) == (event["id"], "error", 500)
    assert "secret" not in line
    site.replace(good)
    protocol, link = connected(site)
    protocol.dataReceived(reqmod())
    assert answers(link.sent, "REQMOD")[0].status == 204


def test_a_bug_after_an_answer_has_begun_cuts_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(ServerConnection, "send_data", fail)
    protocol, link = connected(site)
    with capturedLogs():
        protocol.dataReceived(ECHO.replace(b"\r\n0\r\n\r\n", b"\r\n0; not-plain\r\n\r\n"))
    assert link.aborted
    assert b"500" not in link.sent
    assert not link.sent.endswith(b"0\r\n\r\n")


# -- ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_", [options(), reqmod(), ECHO, PREVIEW], ids=["options", "reqmod", "echo", "preview"]
)
def test_an_abort_at_any_byte_leaves_nothing_behind(site: Site, request_: bytes) -> None:
    for end in range(len(request_) + 1):
        protocol, link = connected(site)
        if end:
            protocol.dataReceived(request_[:end])
        protocol.connectionLost(LOST)
        ticks(site, 0.5)
        assert not link.aborted
    assert not site.connections


@pytest.mark.parametrize(
    "request_", [options(), reqmod(), ECHO, PREVIEW], ids=["options", "reqmod", "echo", "preview"]
)
def test_a_half_close_ends_every_request_in_order(site: Site, request_: bytes) -> None:
    method = request_.split(b" ")[0].decode()
    for end in range(len(request_) + 1):
        protocol, link = connected(site)
        if end:
            protocol.dataReceived(request_[:end])
        protocol.readConnectionLost()
        assert link.closed or link.aborted
        if end == len(request_):
            assert answers(link.sent, method)[0].status in {200, 204}
        elif not link.aborted and link.sent:
            assert answers(link.sent, method)[0].status == 400


def test_what_comes_behind_a_close_is_dropped_for_a_while_then_cut(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(reqmod(lines=("Allow: 204", "Connection: close")) + reqmod())
    assert answers(link.sent, "REQMOD")[0].get("connection") == "close"
    assert link.half_closed
    assert link.reading
    ticks(site, 1)
    protocol.dataReceived(b"x" * 100_000)
    assert not link.aborted
    ticks(site, 1)
    assert link.aborted


def test_a_drain_closes_idle_connections_and_lets_others_finish(site: Site) -> None:
    idle, half, body, dropped, slow = (connected(site) for _ in range(5))
    half[0].dataReceived(reqmod()[:-10])
    body[0].dataReceived(reqmod(method="POST", body=chunks(b"x" * 20))[:-10])
    dropped[0].dataReceived(reqmod("http://bad.example/", "POST", body=chunks(b"x" * 20))[:-10])
    slow[1].socket.room = 0
    slow[0].dataReceived(reqmod())
    site.draining = True
    for protocol in tuple(site.connections):
        protocol.close_if_idle()
    assert idle[1].half_closed
    assert not any(link.ended for _, link in (half, body, dropped, slow))
    half[0].dataReceived(reqmod()[-10:])
    assert answers(half[1].sent, "REQMOD")[0].get("connection") == "close"
    body[0].dataReceived(chunks(b"x" * 20)[-10:])
    assert answers(body[1].sent, "REQMOD")[0].get("connection") == "close"
    dropped[0].dataReceived(chunks(b"x" * 20)[-10:])
    slow[1].take()
    assert all(link.half_closed for _, link in (half, body, dropped, slow))


def test_a_body_is_not_read_for_ever_once_nobody_needs_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icapd.server.lifetime._DRAIN_BYTES", 1000)
    protocol, link = connected(site)
    protocol.dataReceived(reqmod("http://bad.example/", "POST", body=b"fffff\r\n" + b"x" * 2000))
    ticks(site, 0.5)
    assert link.half_closed


def test_only_a_few_warnings_are_shown_of_a_flood(site: Site) -> None:
    with capturedLogs() as logs:
        for _ in range(100):
            protocol, _link = connected(site)
            protocol.dataReceived(b"rubbish\r\n\r\n")
            protocol.connectionLost(LOST)
        site.on_tick()
    assert len(logs) == 21
    assert logs[-1]["count"] == 80


# -- a preview that pauses: an event stream whose first bytes are few ---------------------------------


@pytest.mark.parametrize("rest", [b"d\r\n0\r\n\r\n", b"d\r\n0; ieof\r\n\r\n"])
def test_a_preview_that_pauses_is_answered_from_its_heads(site: Site, rest: bytes) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(PREVIEW[: PREVIEW.index(b"abcd") + 3])
    ticks(site, 2.5)
    (answer,) = answers(link.sent, "RESPMOD")
    assert (answer.status, answer.get("connection")) == (204, "keep-alive")
    protocol.dataReceived(rest + reqmod())
    assert [found.status for found in answers(link.sent, "RESPMOD", "REQMOD")] == [204, 204]
    assert not link.ended


def test_a_preview_that_pauses_for_ever_ends_without_a_second_answer(site: Site) -> None:
    protocol, link = connected(site)
    protocol.dataReceived(PREVIEW[: PREVIEW.index(b"abcd") + 3])
    ticks(site, 30)
    assert [found.status for found in answers(link.sent, "RESPMOD")] == [204]
    assert link.ended
