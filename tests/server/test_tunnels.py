"""The host a tunnel was opened to is a name of every request inside; through real Squid in tests/e2e."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from icapd.policy import Allow, Block, Decision
from icapd.server import tunnels as module
from icapd.server.tunnels import Tunnels
from tests.policy.asking import transaction
from tests.server.asking import reqmod
from tests.server.conftest import connected

if TYPE_CHECKING:
    from icapd.server.site import Site

CLIENT = {b"x-client-ip": b"192.0.2.1", b"x-client-port": b"4000"}
LINES = ("Allow: 204", "X-Client-IP: 192.0.2.1", "X-Client-Port: 4000")


def test_each_client_and_port_has_its_own() -> None:
    tunnels = Tunnels()
    tunnels.opened(CLIENT, "a.example")
    tunnels.opened(CLIENT | {b"x-client-port": b"4001"}, "b.example")
    assert tunnels.host(CLIENT) == "a.example"
    assert tunnels.host(CLIENT | {b"x-client-ip": b"192.0.2.2"}) is None
    tunnels.opened(CLIENT, "c.example")  # the port is used anew
    assert tunnels.host(CLIENT) == "c.example"


@pytest.mark.parametrize("name", list(CLIENT))
@pytest.mark.parametrize("value", [b"", b"-", None])
def test_a_client_that_is_not_told_has_none(name: bytes, value: bytes | None) -> None:
    headers = {key: old for key, old in CLIENT.items() if key != name}
    if value is not None:
        headers[name] = value
    tunnels = Tunnels()
    tunnels.opened(headers, "a.example")
    assert tunnels.host({}) is None
    if name == b"x-client-port":
        assert tunnels.host(headers) is None


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TUNNELS", 2)
    tunnels = Tunnels()
    for port in (b"1", b"2", b"1", b"3"):
        tunnels.opened(CLIENT | {b"x-client-port": port}, "a.example")
    assert [tunnels.host(CLIENT | {b"x-client-port": port}) for port in (b"1", b"2", b"3")] == [
        "a.example",
        None,
        "a.example",
    ]


def closed(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line + "}")
    return found


def actions(site: Site, *requests: bytes) -> list[str]:
    lines: list[str] = []
    site.decisions.append = lines.append  # type: ignore[method-assign, assignment]
    protocol, _ = connected(site)
    for request in requests:
        protocol.dataReceived(request)
    return [closed(line)["action"] for line in lines]


def test_the_name_of_the_tunnel_blocks_what_is_inside(site: Site) -> None:
    site.tunnels.opened(CLIENT, "bad.example")  # a tunnel from before the rule, say
    inside = reqmod("https://a.example/", lines=LINES)
    other = reqmod("https://a.example/", lines=(*LINES[:2], "X-Client-Port: 4001"))
    plain = reqmod("http://a.example/", lines=LINES)
    assert actions(site, inside, other, plain) == ["block", "allow", "allow"]


def test_a_connect_is_noted(site: Site) -> None:
    actions(site, reqmod("A.example.:443", "CONNECT", lines=LINES))
    assert site.tunnels.host(CLIENT) == "a.example"


FRAGMENT = (*LINES, "X-Icapd-Fragment: 1")


def log_of(site: Site, *requests: bytes) -> list[dict[str, Any]]:
    lines: list[str] = []
    site.decisions.append = lines.append  # type: ignore[method-assign, assignment]
    protocol, _ = connected(site)
    for request in requests:
        protocol.dataReceived(request)
    return [closed(line) for line in lines]


def ticketed(**facts: Any) -> Tunnels:
    """Tunnels with one that waits for a request to a.example."""
    tunnels = Tunnels()
    tunnels.opened(CLIENT, "a.example", "k-1", 1000.0)
    policy = SimpleNamespace(decide=lambda _: Decision(Block(), "access"))
    tx = transaction("CONNECT", "a.example:443")
    tunnels.concluded(CLIENT, tx, policy, Decision(Allow(), "default"), None, **facts)  # type: ignore[arg-type]
    return tunnels


def inside(tunnels: Tunnels, url: str, now: float, headers: dict[bytes, bytes] = CLIENT) -> str | None:
    tx = transaction("GET", url, f"Host: {url.split('/')[2]}")
    tx.now = now
    tunnels.attend(tx, headers, "k-2")
    return tx.misuse


def test_a_ticket_is_for_its_own_host_and_must_be_used_in_time() -> None:
    tunnels = ticketed()
    assert not tunnels.is_plain(CLIENT, "a.example")
    assert inside(tunnels, "https://a.example/", 1001.0) is None
    assert tunnels.is_plain(CLIENT, "a.example")
    assert inside(tunnels, "https://a.example/", 9000.0) is None  # used once, it is the tunnel's
    assert "not for b.example" in str(inside(tunnels, "https://b.example/", 1002.0))
    [event] = map(closed, tunnels.events(1003.0, "abc"))
    assert (event["event"], event["host"], event["client_port"]) == ("ticket-misused", "a.example", 4000)


def test_an_unused_ticket_is_recorded_once_and_then_refused() -> None:
    tunnels = ticketed()
    assert tunnels.events(1299.0, "abc") == []
    [event] = map(closed, tunnels.events(1300.0, "abc"))
    assert (event["event"], event["id"]) == ("ticket-unused", "k-1")
    assert tunnels.events(1400.0, "abc") == []
    assert "did not come" in str(inside(tunnels, "https://a.example/", 1401.0))


def test_a_late_request_is_refused_before_the_clock_ticks() -> None:
    assert "did not come" in str(inside(ticketed(), "https://a.example/", 1300.0))


def test_tickets_are_bound_to_the_connection() -> None:
    other = CLIENT | {b"x-client-port": b"4001"}
    assert inside(ticketed(), "https://b.example/", 1001.0, other) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TUNNELS", 1)
    tunnels = ticketed()
    tunnels.opened(CLIENT | {b"x-client-port": b"4001"}, "b.example")
    assert tunnels.host(CLIENT) is None
    assert tunnels.events(9999.0, "abc") == []


def test_a_repeated_connect_names_the_first(site: Site) -> None:
    again = (*FRAGMENT, "X-SNI: a.example", "X-Icapd-Tunnel: again")
    first, second = log_of(
        site,
        reqmod("a.example:443", "CONNECT", lines=FRAGMENT),
        reqmod("a.example:443", "CONNECT", lines=again),
    )
    assert "again" not in first
    assert second["again"] == first["id"]
    assert (second["sni"], second["client_port"]) == ("a.example", 4000)


def test_where_only_an_address_is_known_requests_inside_have_their_own_names(site: Site) -> None:
    lines = (*FRAGMENT, "X-Icapd-Tunnel: address", "X-Server-IP: 192.0.2.9")
    connect, inner = log_of(
        site, reqmod("192.0.2.9:443", "CONNECT", lines=lines), reqmod("https://a.example/", lines=FRAGMENT)
    )
    assert (connect["action"], connect["server"], inner["action"]) == ("allow", "192.0.2.9", "allow")
    assert site.tunnels.host(CLIENT) is None


def test_tunnels_survive_a_reload(site: Site) -> None:
    site.tunnels.opened(CLIENT, "bad.example")
    site.replace(site.generation)
    assert site.tunnels.host(CLIENT) == "bad.example"
