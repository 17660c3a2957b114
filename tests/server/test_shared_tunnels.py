"""The table of tunnels, seen by several stores as by several processes: bounded, whole, found again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from icapd.server import shared_tunnels as module
from icapd.server.shared_tunnels import SharedStore, make_table
from icapd.server.tunnels import Ticket, Tunnel
from tests.server.working import until

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = (b"192.0.2.1", b"40000")


@pytest.fixture
def table() -> Iterator[int]:
    descriptor = make_table()
    yield descriptor
    os.close(descriptor)


def test_what_one_puts_another_finds(table: int) -> None:
    one, other = SharedStore(table, 0), SharedStore(table, 1)
    assert other.find(KEY) is None
    one.put(KEY, Tunnel("a.example", "id-1", 5.0))
    found = other.find(KEY)
    assert found is not None
    assert (found.host, found.id, found.opened, found.ticket) == ("a.example", "id-1", 5.0, Ticket.NONE)
    assert other.find(KEY) is found  # not read again
    one.put(KEY, Tunnel("", "id-2", 6.0))
    found = other.find(KEY)
    assert found is not None
    assert (found.host, found.id) == ("", "id-2")
    assert other.find((b"192.0.2.1", b"40001")) is None


def test_a_ticket_is_changed_once_and_seen_by_all(table: int) -> None:
    one, other = SharedStore(table, 0), SharedStore(table, 1)
    one.put(KEY, Tunnel("a.example", "id-1", 5.0))
    mine, theirs = one.find(KEY), other.find(KEY)
    assert mine is not None
    assert theirs is not None
    assert one.mark(KEY, mine, Ticket.WAITING)
    assert not other.mark(KEY, theirs, Ticket.EXPIRED)  # it is not as it was
    theirs = other.find(KEY)
    assert theirs is not None
    assert theirs.ticket is Ticket.WAITING
    assert other.mark(KEY, theirs, Ticket.USED)
    assert not one.mark(KEY, mine, Ticket.EXPIRED)
    found = one.find(KEY)
    assert found is not None
    assert found.ticket is Ticket.USED


def test_who_comes_after_looks_after_the_tickets_of_who_died(table: int) -> None:
    one, other = SharedStore(table, 0), SharedStore(table, 1)
    for number in range(50):
        key = (b"192.0.2.1", b"%d" % number)
        tunnel = Tunnel("a.example", f"id-{number}", 100.0 - number)
        (one, other)[number % 2].put(key, tunnel)
        assert one.mark(key, tunnel, Ticket.WAITING)
    waiting = SharedStore(table, 0).waiting()
    assert [tunnel.id for _, tunnel in waiting] == [f"id-{number}" for number in range(48, -1, -2)]
    assert waiting[0][0] == (b"192.0.2.1", b"48")


def test_it_is_bounded_and_the_oldest_of_a_bucket_makes_room(
    table: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUCKETS", 1)
    store = SharedStore(table, 0)
    keys = [(b"192.0.2.1", b"%d" % number) for number in range(40)]
    for number, key in enumerate(keys):
        store.put(key, Tunnel("h" * 253, f"abcdefgh-{number:x}", float(number)))
    kept = [key for key in keys if SharedStore(table, 1).find(key) is not None]
    assert kept == keys[-16:]
    assert [key for key in keys if store.find(key) is not None] == kept


def test_a_torn_record_is_none_and_its_place_is_used_again(table: int) -> None:
    store = SharedStore(table, 0)
    store.put(KEY, Tunnel("a.example", "id-1", 5.0))
    found = store.find(KEY)
    assert isinstance(found, module.SharedTunnel)
    os.pwrite(table, b"XX", found.at + 22)
    assert SharedStore(table, 1).find(KEY) is None
    store.put(KEY, Tunnel("b.example", "id-2", 6.0))
    again = SharedStore(table, 1).find(KEY)
    assert isinstance(again, module.SharedTunnel)
    assert (again.host, again.at) == ("b.example", found.at)


def test_a_writer_that_is_killed_at_any_moment_leaves_whole_records_and_no_lock(table: int) -> None:
    """Children write the same few keys without pause, until each is killed; all records hang together."""
    keys = [(b"192.0.2.1", b"%d" % number) for number in range(8)]
    for life in range(10):
        child = os.fork()
        if not child:
            store, number = SharedStore(table, 1), 0
            while True:
                number += 1
                store.put(keys[number % 8], Tunnel(f"{number}." * 40, str(number), float(number)))
        if not life:
            until(lambda: all(SharedStore(table, 0).find(key) for key in keys))
        time.sleep(0.01 + 0.003 * life)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        store = SharedStore(table, 0)
        found = [tunnel for key in keys if (tunnel := store.find(key)) is not None]
        assert len(found) >= 6  # but the one that was being written
        written = [each for each in found if each.id != "id"]  # on a busy machine a child may not reach all
        assert all(each.host == f"{each.id}." * 40 and each.opened == float(each.id) for each in written)
        store.put(keys[0], Tunnel("a.example", "id", 1e9))  # the lock is free


def test_a_ticket_that_is_none_is_taken_as_absent(table: int) -> None:
    one = SharedStore(table, 0)
    one.put(KEY, Tunnel("a.example", "id-1", 5.0))
    found = one.find(KEY)
    assert isinstance(found, module.SharedTunnel)
    one._map[found.at + module._STATE] = 0xFF
    assert one.find(KEY) is None
    assert SharedStore(table, 1).find(KEY) is None
    assert SharedStore(table, 1).waiting() == []
    one.put(KEY, Tunnel("b.example", "id-2", 6.0))
    assert one.find(KEY) is not None
