"""One connection: answers that come early, in pieces, not at all, or are none."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from icapd.adapters.clam_session import ClamGarbage, ClamLost, ClamSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.internet.defer import Deferred


class Handle:
    """A socket that takes all, and what Twisted's transport gives as its handle."""

    def __init__(self, sent: StringTransport) -> None:
        self._sent = sent
        self.read, self.write = os.pipe()

    def fileno(self) -> int:
        return self.read

    def send(self, data: bytes) -> int:
        self._sent.write(data)
        return len(data)


class Link:
    """A session over a transport in memory."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.handle = Handle(self.transport)
        self.transport.getHandle = lambda: self.handle  # type: ignore[attr-defined]
        self.session = ClamSession()
        self.session.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def sent(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def take(self) -> None:
        """Take all that a producer has."""
        while self.transport.producer is not None and self.session.alive:
            self.transport.producer.resumeProducing()

    def lose(self) -> None:
        self.session.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    yield link
    os.close(link.handle.read)
    os.close(link.handle.write)


def content(data: bytes) -> int:
    fd = os.memfd_create("content")
    os.write(fd, data)
    return fd


def told(answer: Deferred[bytes]) -> list[object]:
    heard: list[object] = []
    answer.addCallbacks(heard.append, lambda failure: heard.append(failure.type))
    return heard


def test_questions_are_numbered_and_answers_come_in_pieces(link: Link) -> None:
    heard = told(link.session.ask("PING"))
    assert link.sent() == b"zIDSESSION\0zPING\0"
    for byte in b"1: PONG\0":
        assert heard == []
        link.session.dataReceived(bytes([byte]))
    assert heard == [b"PONG"]
    heard = told(link.session.ask("VERSION"))
    link.session.dataReceived(b"2: ClamAV\0")
    assert heard == [b"ClamAV"]
    assert link.session.alive


def test_a_stream_is_sent_in_pieces_as_it_is_taken(link: Link) -> None:
    data = os.urandom(300_000)
    fd = content(data)
    heard = told(link.session.stream(fd, len(data)))
    link.take()
    os.close(fd)
    sent = link.sent().removeprefix(b"zIDSESSION\0zINSTREAM\0")
    pieces = []
    while size := struct.unpack("!I", sent[:4])[0]:
        pieces.append(sent[4 : 4 + size])
        sent = sent[4 + size :]
    assert sent == bytes(4)
    assert b"".join(pieces) == data
    link.session.dataReceived(b"1: stream: OK\0")
    assert heard == [b"stream: OK"]
    assert link.session.alive


def test_nothing_is_a_stream_too(link: Link) -> None:
    fd = content(b"")
    link.session.stream(fd, 0)
    link.take()
    os.close(fd)
    assert link.sent() == b"zIDSESSION\0zINSTREAM\0" + bytes(4)


@pytest.mark.parametrize(
    "said",
    [
        b"2: stream: OK\0", b"stream: OK\0", b"01: stream: OK\0", b"1:stream: OK\0", b": stream: OK\0",
        b"1: stream: OK\0001: stream: OK\0", b"x" * 5000, b"1: stream: OK" + b" " * 5000 + b"\0", b"\0",
    ],
)  # fmt: skip
def test_what_is_no_answer_ends_it(link: Link, said: bytes) -> None:
    heard = told(link.session.ask("PING"))
    link.session.dataReceived(said)
    assert heard == [ClamGarbage]
    assert not link.session.alive
    link.session.dataReceived(b"1: stream: OK\0")
    assert heard == [ClamGarbage]


def test_an_answer_to_nothing_ends_it(link: Link) -> None:
    link.session.dataReceived(b"0: PONG\0")
    assert not link.session.alive


@pytest.mark.parametrize("said", [b"", b"1: stream: O", b"1: stream: OK"])
def test_half_an_answer_is_none(link: Link, said: bytes) -> None:
    heard = told(link.session.ask("PING"))
    if said:
        link.session.dataReceived(said)
    link.lose()
    assert heard == [ClamLost]


def test_an_answer_before_all_is_sent_ends_the_sending(link: Link) -> None:
    fd = content(bytes(1_000_000))
    heard = told(link.session.stream(fd, 1_000_000))
    link.session.dataReceived(b"1: INSTREAM size limit exceeded. ERROR\0")
    os.close(fd)
    assert heard == [b"INSTREAM size limit exceeded. ERROR"]
    assert not link.session.alive


def test_an_answer_is_looked_for_when_the_connection_breaks_under_it(link: Link) -> None:
    fd = content(bytes(1_000_000))
    heard = told(link.session.stream(fd, 1_000_000))
    os.write(link.handle.write, b"1: INSTREAM size limit exceeded. ERROR\0")
    link.lose()
    os.close(fd)
    assert heard == [b"INSTREAM size limit exceeded. ERROR"]


def test_content_that_is_shorter_than_it_was_is_an_error(link: Link) -> None:
    fd = content(b"short")
    heard = told(link.session.stream(fd, 10))
    link.take()
    os.close(fd)
    assert heard == [ClamGarbage]
    assert not link.session.alive


def test_one_question_at_a_time(link: Link) -> None:
    link.session.ask("PING")
    with pytest.raises(RuntimeError):
        link.session.ask("PING")


def test_cancelling_ends_it(link: Link) -> None:
    answer = link.session.ask("PING")
    heard = told(answer)
    answer.cancel()
    assert len(heard) == 1
    assert not link.session.alive
    link.session.dataReceived(b"1: PONG\0")
    link.lose()
