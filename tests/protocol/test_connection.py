"""Any way of cutting the input gives the same events; no peer costs more than the limits."""

import contextlib
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.protocol import (
    Answer,
    ClientConnection,
    ProtocolError,
    RemoteProtocolError,
    Request,
    ServerConnection,
)
from icapd.protocol.abnf import MAX_CHUNK_LINE, MAX_HTTP_HEADS, MAX_ICAP_HEAD, MAX_TRAILER
from icapd.protocol.connection import MAX_UNREAD, Connection
from icapd.protocol.server import State
from tests.protocol.playbook import (
    BANNER,
    CLOSED,
    END,
    GET,
    OK,
    POST,
    Playbook,
    Seen,
    icap,
    joined,
    normal,
    pieces,
    pull,
    reqmod,
    request,
)
from tests.protocol.strategies import cuts, spoiled, streams

HELD = (
    2 * MAX_UNREAD + 64 * 1024
)  # bytes a connection may hold for a peer: its buffer, and a copy for a moment


# -- the same for every cut ----------------------------------------------------------------------


def answered(conn: ServerConnection, event: Seen, when: str) -> bytes:
    """Answer as an application would that decides `when`, whatever the segments were."""
    body = event[0] == "request" and event[4]
    if event[0] == "preview":
        return conn.send_continue() if when == "late" else conn.send_answer(Answer(200, OK), BANNER)
    if event[0] == "end" or (event[0] == "request" and (not body or when == "early")):
        return (
            conn.send_unmodified(BANNER)
            if conn.may_204
            else conn.send_answer(Answer(200, OK, body=b"x"), BANNER)
        )
    return b""


def serve(segments: list[bytes], when: str) -> tuple[list[Seen], bytes]:
    """Return all events and all answers; an error ends both."""
    conn, seen, out = ServerConnection(), [], []
    try:
        for segment in [*filter(None, segments), b""]:
            conn.receive(segment)
            while (event := conn.next_event()) is not None:
                seen.append(normal(event))
                if seen[-1] == CLOSED:
                    break
                out.append(answered(conn, seen[-1], when))
            assert conn.unread <= MAX_UNREAD
    except RemoteProtocolError as error:
        seen.append(("error", error.status))
        out.append(conn.send_error(error.status, BANNER))
        assert pull(conn) in ([], [CLOSED])
    return joined(seen), b"".join(out)


@pytest.mark.parametrize("when", ["early", "preview", "late"])
@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_cuts_change_nothing(draw: st.DataObject, when: str) -> None:
    stream = draw.draw(streams())
    expected = serve([stream], when)
    assert serve(draw.draw(cuts(stream)), when) == expected
    assert serve(pieces(stream, 1), when) == expected


@pytest.mark.parametrize("when", ["early", "preview", "late"])
@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_cuts_change_nothing_of_a_spoiled_stream(draw: st.DataObject, when: str) -> None:
    stream = draw.draw(spoiled())
    expected = serve([stream], when)
    assert serve(draw.draw(cuts(stream)), when) == expected
    assert serve(pieces(stream, 1), when) == expected


@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_any_bytes_end_in_events_or_a_protocol_error(draw: st.DataObject) -> None:
    stream = draw.draw(st.binary(max_size=300))
    segments = draw.draw(cuts(stream))
    assert serve(segments, "late") == serve([stream], "late")


@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_cuts_change_nothing_for_the_client(draw: st.DataObject) -> None:
    answers = [
        b"ICAP/1.0 100 Continue\r\n\r\n",
        Answer(204).render(BANNER, close=False),
        Answer(200, OK, body=b"page").render(BANNER, close=draw.draw(st.booleans())),
        Answer(200, POST, b"req", streams=True).render(BANNER, close=False)
        + b"3;a\r\nabc\r\n0\r\nX: y\r\n\r\n",
        Answer(206, POST, b"req", streams=True).render(BANNER, close=False)
        + b"0; use-original-body=2\r\n\r\n",
    ]
    stream = b"".join(draw.draw(st.lists(st.sampled_from(answers), max_size=3)))
    at = draw.draw(st.integers(0, len(stream)))
    if draw.draw(st.booleans()):
        stream = stream[:at] + draw.draw(st.binary(max_size=3)) + stream[at + 1 :]

    def read(segments: list[bytes]) -> list[Seen]:
        conn = ClientConnection()
        seen: list[Seen] = []
        conn.send_request(
            Request(method=b"REQMOD", uri=b"icap://h/s", host=b"h", request_head=POST, body=True, preview=0)
        )
        conn.send_end()
        try:
            for segment in [*filter(None, segments), b""]:
                conn.receive(segment)
                pull(conn, seen)
        except RemoteProtocolError as error:
            seen.append(("error", error.status))
        return joined(seen)

    expected = read([stream])
    assert read(draw.draw(cuts(stream))) == expected
    assert read(pieces(stream, 1)) == expected


# -- both roles, talking to each other -----------------------------------------------------------


class Wire:
    """What one side has sent and the other has not received, delivered in random pieces."""

    def __init__(self, draw: st.DataObject, peer: Connection) -> None:
        self.draw = draw
        self.peer = peer
        self.bytes = b""

    def deliver(self) -> Iterator[Seen]:
        while self.bytes:
            size = self.draw.draw(st.integers(1, len(self.bytes)))
            self.peer.receive(self.bytes[:size])
            self.bytes = self.bytes[size:]
            assert isinstance(self.peer, ServerConnection | ClientConnection)
            while (event := self.peer.next_event()) is not None:
                yield normal(event)


@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_both_roles_in_one_loop(draw: st.DataObject) -> None:
    client, server = ClientConnection(), ServerConnection()
    up, down = Wire(draw, server), Wire(draw, client)
    for _ in range(draw.draw(st.integers(1, 3))):
        converse(draw, client, server, up, down)
    assert server.state is State.HEAD
    assert server.unread == client.unread == 0


def converse(
    draw: st.DataObject, client: ClientConnection, server: ServerConnection, up: Wire, down: Wire
) -> None:
    """One request with its answer: 204, a page, the body back, or 206; in the preview or after it."""
    parts = draw.draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    body, preview = draw.draw(st.booleans()), draw.draw(st.none() | st.integers(0, 40))
    trailer = draw.draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    answer = draw.draw(st.sampled_from(["204", "page", "echo", "206"]))
    goes_on = draw.draw(st.booleans())
    payload = b"".join(parts) if body else b""
    allow = ((b"Allow", b"204, 206"),) if answer in {"204", "206"} else ()
    up.bytes += client.send_request(
        Request(
            method=b"REQMOD",
            uri=b"icap://h/s",
            host=b"h",
            request_head=POST,
            body=body,
            preview=preview,
            headers=allow,
        )
    )
    if body:
        first = payload if preview is None else payload[:preview]
        rest = payload[len(first) :]
        up.bytes += client.send_data(first)
        ieof = preview is not None and not rest
        up.bytes += client.send_end(ieof=ieof, trailer=trailer if preview is None or ieof else b"")
    got: list[Seen] = []
    for event in up.deliver():
        got.append(event)
        if event[0] == "preview" and goes_on:
            down.bytes += server.send_continue()
    if ("preview",) in got and goes_on:
        assert list(down.deliver()) == [("continue",)]
        up.bytes += client.send_data(rest) + client.send_end(trailer=trailer)
        got += list(up.deliver())
    got = joined(item for item in got if item[0] != "preview")
    received = b"".join(item[1] for item in got if item[0] == "data" and isinstance(item[1], bytes))
    wire = b"".join(item[2] for item in got if item[0] == "data" and isinstance(item[2], bytes))
    whole = not body or got[-1][0] == "end"
    assert received == (payload if whole else payload[:preview])
    if whole and body:
        assert got[-1][1] == trailer
    finish(server, down, answer if body or answer in {"204", "page"} else "page", received, wire)
    check(list(down.deliver()), answer if body or answer in {"204", "page"} else "page", received, client)


def finish(server: ServerConnection, down: Wire, answer: str, received: bytes, wire: bytes) -> None:
    match answer:
        case "204":
            down.bytes += server.send_unmodified(BANNER)
        case "page":
            down.bytes += server.send_answer(Answer(200, OK, body=b"page"), BANNER)
        case "echo":
            down.bytes += server.send_answer(Answer(200, POST, b"req", streams=True), BANNER)
            down.bytes += server.send_data(wire) + server.send_end(b"X: y\r\n")
        case "206":
            down.bytes += server.send_answer(Answer(206, POST, b"req", streams=True), BANNER)
            down.bytes += server.send_end(original_from=len(received))


def check(seen: list[Seen], answer: str, received: bytes, client: ClientConnection) -> None:
    seen = joined(seen)
    data = b"".join(item[1] for item in seen if item[0] == "data" and isinstance(item[1], bytes))
    expected: dict[str, tuple[Seen, bytes, Seen | None]] = {
        "204": (("response", 204, None, None, b""), b"", None),
        "page": (("response", 200, None, OK, b"res-body"), b"page", ("end", b"", False, None)),
        "echo": (("response", 200, POST, None, b"req-body"), received, ("end", b"X: y\r\n", False, None)),
        "206": (("response", 206, POST, None, b"req-body"), b"", ("end", b"", False, len(received))),
    }
    head, body, end = expected[answer]
    assert (seen[0], data) == (head, body)
    if end is not None:
        assert seen[-1] == end
    assert not client.reading_body


# -- limits --------------------------------------------------------------------------------------


def padded(size: int, heads: int = len(GET)) -> bytes:
    """Return a REQMOD whose ICAP head has `size` bytes before its blank line, its HTTP head `heads`."""
    http = GET[:-2] + b"X: " + b"y" * (heads - len(GET) - 5) + b"\r\n\r\n" if heads > len(GET) else GET
    head = b"REQMOD icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, null-body=%d\r\nX: " % len(
        http
    )
    return head + b"y" * (size - len(head)) + b"\r\n\r\n" + http


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 3, 4])
def test_head_limit_is_the_same_for_every_cut(extra: int) -> None:
    stream = padded(MAX_ICAP_HEAD + extra)
    end = stream.index(b"\r\n\r\n")
    for segments in (
        [stream],
        *([stream[: end + n], stream[end + n :]] for n in range(5)),
        pieces(stream, 1000),
    ):
        seen, _ = serve(segments, "late")
        assert seen[0] == (("error", 400) if extra > 0 else request(b"REQMOD", head=GET))


def test_largest_legal_head_is_never_paused_for_good() -> None:
    stream = padded(MAX_ICAP_HEAD, MAX_HTTP_HEADS)
    assert len(stream) == MAX_UNREAD
    conn = ServerConnection()
    for piece in pieces(stream, 997):
        assert not conn.wants_pause
        conn.receive(piece)
        event = conn.next_event()
    assert event is not None
    assert normal(event)[:2] == ("request", b"REQMOD")


ENDLESS = {
    "line": (b"OPTIONS icap://h/", b"a" * 999),
    "header": (b"OPTIONS icap://h/s ICAP/1.0\r\nX: ", b"a" * 999),
    "headers": (b"OPTIONS icap://h/s ICAP/1.0", b"\r\nX: y" * 200),
    "folding": (b"OPTIONS icap://h/s ICAP/1.0\r\nX:", b"\r\n y" * 200),
    "cr": (b"OPTIONS icap://h/s ICAP/1.0\r\nX:", b"\r" * 999),
    "http head": (
        icap(b"REQMOD", request=GET[:-2] + b"X: " + b"y" * MAX_HTTP_HEADS + b"\r\n\r\n"),
        b"z" * 999,
    ),
    "chunk size": (reqmod(body=b""), b"0" * 999),
    "extension": (reqmod(body=b"1;"), b"a" * 999),
    "blanks": (reqmod(body=b"1"), b" " * 999),
    "last-chunk's extension": (reqmod(body=b"0;"), b"a" * 999),
    "trailer": (reqmod(body=b"0\r\nX: "), b"a" * 999),
    "trailers": (reqmod(body=b"0\r\n"), b"X: y\r\n" * 200),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless(name: str) -> None:
    """Cut at the limit, nothing held beyond it."""
    start, more = ENDLESS[name]
    conn = ServerConnection()
    conn.receive(start)
    sent, status = len(start), 0
    while not status and sent < 10 * MAX_UNREAD:
        try:
            pull(conn)
        except RemoteProtocolError as error:
            status = error.status
        else:
            conn.receive(more)
            sent += len(more)
    assert status in {400, 413}
    assert sent <= MAX_UNREAD + len(more)


@pytest.mark.parametrize("size", [b"7fffffffffffffff", b"ffffffff", b"100000005"])
def test_announced_sizes_allocate_nothing(size: bytes) -> None:
    conn = ServerConnection()
    conn.receive(reqmod(b"Preview: 2147483647", body=size + b"\r\n"))
    tracemalloc.start()
    for _ in range(200):
        conn.receive(b"x" * 65536)
        assert len(pull(conn)) >= 1
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000
    assert peak < 600_000
    assert conn.unread == 0


def test_a_body_of_many_chunks_holds_nothing() -> None:
    conn = ServerConnection()
    conn.receive(reqmod(body=b""))
    tracemalloc.start()
    for _ in range(300):
        conn.receive(b"1;a=b\r\nx\r\n" * 100 + b"1")
        pull(conn)
        conn.receive(b"\r\nx\r\n")
        pull(conn)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
    assert conn.body_bytes == 300 * 101


def test_a_peer_that_sends_ahead_is_paused() -> None:
    conn = ServerConnection()
    conn.receive(reqmod(b"Allow: 204") * 2)
    pull(conn)
    count = 0
    while not conn.wants_pause:
        conn.receive(reqmod(b"Allow: 204") * 10)
        assert pull(conn) == []
        count += 10
    assert sys.getsizeof(conn._buffer) < HELD
    for _ in range(count + 2):
        conn.send_unmodified(BANNER)
        pull(conn)
    assert conn.unread == 0


def test_empty_lines_without_end_hold_nothing() -> None:
    conn = ServerConnection()
    for _ in range(100):
        conn.receive(b"\r\n" * 1000)
        assert conn.next_event() is None
        assert conn.unread == 0


DRIPS = {
    "ICAP head": padded(MAX_ICAP_HEAD),
    "HTTP head": padded(500, MAX_HTTP_HEADS),
    "extensions": reqmod(body=(b"1;" + b"a" * (MAX_CHUNK_LINE - 10) + b"\r\nx\r\n") * 16 + END),
    "trailer": reqmod(body=b"0\r\nX: " + b"a" * (MAX_TRAILER - 10) + b"\r\n\r\n"),
    "chunks": reqmod(body=b"1\r\nx\r\n" * 10_000 + END),
    "empty lines": b"\r\n" * 30_000 + reqmod(),
}


@pytest.mark.parametrize("name", DRIPS)
def test_dripped_bytes_cost_linear_time(name: str) -> None:
    stream = DRIPS[name]
    conn, seen = ServerConnection(), 0
    started = time.process_time()
    for at in range(len(stream)):
        conn.receive(stream[at : at + 1])
        while conn.next_event() is not None:
            seen += 1
    assert time.process_time() - started < 2.5
    assert seen
    assert conn.unread == 0


def test_dripped_head_costs_by_its_length_not_by_its_square() -> None:
    """Eight times the bytes cost seven to eight times as much; twenty where each one copied all before it."""

    def cost(size: int) -> float:
        conn = ServerConnection()
        conn.receive(padded(500, MAX_HTTP_HEADS)[: -MAX_HTTP_HEADS + 10])
        started = time.process_time()
        for _ in range(size):
            conn.receive(b"y")
            conn.next_event()
        return time.process_time() - started

    short, long = (min(cost(size) for _ in range(3)) for size in (15_000, 120_000))
    assert long / short < 13


def test_dripped_answer_costs_linear_time() -> None:
    stream = Answer(
        200, padded(500, MAX_HTTP_HEADS)[-MAX_HTTP_HEADS:], b"req", extra=b"X: y\r\n" * 900
    ).render(BANNER, close=False)
    client = ClientConnection()
    client.send_request(Request(method=b"REQMOD", uri=b"icap://h/s", host=b"h", request_head=GET))
    started = time.process_time()
    seen: list[Seen] = []
    for at in range(len(stream)):
        client.receive(stream[at : at + 1])
        pull(client, seen)
    assert time.process_time() - started < 2.5
    assert [item[:2] for item in seen] == [("response", 200)]


def test_a_large_read_of_body_is_passed_on_without_parsing_its_bytes() -> None:
    """64 KiB cost microseconds: one copy out of the buffer, none for the payload that nobody asks for."""
    conn = ServerConnection()
    conn.receive(reqmod(body=b"7fffffff\r\n"))
    pull(conn)
    piece = bytes(65536)
    started = time.process_time()
    for _ in range(2000):
        conn.receive(piece)
        event = conn.next_event()
        assert conn.next_event() is None
    assert event is not None
    assert time.process_time() - started < 0.5  # 125 MiB


# -- the rest ------------------------------------------------------------------------------------


def test_the_base_is_no_connection() -> None:
    with pytest.raises(TypeError):
        Connection()  # type: ignore[abstract]


def test_unread_and_reading(server: ServerConnection) -> None:
    play = Playbook(server)
    assert (server.unread, server.reading_body, server.awaits_trailer, server.body_bytes) == (
        0,
        False,
        False,
        0,
    )
    play.give(reqmod(body=b"3\r\nab"))
    assert (server.unread, server.reading_body, server.awaits_trailer, server.body_bytes) == (
        0,
        True,
        False,
        2,
    )
    play.give(b"c\r\n0\r\nX")
    assert (server.unread, server.reading_body, server.awaits_trailer, server.body_bytes) == (
        1,
        True,
        True,
        3,
    )
    play.give(b": y\r\n\r\n")
    assert (server.unread, server.reading_body, server.awaits_trailer, server.body_bytes) == (
        0,
        False,
        False,
        3,
    )
    server.send_answer(Answer(200, OK), BANNER)
    play.give(reqmod())
    assert server.body_bytes == 0


@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_steps_in_any_order_raise_protocol_errors_only(draw: st.DataObject) -> None:
    """Whatever the application asks for and whatever has come: a legal answer, or a LocalProtocolError."""
    conn = ServerConnection()
    steps: dict[str, Callable[[], object]] = {
        "next": conn.next_event,
        "continue": conn.send_continue,
        "unmodified": lambda: conn.send_unmodified(BANNER),
        "answer": lambda: conn.send_answer(Answer(200, OK, body=b"x"), BANNER),
        "begin": lambda: conn.send_answer(Answer(200, OK, streams=True), BANNER),
        "partial": lambda: conn.send_answer(Answer(206, OK, streams=True), BANNER),
        "data": lambda: conn.send_data(b"1\r\nx\r\n"),
        "end": conn.send_end,
        "end 206": lambda: conn.send_end(original_from=0),
        "end now": conn.end_body_now,
        "error": lambda: conn.send_error(400, BANNER),
        "eof": lambda: conn.receive(b""),
    }
    for segment in draw.draw(cuts(draw.draw(st.one_of(streams(), spoiled())))):
        conn.receive(segment)
        for name in draw.draw(st.lists(st.sampled_from(sorted(steps)), max_size=4)):
            with contextlib.suppress(ProtocolError):
                steps[name]()
            assert conn.state is not State.AWAITING or conn.request is not None
