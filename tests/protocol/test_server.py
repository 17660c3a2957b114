"""The server's side: each legal shape as a transcript, each illegal step as a LocalProtocolError."""

from collections.abc import Callable

import pytest

from icapd.protocol import Answer, LocalProtocolError, RemoteProtocolError, ServerConnection
from icapd.protocol.server import State
from tests.protocol.playbook import (
    BANNER,
    CLOSED,
    CUTS,
    END,
    GET,
    OK,
    POST,
    PREVIEW,
    Playbook,
    data,
    end,
    icap,
    pull,
    reqmod,
    request,
    respmod,
)

CONTINUE_BYTES = b"ICAP/1.0 100 Continue\r\n\r\n"
SOME_GET = request(b"REQMOD", head=GET)
SOME_POST = request(b"REQMOD", head=POST, body=b"req-body")


def preview_of(size: int, method: bytes = b"REQMOD") -> tuple[object, ...]:
    return request(method, head=POST, body=b"req-body", preview=size)


def is_204(answer: bytes) -> bool:
    return answer.startswith(b"ICAP/1.0 204 No modifications\r\n") and answer.endswith(b"null-body=0\r\n\r\n")


# -- requests without a body ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        icap(b"OPTIONS"),
        b"OPTIONS icap://h/s ICAP/1.0\r\n\r\n",
        b"OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated:null-body=0\r\n\r\n",
    ],
)
def test_options(play: Playbook, server: ServerConnection, stream: bytes) -> None:
    play.give(stream).sees(request(b"OPTIONS"))
    answer = server.send_answer(Answer(200, extra=b"Methods: REQMOD\r\n"), BANNER)
    assert answer.startswith(b"ICAP/1.0 200 OK\r\n")
    assert answer.endswith(b"Methods: REQMOD\r\nEncapsulated: null-body=0\r\n\r\n")
    play.give(stream).sees(request(b"OPTIONS"))


def test_options_with_a_body(play: Playbook, server: ServerConnection) -> None:
    play.give(icap(b"OPTIONS", body=b"3\r\nabc\r\n" + END) + icap(b"OPTIONS"))
    play.sees(request(b"OPTIONS", body=b"opt-body"), data(b"abc"), end())
    server.send_answer(Answer(200), BANNER)
    play.sees(request(b"OPTIONS"))


def test_reqmod_without_body(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204")).sees(SOME_GET)
    assert is_204(server.send_unmodified(BANNER))
    play.sees().ends().sees(CLOSED)


def test_preview_without_body_allows_204(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 0")).sees(request(b"REQMOD", head=GET, preview=0))
    assert server.state is State.COMPLETE
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    assert is_204(server.send_unmodified(BANNER))


def test_respmod_without_body(play: Playbook, server: ServerConnection) -> None:
    play.give(respmod(b"Allow: 204")).sees(request(b"RESPMOD", head=GET, response=OK))
    assert is_204(server.send_unmodified(BANNER))


@pytest.mark.parametrize(("head", "response"), [(b"", OK), (GET, b"")])
def test_respmod_with_one_head(play: Playbook, head: bytes, response: bytes) -> None:
    play.give(icap(b"RESPMOD", request=head, response=response, body=END))
    play.sees(request(b"RESPMOD", head=head or None, response=response or None, body=b"res-body"), end())


def test_respmod_with_a_body_alone(play: Playbook) -> None:
    play.give(icap(b"RESPMOD", body=b"1\r\nx\r\n" + END))
    play.sees(request(b"RESPMOD", body=b"res-body"), data(b"x"), end())


# -- bodies --------------------------------------------------------------------------------------


def test_body_returned_whole(play: Playbook, server: ServerConnection) -> None:
    coding = b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n"
    play.give(respmod(body=coding + b"0\r\nX-Sum: 1\r\n\r\n"))
    assert play.wire() == coding
    play.sees(
        request(b"RESPMOD", head=GET, response=OK, body=b"res-body"),
        data(b"abc0123456789abcdef"),
        end(b"X-Sum: 1\r\n"),
    )
    assert not server.may_204
    answer = server.send_answer(Answer(200, OK, streams=True), BANNER)
    assert answer.endswith(b"Encapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(OK) + OK)
    assert server.send_data(coding) == coding
    assert server.send_end(b"X-Sum: 1\r\n") == b"0\r\nX-Sum: 1\r\n\r\n"
    assert server.state is State.HEAD


def test_echo_begins_before_the_body_ends(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"3\r\nabc\r\n")).sees(SOME_POST, data(b"abc"))
    server.send_answer(Answer(200, POST, b"req", streams=True), BANNER)
    assert server.answering
    play.give(b"2\r\nde\r\n").sees(data(b"de"))
    play.give(END).sees(end())
    assert server.send_end() == END
    play.give(reqmod()).sees(SOME_GET)


def test_answer_ends_before_its_request(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"3\r\nabc\r\n")).sees(SOME_POST, data(b"abc"))
    server.send_answer(Answer(200, POST, b"req", streams=True), BANNER)
    assert server.send_end() == END
    assert server.draining
    play.give(b"2\r\nde\r\n").sees()
    assert server.draining
    play.give(END + reqmod()).sees(SOME_GET)
    assert not server.draining


def test_early_answer_then_the_rest_is_dropped(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204", body=b"400\r\nabc")).sees(SOME_POST, data(b"abc"))
    server.send_answer(Answer(200, OK, body=b"blocked"), BANNER)
    play.give(b"d" * 0x3FD + b"\r\n0\r\nX: y\r\n\r\n").sees()
    assert server.state is State.HEAD
    play.give(reqmod()).sees(SOME_GET)


def test_early_answer_in_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 4", body=b"")).sees(preview_of(4))
    assert is_204(server.send_unmodified(BANNER))
    play.give(b"4\r\nabcd\r\n" + END).sees()
    assert server.state is State.HEAD
    play.give(reqmod()).sees(SOME_GET)


# -- previews ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last", [b"0; ieof\r\n\r\n", b"0;ieof\r\n\r\n", b"0; IEOF\r\n\r\n", b"0;a=b; ieof \r\n\r\n"]
)
@pytest.mark.parametrize("size", [0, 3, 1024])
def test_preview_with_ieof_is_the_whole_body(
    play: Playbook, server: ServerConnection, last: bytes, size: int
) -> None:
    payload = b"3\r\nabc\r\n" if size else b""
    expected = [data(b"abc")] if size else []
    play.give(reqmod(b"Preview: %d" % size, body=payload + last))
    play.sees(preview_of(size), *expected, end(ieof=True))
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    assert is_204(server.send_unmodified(BANNER))
    play.give(reqmod()).sees(SOME_GET)


@pytest.mark.parametrize("size", [0, 3, 1024])
def test_continue_exactly_once(play: Playbook, server: ServerConnection, size: int) -> None:
    payload = b"3\r\nabc\r\n" if size else b""
    expected = [data(b"abc")] if size else []
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    play.give(reqmod(b"Preview: %d" % size, body=payload))
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    play.give(END).sees(preview_of(size), *expected, PREVIEW)
    assert server.send_continue() == CONTINUE_BYTES
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    play.give(b"2\r\nde\r\n0\r\nX: y\r\n\r\n").sees(data(b"de"), end(b"X: y\r\n"))
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    assert not server.may_204
    assert server.body_bytes == 2 + 3 * bool(size)


def test_204_after_continue_only_if_allowed(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 0", b"Allow: 204", body=END))
    server.send_continue()
    play.give(END).sees(preview_of(0), PREVIEW, end())
    assert is_204(server.send_unmodified(BANNER))


def test_final_answer_to_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 4", body=b"4\r\nabcd\r\n" + END) + reqmod())
    play.sees(preview_of(4), data(b"abcd"), PREVIEW)
    assert is_204(server.send_unmodified(BANNER))
    play.sees(SOME_GET)


def test_streamed_answer_to_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 4", body=b"4\r\nabcd\r\n" + END)).sees(preview_of(4), data(b"abcd"), PREVIEW)
    server.send_answer(Answer(200, OK, streams=True), BANNER)
    with pytest.raises(LocalProtocolError):
        server.send_continue()
    with pytest.raises(LocalProtocolError):
        server.send_unmodified(BANNER)
    assert server.send_end() == END
    play.give(reqmod()).sees(SOME_GET)


def test_ieof_outside_a_preview_is_an_unknown_extension(play: Playbook) -> None:
    play.give(reqmod(body=b"0; ieof\r\n\r\n")).sees(SOME_POST, end())


def test_ieof_after_continue_is_an_unknown_extension(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 0", body=END))
    server.send_continue()
    play.give(b"0; ieof\r\n\r\n").sees(preview_of(0), PREVIEW, end())


def test_ieof_inside_a_quoted_value_is_not_ieof(play: Playbook) -> None:
    play.give(reqmod(b"Preview: 0", body=b'0; a="x; ieof"\r\n\r\n')).sees(preview_of(0), PREVIEW)


# -- 204 and 206 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "may_204", "may_206"),
    [
        ([], False, False),
        ([b"Allow: 204"], True, False),
        ([b"Allow: 2040, x204"], False, False),
        ([b"Allow: trailers, 204"], True, False),
        ([b"Allow: 206"], False, False),
        ([b"Allow: 204, 206"], True, True),
        ([b"Allow: 204", b"Allow: 206"], True, True),
        ([b"Preview: 0"], True, False),
        ([b"Preview: 0", b"Allow: 206"], True, True),
    ],
)
def test_when_204_and_206_are_legal(
    server: ServerConnection, headers: list[bytes], may_204: bool, may_206: bool
) -> None:
    server.receive(reqmod(*headers, body=END))
    pull(server)
    assert (server.may_204, server.may_206) == (may_204, may_206)
    for status, legal in ((204, may_204), (206, may_206)):
        if not legal:
            with pytest.raises(LocalProtocolError):
                server.send_answer(Answer(status, streams=status == 206), BANNER)
    if not may_204:
        with pytest.raises(LocalProtocolError):
            server.send_unmodified(BANNER)
    assert server.send_answer(Answer(200, OK), BANNER)
    assert not server.may_204


def test_206_in_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 4", b"Allow: 206", body=b"4\r\nabcd\r\n" + END))
    play.sees(preview_of(4), data(b"abcd"), PREVIEW)
    answer = server.send_answer(Answer(206, POST, b"req", streams=True), BANNER)
    assert answer.startswith(b"ICAP/1.0 206 Partial Content\r\n")
    for wrong in (None, 5, -1):
        with pytest.raises(LocalProtocolError):
            server.send_end(original_from=wrong)
    with pytest.raises(LocalProtocolError):
        server.send_end(b"X: y\r\n", original_from=4)
    assert server.send_end(original_from=4) == b"0; use-original-body=4\r\n\r\n"
    play.give(reqmod()).sees(SOME_GET)


def test_206_outside_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204, 206", body=b"4\r\nabcd\r\n" + END)).sees(SOME_POST, data(b"abcd"), end())
    server.send_answer(Answer(206, POST, b"req", streams=True), BANNER)
    assert server.send_end(original_from=0) == b"0; use-original-body=0\r\n\r\n"


def test_options_is_never_answered_by_204(server: ServerConnection) -> None:
    server.receive(icap(b"OPTIONS", b"Allow: 204, 206", b"Preview: 0", body=END))
    pull(server)
    assert not server.may_204
    assert not server.may_206


# -- many requests, and the end of the connection ------------------------------------------------


def test_pipelined_requests(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204") * 3)
    for _ in range(3):
        play.sees(SOME_GET)
        assert is_204(server.send_unmodified(BANNER))
    play.sees()
    assert server.unread == 0


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n" * 5])
def test_empty_lines_before_a_request(play: Playbook, server: ServerConnection, empty: bytes) -> None:
    for _ in range(2):
        play.give(empty + reqmod(b"Allow: 204")).sees(SOME_GET)
        server.send_unmodified(BANNER)
    play.give(empty).ends().sees(CLOSED)


@pytest.mark.parametrize(
    "header",
    [
        b"Connection: close",
        b"connection:Close",
        b"Connection: x, CLOSE",
        b"Connection: x\r\nConnection: close",
    ],
)
def test_close_asked_for(play: Playbook, server: ServerConnection, header: bytes) -> None:
    play.give(reqmod(header, b"Allow: 204") + reqmod()).sees(SOME_GET)
    assert b"\r\nConnection: close\r\n" in server.send_unmodified(BANNER)
    play.give(b"anything\0").sees().ends().sees(CLOSED)


def test_close_of_our_own(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"")).sees(SOME_POST)
    server.closing = True
    assert b"\r\nConnection: close\r\n" in server.send_answer(Answer(200, OK), BANNER)
    assert server.draining
    play.give(END + reqmod()).sees()
    assert not server.draining


@pytest.mark.parametrize("at", range(len(reqmod(b"Preview: 3", body=b"3\r\nabc\r\n" + END))))
def test_the_client_closes_anywhere(at: int) -> None:
    stream = reqmod(b"Preview: 3", body=b"3\r\nabc\r\n" + END)[:at]
    for cut in CUTS:
        play = Playbook(ServerConnection(), cut)
        if at == 0:
            play.ends().sees(CLOSED)
            continue
        with pytest.raises(RemoteProtocolError) as caught:
            play.give(stream).ends()
        assert caught.value.status == 400


def test_the_client_closes_its_half_and_waits(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204")).ends().sees(SOME_GET)
    assert is_204(server.send_unmodified(BANNER))
    play.sees(CLOSED)


def test_the_client_closes_behind_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 0", body=END)).ends().sees(preview_of(0), PREVIEW)
    server.send_continue()
    with pytest.raises(RemoteProtocolError):
        server.next_event()


def test_the_client_closes_when_it_has_its_answer(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"5\r\nab")).sees(SOME_POST, data(b"ab"))
    server.send_answer(Answer(200, OK), BANNER)
    play.ends().sees(CLOSED)


# -- a last CRLF that never comes ----------------------------------------------------------------


def test_end_body_now(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Allow: 204", body=b"1\r\nx\r\n0\r\n")).sees(SOME_POST, data(b"x"))
    assert server.awaits_trailer
    assert type(server.end_body_now()).__name__ == "BodyEnded"
    assert b"Connection: close" in server.send_unmodified(BANNER)
    play.give(b"\r\n" + reqmod()).sees()


def test_end_body_now_in_a_preview(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 1", body=b"1\r\nx\r\n0\r\n")).sees(preview_of(1), data(b"x"))
    assert type(server.end_body_now()).__name__ == "PreviewEnded"
    assert is_204(server.send_unmodified(BANNER)) or server.closing


def test_end_body_now_while_draining(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"1\r\nx\r\n0\r\n")).sees(SOME_POST, data(b"x"))
    server.send_answer(Answer(200, OK), BANNER)
    assert server.end_body_now() is None
    assert not server.draining
    play.give(reqmod()).sees()


def test_end_body_now_elsewhere(play: Playbook, server: ServerConnection) -> None:
    with pytest.raises(LocalProtocolError):
        server.end_body_now()
    play.give(reqmod(body=b"5\r\nx"))
    with pytest.raises(RemoteProtocolError):
        server.end_body_now()


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 418, 500, 501, 503, 505])
def test_error_answers_close(play: Playbook, server: ServerConnection, status: int) -> None:
    play.give(reqmod(body=b"5\r\nab")).sees(SOME_POST, data(b"ab"))
    answer = server.send_error(status, BANNER)
    assert answer.startswith(b"ICAP/1.0 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert b'\r\nISTag: "0123456789abcdef"\r\n' in answer
    play.give(b"cde\r\n" + END + reqmod()).sees().ends().sees(CLOSED)


def test_error_for_a_bad_head(play: Playbook, server: ServerConnection) -> None:
    play.breaks(b"nonsense\r\n\r\n", 400)
    assert server.send_error(400, BANNER, extra=b"X-Why: b\r\n").count(b"X-Why: b\r\n") == 1
    play.give(reqmod()).sees()


def test_error_in_an_answer_that_has_begun_says_nothing(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(body=b"")).sees(SOME_POST)
    server.send_answer(Answer(200, OK, streams=True), BANNER)
    play.breaks(b"zz\r\n", 400)
    assert server.send_error(400, BANNER) == b""
    assert server.send_error(400, BANNER) == b""


def test_error_behind_a_complete_answer_says_nothing(play: Playbook, server: ServerConnection) -> None:
    """Or the client would take it for the answer to its next request (F5 ID566576)."""
    play.give(reqmod(body=b"")).sees(SOME_POST)
    server.send_answer(Answer(200, OK), BANNER)
    play.breaks(b"zz\r\n", 400)
    assert server.send_error(400, BANNER) == b""


@pytest.mark.parametrize("early", [True, False])
def test_error_in_the_rest_of_a_body_that_the_answer_made_needless(
    play: Playbook, server: ServerConnection, early: bool
) -> None:
    start, stop = reqmod(b"Preview: 1", body=b""), b"1\r\nx\r\n" + END
    play.give(start if early else start + stop)
    server.send_unmodified(BANNER)
    play.give(stop if early else b"")
    play.seen.clear()
    play.breaks(b"2\r\nyz\r\n0\r\n\r\n", 400)
    assert server.send_error(400, BANNER) == b""


def test_error_in_a_request_behind_a_preview_is_said(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod(b"Preview: 0", body=END) + reqmod(b"Allow: 204"))
    for _ in range(2):
        server.send_unmodified(BANNER)
        pull(server)
    play.seen.clear()
    play.breaks(b"nonsense\r\n\r\n", 400)
    assert server.send_error(400, BANNER).startswith(b"ICAP/1.0 400 ")


def test_second_error_says_nothing(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod()).sees(SOME_GET)
    assert server.send_error(404, BANNER)
    assert server.send_error(408, BANNER) == b""


def test_error_before_any_request(server: ServerConnection) -> None:
    assert server.send_error(503, BANNER).startswith(b"ICAP/1.0 503 ")


def test_error_for_a_head_that_stalls(play: Playbook, server: ServerConnection) -> None:
    play.give(reqmod()[:-9]).sees()
    assert server.send_error(408, BANNER).startswith(b"ICAP/1.0 408 ")
    play.give(reqmod()[-9:]).sees()


# -- what may not be sent ------------------------------------------------------------------------

STEPS: dict[str, Callable[[ServerConnection], object]] = {
    "unmodified": lambda conn: conn.send_unmodified(BANNER),
    "answer": lambda conn: conn.send_answer(Answer(200), BANNER),
    "continue": lambda conn: conn.send_continue(),
    "data": lambda conn: conn.send_data(b"1\r\nx\r\n"),
    "end": lambda conn: conn.send_end(),
}


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_sent_unasked(server: ServerConnection, step: str) -> None:
    with pytest.raises(LocalProtocolError):
        STEPS[step](server)


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_sent_behind_an_answer(server: ServerConnection, step: str) -> None:
    server.receive(reqmod(b"Allow: 204", body=END))
    pull(server)
    server.send_unmodified(BANNER)
    with pytest.raises(LocalProtocolError):
        STEPS[step](server)


@pytest.mark.parametrize("step", ["unmodified", "answer", "continue"])
def test_nothing_else_is_sent_inside_an_answer(server: ServerConnection, step: str) -> None:
    server.receive(reqmod(b"Allow: 204", b"Preview: 0", body=END))
    pull(server)
    server.send_answer(Answer(200, OK, streams=True), BANNER)
    with pytest.raises(LocalProtocolError):
        STEPS[step](server)
    assert server.send_end() == END


@pytest.mark.parametrize("step", ["data", "end"])
def test_no_body_without_a_head(server: ServerConnection, step: str) -> None:
    server.receive(reqmod())
    pull(server)
    with pytest.raises(LocalProtocolError):
        STEPS[step](server)


@pytest.mark.parametrize(
    "trailer", [b"X", b"X: y", b"X: y\r\n\r\n", b"X: y\r\n\r\nOPTIONS", b"\r\n", b"X: a\nb\r\n"]
)
def test_a_trailer_is_fields(server: ServerConnection, trailer: bytes) -> None:
    server.receive(reqmod())
    pull(server)
    server.send_answer(Answer(200, OK, streams=True), BANNER)
    with pytest.raises(LocalProtocolError):
        server.send_end(trailer)
    with pytest.raises(LocalProtocolError):
        server.send_end(original_from=0)
    assert server.send_end(b"X: y\r\n") == b"0\r\nX: y\r\n\r\n"
