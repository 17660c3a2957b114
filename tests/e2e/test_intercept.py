"""Connections that the network brings to Squid (TPROXY), and tunnels that are not what they seem."""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from icapd.demo.contacts import RequestReceived
from tests.e2e.network import CLIENT, ORIGIN

if TYPE_CHECKING:
    from tests.e2e.intercepting import Intercepting, Outcome

_LOGGED = 1.0  # s within which icapd writes its lines


@pytest.fixture
def caught(intercepting: Intercepting) -> Intercepting:
    if intercepting.network is None:
        pytest.skip("interception needs root and network namespaces, which this machine does not give")
    return intercepting


def fresh_mark(intercepting: Intercepting) -> int:
    """A place in the log behind all that was asked so far."""
    time.sleep(_LOGGED)
    return intercepting.lab.decisions.mark()


def logged(intercepting: Intercepting, mark: int) -> list[dict[str, object]]:
    time.sleep(_LOGGED)
    with intercepting.lab.decisions.path.open("rb") as log:
        log.seek(mark)
        lines = [json.loads(line) for line in log]
    return [
        line for line in lines if line.get("point", "reqmod") == "reqmod" and line.get("event") != "policy"
    ]


def test_plain_http_is_blocked(caught: Intercepting) -> None:
    assert caught.network is not None
    with caught.network.inside("client"), socket.create_connection((ORIGIN, 80), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: block-bump.lab.test\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"blocked" in answer


def test_icapd_is_told_client_port_tls_name_and_server(caught: Intercepting) -> None:
    mark = fresh_mark(caught)
    outcome = caught.intercepted(sni="allow-splice.lab.test", host="allow-splice.lab.test")
    assert outcome.shows == "unread"
    first, second = logged(caught, mark)
    assert (first["method"], first["url"]) == ("CONNECT", f"{ORIGIN}:443")
    assert (second["method"], second["url"]) == ("CONNECT", "allow-splice.lab.test:443")
    assert (first["client"], first["server"], second["server"]) == (CLIENT, ORIGIN, ORIGIN)
    assert first["client_port"] == second["client_port"]
    assert ("sni" in first, second["sni"]) == (False, "allow-splice.lab.test")
    assert (second["tls"], second["tls_rule"]) == ("splice", "spliced")


def test_the_second_connect_of_a_spliced_tunnel_counts_as_the_first(caught: Intercepting) -> None:
    def intercepted() -> Outcome:
        return caught.intercepted(sni="allow-splice.lab.test", host="allow-splice.lab.test")

    for go in (
        intercepted,
        lambda: caught.explicit("allow-splice.lab.test", sni="allow-splice.lab.test"),
        lambda: caught.explicit("allow-splice.lab.test", sni=None),
    ):
        mark = fresh_mark(caught)
        assert go().shows == "unread"
        lines = logged(caught, mark)
        assert len(lines) == 2
        assert [line.get("again") for line in lines] == [None, lines[0]["id"]]


def test_a_decrypted_connection_is_asked_about_by_address_then_by_name(caught: Intercepting) -> None:
    mark = fresh_mark(caught)
    assert caught.intercepted(sni="bypass-bump.lab.test", host="bypass-bump.lab.test").shows == "site"
    connect, inner = logged(caught, mark)
    assert (connect["action"], connect["rule"]) == ("allow", None)
    assert (inner["action"], inner["url"]) == ("bypass", "https://bypass-bump.lab.test/")


def test_a_connect_inside_an_intercepted_connection_is_refused(caught: Intercepting) -> None:
    assert caught.network is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    mark = caught.lab.contacts.mark()
    with (
        caught.network.inside("client"),
        socket.create_connection((ORIGIN, 443), 10) as plain,
        context.wrap_socket(plain, server_hostname="allow-bump.lab.test") as inside,
    ):
        inside.sendall(b"CONNECT other.lab.test:443 HTTP/1.1\r\nHost: other.lab.test:443\r\n\r\n")
        assert inside.recv(4096).startswith(b"HTTP/1.1 403 ")
    assert caught.lab.contacts.requests(mark) == ()


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.0\r\n\r\n", bytes(range(200, 256))]
)
@pytest.mark.parametrize("mode", ["explicit", "intercept"])
@pytest.mark.parametrize("host", ["allow-bump", "block-bump", "allow-splice", "allow-terminate"])
def test_what_is_not_tls_reaches_nobody(
    intercepting: Intercepting, said: bytes, mode: str, host: str
) -> None:
    mark = intercepting.lab.contacts.mark()
    if mode == "explicit":
        intercepting.explicit(f"{host}.lab.test", sni=None, said=said)
    elif intercepting.network is None:
        pytest.skip("this machine gives no network namespaces")
    else:
        intercepting.intercepted(sni=None, host="", said=said)
    assert not any(isinstance(each, RequestReceived) for each in intercepting.lab.contacts.since(mark))


def test_ports_other_than_443_are_refused_by_squid(intercepting: Intercepting) -> None:
    outcome = intercepting.explicit("allow-bump.lab.test:8443", sni="allow-bump.lab.test")
    assert (outcome.shows, outcome.contact) == ("page", "nothing")


def test_an_address_for_a_name(intercepting: Intercepting) -> None:
    """No rule names it: decrypted, and what is asked inside is judged by its names."""
    address = intercepting.plan.address
    assert intercepting.explicit(address, sni=None, inner="allow-bump.lab.test").contact == "request"
    assert intercepting.explicit(address, sni=None, inner="block-bump.lab.test").shows == "page"
    outcome = intercepting.explicit(address, sni="allow-splice.lab.test", inner="allow-splice.lab.test")
    assert outcome.shows != "unread"  # a name that the client alone says does not exempt


def test_an_ipv6_address_for_a_name(intercepting: Intercepting) -> None:
    outcome = intercepting.explicit("[fd09::1]:443", sni=None, inner="block-bump.lab.test")
    assert (outcome.shows, outcome.contact) == ("page", "nothing")


@pytest.mark.parametrize("target", ["fd09::1:443", "[fd09::1", "[::ffff:127.0.0.1]:443", "fd09::1"])
def test_raw_ipv6_in_a_connect_opens_nothing(intercepting: Intercepting, target: str) -> None:
    outcome = intercepting.explicit(
        target if target.endswith(":443") else f"{target}:443", sni=None, inner="x.test"
    )
    assert outcome.contact == "nothing"
    assert outcome.shows != "site"


def test_method_none_is_a_connect(intercepting: Intercepting) -> None:
    """Squid's own name for a tunnel that failed; from a client it opens nothing."""
    lab = intercepting.lab
    mark = lab.contacts.mark()
    with (
        intercepting.inside("squid"),
        socket.create_connection(("127.0.0.1", lab.site.ports["bump"]), 10) as wire,
    ):
        wire.sendall(b"NONE block-bump.lab.test:443 HTTP/1.1\r\nHost: block-bump.lab.test:443\r\n\r\n")
        wire.settimeout(3)
        answer = wire.recv(4096)
    assert not answer.startswith(b"HTTP/1.1 200 ")
    assert lab.contacts.since(mark) == ()


def test_a_rule_that_ends_connects(intercepting: Intercepting) -> None:
    outcome = intercepting.explicit("ended.lab.test", sni="ended.lab.test")
    assert (outcome.shows, outcome.got.connect, outcome.contact) == ("ended", 403, "nothing")


def test_a_ticket_is_for_its_own_host(intercepting: Intercepting) -> None:
    """The CONNECT passes since a rule excludes it; inside, only its own host may be asked, and it is blocked."""
    mark = fresh_mark(intercepting)
    own = intercepting.explicit("excluded.lab.test", sni="excluded.lab.test")
    other = intercepting.explicit("excluded.lab.test", sni="other.lab.test")
    assert (own.shows, own.contact) == ("page", "nothing")
    assert (other.shows, other.contact) == ("page", "nothing")
    lines = logged(intercepting, mark)
    refused = [line for line in lines if line.get("action") == "refuse"]
    assert [(line["stage"], line["url"]) for line in refused] == [("tunnel", "https://other.lab.test/")]
    assert [line["host"] for line in lines if line.get("event") == "ticket-misused"] == ["excluded.lab.test"]


def test_spliced_under_its_own_name_when_intercepted(caught: Intercepting) -> None:
    assert caught.intercepted(sni="named.lab.test", host="named.lab.test").shows == "unread"
    assert caught.intercepted(sni=None, host="named.lab.test").shows == "site"


def test_what_squid_does_not_say_leaves_no_complaint(intercepting: Intercepting) -> None:
    assert "Traceback" not in intercepting.lab.icapd.output()
    assert intercepting.lab.contacts.faults == []
