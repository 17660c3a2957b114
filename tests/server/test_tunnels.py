"""The host a tunnel was opened to is a name of every request inside; through real Squid in tests/e2e."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.server import tunnels as module
from icapd.server.tunnels import Tunnels
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


def actions(site: Site, *requests: bytes) -> list[str]:
    lines: list[str] = []
    site.decisions.append = lines.append  # type: ignore[method-assign, assignment]
    protocol, _ = connected(site)
    for request in requests:
        protocol.dataReceived(request)
    return [json.loads(line)["action"] for line in lines]


def test_the_name_of_the_tunnel_blocks_what_is_inside(site: Site) -> None:
    site.tunnels.opened(CLIENT, "bad.example")  # a tunnel from before the rule, say
    inside = reqmod("https://a.example/", lines=LINES)
    other = reqmod("https://a.example/", lines=(*LINES[:2], "X-Client-Port: 4001"))
    plain = reqmod("http://a.example/", lines=LINES)
    assert actions(site, inside, other, plain) == ["block", "allow", "allow"]


def test_a_connect_is_noted(site: Site) -> None:
    actions(site, reqmod("A.example.:443", "CONNECT", lines=LINES))
    assert site.tunnels.host(CLIENT) == "a.example"
