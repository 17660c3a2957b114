from __future__ import annotations

import json

from icapd.events import ticket_line, with_tunnel
from icapd.transaction import Client, Point, Transaction


def test_a_connects_facts_are_added() -> None:
    tx = Transaction(Point.REQMOD, Client("10.0.0.1", port=4000), sni='a"\x1b', addresses=("192.0.2.1",))
    tx.again = "abc-1"
    line = with_tunnel('{"action":"allow"', tx)
    assert json.loads(line + "}") == {
        "action": "allow", "client_port": 4000, "sni": 'a"\x1b', "server": "192.0.2.1", "again": "abc-1",
    }  # fmt: skip
    assert line.isascii()
    assert with_tunnel('{"a":1', Transaction(Point.REQMOD)) == '{"a":1'


def test_a_ticket_is_an_event_and_no_decision() -> None:
    line = ticket_line(0.25, "ticket-unused", "xyz", "abc-1", (b"10.0.0.1", b"4000"), "a.test")
    assert json.loads(line + "}") == {
        "time": "1970-01-01T00:00:00.250Z", "event": "ticket-unused", "source": "xyz", "id": "abc-1", "client": "10.0.0.1",
        "client_port": 4000, "host": "a.test",
    }  # fmt: skip
