"""The epoll of all plain ICAP sockets, on real socket pairs; through a real icapd it is in test_run.py."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from twisted.logger import capturedLogs

from icapd.server.reading import Hub, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.server.interfaces import TcpTransport


class Handed:
    """What Twisted's transport is asked for: stands in for it, since no reactor runs here."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def abortConnection(self) -> None:
        self.asked.append("abort")


def handed(connection: socket.socket) -> TcpTransport:
    return Handed(connection)  # type: ignore[return-value]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def is_ready(hub: Hub) -> bool:
    """Whether the reactor, which watches the hub's own descriptor, would call it."""
    return bool(select.select([hub.fileno()], [], [], 0)[0])


def test_what_comes_is_handed_on(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    hub, seen = Hub(), list[bytes]()
    transport = handed(ours)
    hub.add(transport, seen.append)
    assert transport.asked == ["pause"]  # type: ignore[attr-defined]  # Twisted reads it no more
    assert not is_ready(hub)
    theirs.sendall(b"one")
    assert is_ready(hub)
    hub.doRead()
    theirs.sendall(b"two")
    hub.doRead()
    hub.doRead()  # nothing is there: nothing happens
    assert seen == [b"one", b"two"]


def test_paused_it_waits_and_loses_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    hub, seen = Hub(), list[bytes]()
    reading = hub.add(handed(ours), seen.append)
    reading.pauseProducing()
    theirs.sendall(b"one")
    assert not is_ready(hub)
    reading.resumeProducing()
    assert is_ready(hub)
    hub.doRead()
    assert seen == [b"one"]


def test_a_closed_one_goes_back_to_twisted(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    hub, seen = Hub(), list[bytes]()
    transport = handed(ours)
    reading = hub.add(transport, seen.append)
    theirs.sendall(b"last")
    theirs.close()
    hub.doRead()
    hub.doRead()
    assert seen == [b"last"]
    assert transport.asked == ["pause", "resume"]  # type: ignore[attr-defined]
    assert not is_ready(hub)
    reading.pauseProducing()  # too late, and harmless
    reading.end()


def test_a_lost_one_is_forgotten_and_its_descriptor_free_for_another() -> None:
    hub, seen = Hub(), list[bytes]()
    first, peer = socket.socketpair()
    descriptor = first.fileno()
    reading = hub.add(handed(first), seen.append)
    first.close()
    peer.close()
    reading.end()
    second, peer = socket.socketpair()
    second.setblocking(False)
    with second, peer:
        assert second.fileno() == descriptor
        hub.add(handed(second), seen.append)
        peer.sendall(b"two")
        hub.doRead()
    assert seen == [b"two"]


def test_one_that_is_lost_while_another_is_read_is_passed_over() -> None:
    hub, seen = Hub(), list[bytes]()
    pairs = [socket.socketpair() for _ in range(2)]
    readings: list[Reading] = []

    def take(data: bytes) -> None:
        seen.append(data)
        for reading in readings:
            reading.end()

    for ours, theirs in pairs:
        ours.setblocking(False)
        readings.append(hub.add(handed(ours), take))
        theirs.sendall(b"x")
    hub.doRead()
    assert seen == [b"x"]
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_a_fault_costs_one_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    hub = Hub()
    transport = handed(ours)

    def take(data: bytes) -> None:
        raise ValueError(data)

    hub.add(transport, take)
    theirs.sendall(b"x")
    with capturedLogs() as logs:
        hub.doRead()
    assert transport.asked == ["pause", "abort"]  # type: ignore[attr-defined]
    assert len(logs) == 1


def test_who_is_amid_a_large_body_lets_the_others_go_first() -> None:
    hub, seen = Hub(), list[str]()
    pairs = [socket.socketpair() for _ in range(2)]
    for name, (ours, theirs) in zip(("large", "small"), pairs, strict=True):
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        hub.add(handed(ours), lambda _, name=name: seen.append(name))  # type: ignore[misc]
    (_, large), (_, small) = pairs
    large.sendall(b"x" * 70_000)
    hub.doRead()
    large.sendall(b"x")
    small.sendall(b"x")
    hub.doRead()
    assert seen == ["large", "small", "large"]
    for pair in pairs:
        for each in pair:
            each.close()
