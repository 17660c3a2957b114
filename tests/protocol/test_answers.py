"""The one shape of answers."""

import pytest

from icapd.protocol import Answer, Banner, ClientConnection, LocalProtocolError, Request, naming
from icapd.protocol.answers import CONTINUE, REASONS
from tests.protocol.playbook import BANNER, GET, OK, POST, normal


def test_continue_is_bare() -> None:
    assert CONTINUE == b"ICAP/1.0 100 Continue\r\n\r\n"


def test_204_byte_for_byte() -> None:
    expected = (
        b"ICAP/1.0 204 No modifications\r\nDate: Tue, 24 Nov 2026 11:00:00 GMT\r\nServer: test\r\n"
        b'ISTag: "0123456789abcdef"\r\nConnection: %b\r\nEncapsulated: null-body=0\r\n\r\n'
    )
    assert BANNER.unmodified == expected % b"keep-alive"
    assert BANNER.unmodified_close == expected % b"close"
    assert Answer(204).render(BANNER, close=True) == BANNER.unmodified_close
    assert BANNER.lines(close=True) in BANNER.unmodified_close


@pytest.mark.parametrize("status", REASONS)
def test_reason_and_istag_always(status: int) -> None:
    answer = Answer(status, streams=status == 206).render(BANNER, close=False)
    line, _, rest = answer.partition(b"\r\n")
    assert len(line.split(b" ", 2)[2]) > 1
    assert b'\r\nISTag: "0123456789abcdef"\r\n' in rest


@pytest.mark.parametrize(
    ("answer", "entities", "tail"),
    [
        (Answer(200), b"null-body=0", b""),
        (Answer(200, OK), b"res-hdr=0, null-body=%d" % len(OK), OK),
        (Answer(200, POST, b"req"), b"req-hdr=0, null-body=%d" % len(POST), POST),
        (Answer(200, OK, body=b"page"), b"res-hdr=0, res-body=%d" % len(OK), OK + b"4\r\npage\r\n0\r\n\r\n"),
        (Answer(200, OK, body=b""), b"res-hdr=0, res-body=%d" % len(OK), OK + b"0\r\n\r\n"),
        (Answer(200, POST, b"req", streams=True), b"req-hdr=0, req-body=%d" % len(POST), POST),
        (Answer(200, streams=True), b"res-body=0", b""),
    ],
)
def test_encapsulated_is_last_and_true(answer: Answer, entities: bytes, tail: bytes) -> None:
    rendered = Answer(
        answer.status, answer.head, answer.entity, answer.body, answer.streams, b"X-Blocked: 1\r\n"
    ).render(BANNER, close=False)
    assert rendered.endswith(b"\r\nX-Blocked: 1\r\nEncapsulated: " + entities + b"\r\n\r\n" + tail)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(100),
        Answer(299),
        Answer(204, OK),
        Answer(204, body=b""),
        Answer(204, streams=True),
        Answer(206, OK),
        Answer(206, OK, body=b"x"),
        Answer(200, OK, body=b"x", streams=True),
    ],
)
def test_shapes_that_no_answer_has(answer: Answer) -> None:
    with pytest.raises(LocalProtocolError):
        answer.render(BANNER, close=False)


@pytest.mark.parametrize(
    "answer", [Answer(200, OK, body=b"x"), Answer(200, GET, b"req"), Answer(204), Answer(404)]
)
def test_our_client_reads_it(answer: Answer) -> None:
    client = ClientConnection()
    client.send_request(Request(method=b"REQMOD", uri=b"icap://h/s", host=b"h", request_head=GET))
    client.receive(answer.render(Banner(date=b"d", istag=b"t"), close=False))
    event = client.next_event()
    assert event is not None
    assert normal(event)[:2] == ("response", answer.status)


def test_an_unmodified_answer_may_tell_the_id_of_its_decision() -> None:
    for close, bare in ((False, BANNER.unmodified), (True, BANNER.unmodified_close)):
        named = bare.replace(b"Encapsulated:", naming("k3v7q2xa-1f") + b"Encapsulated:")
        assert BANNER.named("k3v7q2xa-1f", close=close) == named
    assert naming("k3v7q2xa-1f") == b"X-Icapd-Decision: k3v7q2xa-1f\r\n"
