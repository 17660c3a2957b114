"""What is remembered of hosts is bounded, and one prepared decision serves all hosts of a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.server import hosts
from icapd.server.hosts import Hosts

if TYPE_CHECKING:
    import pytest

    from icapd.server.site import Site


def of(site: Site) -> Hosts:
    return Hosts(site.generation.policy, site.generation.pages)


def test_hosts_of_one_rule_share_its_block(site: Site) -> None:
    known = of(site)
    first = known[b"bad.example"]
    assert first is not None
    assert first.blocks
    assert known[b"sub.bad.example"] is first
    allowed = known[b"a.example"]
    assert allowed is not None
    assert not allowed.blocks
    assert known[b"old.example"] is None  # redirects go the long way


def test_the_memory_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_HOSTS", 3)
    monkeypatch.setattr(hosts, "MAX_PREPARED", 1)
    known = of(site)
    for name in (b"a.example", b"bad.example", b"b.example", b"c.example", b"d.bad.example"):
        assert known[name] is not None
        assert len(known) <= 3


def test_a_block_keeps_to_the_values_of_its_own_request(site: Site) -> None:
    prepared = of(site)[b"bad.example"]
    assert prepared is not None
    head = b"GET http://bad.example/ HTTP/1.1\r\nAccept: text/html\r\nHost: bad.example\r\n\r\n"
    values = {"decision_id": "id", "host": "bad.example", "method": "GET", "url": "http://bad.example/"}
    pages = []
    for user in ("anna", "", "be<rt"):
        more = {"user": user, "client_ip": "", "user_agent": ""}
        pages.append(prepared.answer(head, head.lower(), {**values, **more}, 0.0).body or b"")
    assert b"anna" in pages[0]
    assert b"<dt>User" not in pages[1]
    assert b"be&lt;rt" in pages[2]
    assert b"anna" not in pages[2]
