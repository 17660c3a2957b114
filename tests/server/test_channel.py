"""Messages between processes: whole, in order, with their descriptors, however slow the other end is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.task import Clock

from icapd.server.channel import Channel, fetch, pair, post

if TYPE_CHECKING:
    from icapd.server.channel import Message


class Reactor(Clock):
    """Only notes who is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()
        self.writers: set[object] = set()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)


def opened() -> tuple[Reactor, Channel, Channel, list[Message], list[str]]:
    reactor = Reactor()
    heard: list[Message] = []
    ends: list[str] = []
    ours, theirs = pair()
    one = Channel(ours, reactor, lambda message, _: heard.append(message), lambda: ends.append("one"))
    other = Channel(theirs, reactor, lambda message, _: heard.append(message), lambda: ends.append("other"))
    return reactor, one, other, heard, ends


def test_a_slow_reader_gets_all_in_order() -> None:
    reactor, one, other, heard, _ = opened()
    for number in range(2000):
        assert one.send({"kind": "x", "number": number, "text": "y" * 500})
    assert one in reactor.writers
    while len(heard) < 2000:
        other.doRead()
        one.doWrite()
    assert [message["number"] for message in heard] == list(range(2000))
    assert one not in reactor.writers
    one.close()
    other.close()


def test_descriptors_come_with_their_message_and_are_closed_here() -> None:
    ours, theirs = pair()
    reading, writing = os.pipe()
    channel = Channel(ours, Reactor(), lambda *_: None, lambda: None)
    assert channel.send({"kind": "take"}, writing)
    message, (fd,) = fetch(theirs)
    assert message == {"kind": "take"}
    os.write(fd, b"x")
    os.close(fd)
    assert os.read(reading, 2) == b"x"
    assert os.read(reading, 2) == b""  # nobody else has it
    os.close(reading)
    channel.close()
    theirs.close()


def test_the_end_is_told_once_and_who_sends_after_it_hears_so() -> None:
    _, one, other, _, ends = opened()
    other.close()
    assert one.send({"kind": "x"}) is False
    one.doRead()
    assert ends == ["one"]
    assert not one.is_open
    assert one.send({"kind": "x"}) is False
    assert ends == ["one"]


def test_waiting_for_one_kind_keeps_the_others_for_later() -> None:
    reactor = Reactor()
    heard: list[Message] = []
    ours, theirs = pair()
    channel = Channel(ours, reactor, lambda message, _: heard.append(message), lambda: None)
    for kind in ("a", "b", "adopt", "c"):
        post(theirs, {"kind": kind})
    assert channel.wait(frozenset({"adopt"}), 5) == {"kind": "adopt"}
    assert heard == []
    reactor.advance(0)
    channel.doRead()
    assert [message["kind"] for message in heard] == ["a", "b", "c"]
    assert channel.wait(frozenset({"adopt"}), 0.01) is None
    channel.close()
    theirs.close()


def test_one_message_that_fails_does_not_end_the_reading() -> None:
    heard: list[str] = []

    def hear(message: Message, fds: list[int]) -> None:
        assert not fds
        heard.append(message["kind"])
        raise ValueError

    ours, theirs = pair()
    channel = Channel(ours, Reactor(), hear, lambda: None)
    for kind in "ab":
        post(theirs, {"kind": kind})
    channel.doRead()
    assert heard == ["a", "b"]
    channel.close()
    theirs.close()
