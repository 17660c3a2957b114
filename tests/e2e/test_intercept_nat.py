"""Connections that NAT brings to Squid (mode `intercept`), names that contradict addresses, and IPv6."""

from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from icapd.demo.contacts import Contacts, HelloReceived
from icapd.demo.origin import Origin
from icapd.pki import BumpCa, make_server_certificate
from tests.e2e.network import DENIED, ELSEWHERE, NAT_CLIENT, ORIGIN, ORIGIN6, UNREAD6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.intercepting import Intercepting


class SixOrigin(Origin):
    """An origin with an IPv6 address."""

    address_family = socket.AF_INET6


@pytest.fixture
def caught(intercepting: Intercepting) -> Intercepting:
    if intercepting.network is None:
        pytest.skip("interception needs root and network namespaces, which this machine does not give")
    return intercepting


@pytest.fixture(scope="module")
def nat(intercepting: Intercepting) -> Intercepting:
    network = intercepting.network
    if network is None:
        pytest.skip("interception needs root and network namespaces, which this machine does not give")
    ports = intercepting.lab.site.ports
    if not network.redirect(ports["nat"], ports["nattls"]):
        pytest.skip("NAT needs nft, and a kernel that has it")
    return intercepting


@contextmanager
def another_origin(
    lab: Intercepting, scratch: Path, address: str, kind: type[Origin] = Origin
) -> Iterator[Contacts]:
    """One more HTTPS origin, at `address`, with all names of the first and contacts of its own."""
    assert lab.network is not None
    contacts = Contacts()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = lab.lab.site.directory / "ca"
    issuer = BumpCa(folder / "origin.pem", folder / "origin.crt")
    made = make_server_certificate(
        scratch, names=(address, *lab.plan.names), now=datetime.now(UTC), days=2, issuer=issuer
    )
    context.load_cert_chain(made.certificate, made.key)
    with lab.network.inside("origin"):
        origin = kind(contacts, (address, 443), context)
    origin.start()
    try:
        yield contacts
    finally:
        origin.stop()


# What TPROXY gives too (tests/e2e/test_matrix.py): NAT changes how connections come, not what becomes of them.
@pytest.mark.parametrize(
    ("host", "shows"),
    [
        ("allow-bump", "site/request"),
        ("block-bump", "page/handshake"),
        ("redirect-bump", "redirect/handshake"),
        ("allow-splice", "unread/request"),
        ("block-splice", "page/handshake"),
        ("allow-terminate", "ended/nothing"),
    ],
)
def test_https_by_nat(nat: Intercepting, host: str, shows: str) -> None:
    name = f"{host}.lab.test"
    outcome = nat.intercepted(sni=name, host=name, source=NAT_CLIENT)
    assert f"{outcome.shows}/{outcome.contact}" == shows


@pytest.mark.parametrize(("host", "status"), [("block-bump", 403), ("allow-bump", 200)])
def test_http_by_nat(nat: Intercepting, host: str, status: int) -> None:
    assert nat.network is not None
    with (
        nat.network.inside("client"),
        socket.create_connection((ORIGIN, 80), 10, source_address=(NAT_CLIENT, 0)) as wire,
    ):
        wire.sendall(f"GET / HTTP/1.1\r\nHost: {host}.lab.test\r\nConnection: close\r\n\r\n".encode())
        assert wire.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("source", ["", NAT_CLIENT])
def test_a_name_that_leads_to_another_address(nat: Intercepting, tmp_path: Path, source: str) -> None:
    """The connection goes where the client went; what the name is allowed or denied holds all the same."""
    with another_origin(nat, tmp_path, ELSEWHERE) as elsewhere:
        mark = elsewhere.mark()
        allowed = nat.intercepted(
            sni="allow-bump.lab.test", host="allow-bump.lab.test", address=ELSEWHERE, source=source
        )
        assert (allowed.shows, allowed.contact) == ("site", "nothing")  # nothing at the name's own address
        assert len(elsewhere.requests(mark)) == 1
        mark = elsewhere.mark()
        denied = nat.intercepted(
            sni="block-bump.lab.test", host="block-bump.lab.test", address=ELSEWHERE, source=source
        )
        assert (denied.shows, denied.contact) == ("page", "nothing")
        assert elsewhere.requests(mark) == ()


def test_a_denied_address_is_denied_under_any_name(caught: Intercepting, tmp_path: Path) -> None:
    with another_origin(caught, tmp_path, DENIED) as elsewhere:
        outcome = caught.intercepted(sni="allow-bump.lab.test", host="allow-bump.lab.test", address=DENIED)
        assert outcome.shows == "page"
        assert elsewhere.requests(0) == ()


def test_a_tunnel_to_an_ipv6_address_reaches_it_unread(caught: Intercepting, tmp_path: Path) -> None:
    with another_origin(caught, tmp_path, UNREAD6, SixOrigin) as six:
        outcome = caught.explicit(f"[{UNREAD6}]:443", sni=None, inner=f"[{UNREAD6}]")
        assert outcome.shows == "unread"
        (request,) = six.requests(0)
        assert dict(request.headers)["Host"] == f"[{UNREAD6}]"


def test_a_decrypted_tunnel_to_an_ipv6_address_is_refused_by_squid(
    caught: Intercepting, tmp_path: Path
) -> None:
    """It gets there, but Squid 5.7 asks for `[fd09::1]` by name and finds it in no certificate."""
    with another_origin(caught, tmp_path, ORIGIN6, SixOrigin) as six:
        outcome = caught.explicit(f"[{ORIGIN6}]:443", sni=None, inner=f"[{ORIGIN6}]")
        assert outcome.shows in {"site", "status 503"}
        assert any(isinstance(each, HelloReceived) for each in six.since(0))


def test_a_blocked_name_is_blocked_by_way_of_an_ipv6_address_too(
    caught: Intercepting, tmp_path: Path
) -> None:
    with another_origin(caught, tmp_path, ORIGIN6, SixOrigin) as six:
        outcome = caught.explicit(f"[{ORIGIN6}]:443", sni="block-bump.lab.test", inner="block-bump.lab.test")
        assert outcome.shows == "page"
        assert six.requests(0) == ()
