"""The client's side: each legal shape of request and answer, each illegal one refused."""

from collections.abc import Callable

import pytest

from icapd.protocol import ClientConnection, LocalProtocolError, Request
from icapd.protocol.client import Sending
from tests.protocol.playbook import CLOSED, CONTINUE, END, GET, OK, POST, Playbook, Seen, data, end, pull

URI = b"icap://icap.example/s"
NULL = b"Encapsulated: null-body=0\r\n\r\n"
A_204 = b'ICAP/1.0 204 No modifications\r\nISTag: "t"\r\n' + NULL
A_100 = b"ICAP/1.0 100 Continue\r\n\r\n"


def a_request(method: bytes = b"REQMOD", **kwargs: object) -> Request:
    heads = {
        b"OPTIONS": {},
        b"REQMOD": {"request_head": POST},
        b"RESPMOD": {"request_head": GET, "response_head": OK},
    }
    return Request(method=method, uri=URI, host=b"icap.example", **{**heads[method], **kwargs})  # type: ignore[arg-type]


def an_answer(
    status: int,
    *,
    request: bytes = b"",
    response: bytes = b"",
    body: bytes | None = None,
    headers: bytes = b"",
) -> bytes:
    entities, size = [], 0
    for name, head in ((b"req-hdr", request), (b"res-hdr", response)):
        if head:
            entities.append(b"%b=%d" % (name, size))
            size += len(head)
    kind = b"null-body" if body is None else b"req-body" if request else b"res-body"
    entities.append(b"%b=%d" % (kind, size))
    first = b"ICAP/1.0 %d Why\r\n%bEncapsulated: %b\r\n\r\n" % (status, headers, b", ".join(entities))
    return first + request + response + (body or b"")


def response(status: int, *, head: bytes | None = None, http: bytes | None = None, body: bytes = b"") -> Seen:
    return ("response", status, head, http, body)


@pytest.fixture
def play(client: ClientConnection, cut: int) -> Playbook:
    return Playbook(client, cut)


def test_options(play: Playbook, client: ClientConnection) -> None:
    sent = client.send_request(a_request(b"OPTIONS", headers=((b"X-A", b"b"),)))
    assert sent == b"OPTIONS icap://icap.example/s ICAP/1.0\r\nHost: icap.example\r\nX-A: b\r\n\r\n"
    play.give(an_answer(200)).sees(response(200))
    assert b"null-body=0" not in sent
    assert b"Encapsulated: opt-body=0\r\n\r\n" in client.send_request(a_request(b"OPTIONS", body=True))


def test_answer_without_encapsulated(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(b"OPTIONS"))
    play.give(b"ICAP/1.0 200 OK\r\n\r\n").sees(response(200))


def test_reason_may_be_missing(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(b"OPTIONS"))
    play.give(b"ICAP/1.0 404\r\n\r\n").sees(response(404))


def test_204(play: Playbook, client: ClientConnection) -> None:
    sent = client.send_request(a_request(b"RESPMOD", body=True))
    assert sent.endswith(b"res-hdr=%d, res-body=%d\r\n\r\n" % (len(GET), len(GET + OK)) + GET + OK)
    assert client.send_data(b"abc") + client.send_data(b"") + client.send_end() == b"3\r\nabc\r\n" + END
    play.give(A_204).sees(response(204)).ends().sees(CLOSED)
    assert client.closing


@pytest.mark.parametrize("size", [0, 3])
def test_100_then_200(play: Playbook, client: ClientConnection, size: int) -> None:
    client.send_request(a_request(preview=size, body=True))
    assert client.send_data(b"abc"[:size]) + client.send_end() == (b"3\r\nabc\r\n" if size else b"") + END
    play.give(A_100).sees(CONTINUE)
    client.send_data(b"de")
    assert client.send_end(trailer=b"X: y\r\n") == b"0\r\nX: y\r\n\r\n"
    coding = b"5;x=y\r\nabcde\r\n0\r\nX: y\r\n\r\n"
    play.give(an_answer(200, request=POST, body=coding))
    play.sees(response(200, head=POST, body=b"req-body"), data(b"abcde"), end(b"X: y\r\n"))
    assert client.send_request(a_request())


def test_206(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(preview=3, body=True, headers=((b"Allow", b"206"),)))
    client.send_data(b"abc")
    client.send_end()
    play.give(an_answer(206, request=POST, body=b"1\r\nX\r\n0; use-original-body=1\r\n\r\n"))
    play.sees(response(206, head=POST, body=b"req-body"), data(b"X"), end(original_from=1))
    assert client.sending is Sending.SENT


def test_ieof(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(preview=3, body=True))
    client.send_data(b"abc")
    assert client.send_end(ieof=True) == b"0; ieof\r\n\r\n"
    play.give(A_204).sees(response(204))


def test_block_page(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request())
    play.give(an_answer(200, response=OK, body=b"1\r\nx\r\n" + END))
    play.sees(response(200, http=OK, body=b"res-body"), data(b"x"), end())


def test_early_answer_leaves_the_body_to_be_ended(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(body=True))
    client.send_data(b"x")
    play.give(an_answer(200, response=OK)).sees(response(200, http=OK))
    with pytest.raises(LocalProtocolError):
        client.send_request(a_request())
    client.send_data(b"y")
    client.send_end()
    assert client.send_request(a_request())


def test_early_answer_in_a_preview(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(body=True, preview=4))
    play.give(A_204).sees(response(204))
    client.send_end()
    assert client.send_request(a_request())


@pytest.mark.parametrize("header", [b"Connection: close\r\n", b"connection: x, Close\r\n"])
def test_server_closes(play: Playbook, client: ClientConnection, header: bytes) -> None:
    client.send_request(a_request())
    play.give(an_answer(403, headers=header)).sees(response(403))
    with pytest.raises(LocalProtocolError):
        client.send_request(a_request())
    play.ends().sees(CLOSED)


# -- what a server may not send ------------------------------------------------------------------

WRONG = {
    "http": (b"HTTP/1.1 200 OK\r\n\r\n", 502),
    "version": (b"ICAP/1.1 200 OK\r\n\r\n", 502),
    "no status": (b"ICAP/1.0 OK\r\n\r\n", 502),
    "bad field": (b"ICAP/1.0 200 OK\r\nX\r\n\r\n", 400),
    "100 unasked": (A_100, 502),
    "199": (b"ICAP/1.0 199 What\r\n\r\n", 502),
    "204 with body": (an_answer(204, request=POST, body=END), 502),
    "204 with head": (an_answer(204, request=POST), 502),
    "opt-body": (b"ICAP/1.0 200 OK\r\nEncapsulated: opt-body=0\r\n\r\n", 502),
    "two heads": (an_answer(200, request=POST, response=OK), 502),
    "negative offset": (b"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=-1\r\n\r\n", 400),
    "short offset": (b"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=9\r\n\r\n" + POST, 400),
    "huge": (b"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, null-body=9999999999\r\n\r\n", 413),
    "chunk": (an_answer(200, request=POST, body=b"-1\r\n"), 400),
    "long status line": (b"ICAP/1.0 200 " + b"x" * 9000 + b"\r\n\r\n", 502),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers(play: Playbook, client: ClientConnection, name: str) -> None:
    client.send_request(a_request())
    answer, status = WRONG[name]
    seen = [response(200, head=POST, body=b"req-body")] if name == "chunk" else []
    play.breaks(answer, status, *seen)


def test_request_head_in_answer_to_respmod(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(b"RESPMOD"))
    play.breaks(an_answer(200, request=POST), 502)


@pytest.mark.parametrize("more", [A_100, b"x", b"\r\n", A_204])
def test_bytes_behind_an_answer(play: Playbook, client: ClientConnection, more: bytes) -> None:
    client.send_request(a_request())
    play.breaks(A_204 + more, 502, response(204))


def test_100_twice(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(body=True, preview=0))
    client.send_end()
    play.breaks(A_100 + A_100, 502, CONTINUE)


def test_100_with_a_body(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request(body=True, preview=0))
    client.send_end()
    play.breaks(b"ICAP/1.0 100 Continue\r\nEncapsulated: req-body=0\r\n\r\n", 502)


@pytest.mark.parametrize("ieof", [True, False])
def test_100_before_the_preview_ends_or_after_ieof(
    play: Playbook, client: ClientConnection, ieof: bool
) -> None:
    client.send_request(a_request(body=True, preview=1))
    if ieof:
        client.send_end(ieof=True)
    play.breaks(A_100, 502)


@pytest.mark.parametrize("at", range(len(an_answer(200, response=OK, body=b"1\r\nx\r\n" + END))))
def test_the_server_closes_anywhere(at: int, cut: int) -> None:
    client = ClientConnection()
    client.send_request(a_request())
    answer = an_answer(200, response=OK, body=b"1\r\nx\r\n" + END)
    play = Playbook(client, cut)
    seen: list[Seen] = []
    if at >= answer.index(OK) + len(OK):
        seen.append(response(200, http=OK, body=b"res-body"))
    if at > answer.index(b"1\r\nx") + 3:
        seen.append(data(b"x"))
    play.breaks(answer[:at], 400 if at else 502, *seen, ends=True)


def test_silence_is_no_answer(play: Playbook, client: ClientConnection) -> None:
    play.ends().sees(CLOSED)
    with pytest.raises(LocalProtocolError):
        client.send_request(a_request())


# -- what we may not send ------------------------------------------------------------------------

ILLEGAL: dict[str, Request] = {
    "no request head": a_request(request_head=None),
    "nothing": a_request(b"RESPMOD", request_head=None, response_head=None),
    "head in OPTIONS": a_request(b"OPTIONS", request_head=GET),
    "head without its end": a_request(request_head=b"GET / HTTP/1.1\r\n"),
    "head with two ends": a_request(request_head=GET + b"\r\n"),
    "response head without its end": a_request(b"RESPMOD", response_head=b"HTTP/1.1 200\r\n"),
    "response head in REQMOD": a_request(response_head=OK),
    "CR LF in a value": a_request(headers=((b"X", b"a\r\n\r\nOPTIONS"),)),
    "bare LF in a value": a_request(headers=((b"X", b"a\nb"),)),
    "bad name": a_request(headers=((b"X y", b"a"),)),
    "URI": Request(method=b"OPTIONS", uri=b"/s", host=b"h"),
    "blank in the URI": Request(method=b"OPTIONS", uri=b"icap://h/a b", host=b"h"),
    "method": Request(method=b"PUT", uri=URI, host=b"h"),
    "negative preview": a_request(body=True, preview=-1),
    "second Encapsulated": a_request(headers=((b"Encapsulated", b"null-body=0"),)),
    "hidden body": a_request(b"OPTIONS", headers=((b"Encapsulated", b"opt-body=0"),)),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_requests(client: ClientConnection, name: str) -> None:
    with pytest.raises(LocalProtocolError):
        client.send_request(ILLEGAL[name])
    assert client.send_request(a_request())


def test_one_request_at_a_time(client: ClientConnection) -> None:
    client.send_request(a_request())
    with pytest.raises(LocalProtocolError):
        client.send_request(a_request())


def test_answer_with_a_body_is_read_to_its_end_first(play: Playbook, client: ClientConnection) -> None:
    client.send_request(a_request())
    play.give(an_answer(200, response=OK, body=b"1\r\nx\r\n"))
    with pytest.raises(LocalProtocolError):
        client.send_request(a_request())


STEPS: dict[str, Callable[[ClientConnection], object]] = {
    "data": lambda conn: conn.send_data(b"x"),
    "end": lambda conn: conn.send_end(),
    "ieof": lambda conn: conn.send_end(ieof=True),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", ["idle", "no body", "awaiting", "sent"])
def test_no_body_out_of_turn(client: ClientConnection, state: str, step: str) -> None:
    if state == "no body":
        client.send_request(a_request())
    elif state != "idle":
        client.send_request(a_request(body=True, preview=0))
        client.send_end(ieof=state == "sent")
    with pytest.raises(LocalProtocolError):
        STEPS[step](client)


def test_illegal_ends(client: ClientConnection) -> None:
    client.send_request(a_request(body=True, preview=2))
    with pytest.raises(LocalProtocolError):
        client.send_data(b"abc")
    with pytest.raises(LocalProtocolError):
        client.send_end(trailer=b"X: y\r\n")
    client.send_end()
    client.receive(A_100)
    pull(client)
    with pytest.raises(LocalProtocolError):
        client.send_end(ieof=True)
    for trailer in (b"x", b"X: y\r\n\r\n", b"\r\n"):
        with pytest.raises(LocalProtocolError):
            client.send_end(trailer=trailer)
    assert client.send_end() == END
