"""What ICAP headers say of who asks, and what they do not."""

from __future__ import annotations

import base64

import pytest

from icapd.facts import transaction_of
from icapd.http import HeadError
from icapd.transaction import Point, Transaction

GET = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Client-IP: 192.0.2.66\r\nX-Sni: b.example\r\n\r\n"


def received(point: Point, request: bytes | None, response: bytes | None, **headers: str) -> Transaction:
    fields = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return transaction_of(point, fields, request, response, 1.5)


def facts(**headers: str) -> Transaction:
    return received(Point.REQMOD, GET, None, **headers)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_headers_of_the_message_itself_say_nothing() -> None:
    tx = facts()
    assert (tx.client.address, tx.client.user, tx.client.port, tx.sni, tx.now) == (
        None,
        None,
        None,
        None,
        1.5,
    )


def test_squid_with_our_fragment() -> None:
    tx = facts(
        x_icapd_fragment="1",
        x_client_ip="2001:db8::1",
        x_client_port="40000",
        x_client_username=encoded("müller"),
        x_sni="a.example",
        x_proxy_port="3128",
    )
    assert (tx.client.address, tx.client.port, tx.client.user) == ("2001:db8::1", 40000, "müller")
    assert (tx.sni, tx.proxy_port) == ("a.example", 3128)


@pytest.mark.parametrize(
    "name", ["x_client_ip", "x_client_username", "x_sni", "x_client_port", "x_proxy_port"]
)
@pytest.mark.parametrize("value", ["-", ""])
def test_a_dash_is_not_known(name: str, value: str) -> None:
    tx = facts(**{name: value})
    found = (tx.client.address, tx.client.user, tx.sni, tx.client.port, tx.proxy_port)
    assert found == (None, None, None, None, None)


@pytest.mark.parametrize("value", ["x", "-1", "1 2", "100000", "\xb2"])
def test_what_is_no_port_is_not_known(value: str) -> None:
    assert facts(x_client_port=value).client.port is None


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({"x_client_username": "anna"}, "anna"),  # without our fragment Squid sends it plain
        ({"x_client_username": "abcd"}, "abcd"),  # … also where it could be base64
        ({"x_client_username": "%%%", "x_icapd_fragment": "1"}, None),
        ({"x_client_username": encoded("anna"), "x_icapd_fragment": "1"}, "anna"),
        ({"x_authenticated_user": encoded("Local://anna")}, "anna"),
        ({"x_authenticated_user": encoded("WinNT://DOM/anna")}, "DOM/anna"),
        ({"x_authenticated_user": "Local://anna"}, "anna"),
        ({"x_authenticated_user": encoded("anna")}, "anna"),
        ({"x_authenticated_user": "admin123"}, "admin123"),  # base64 by its letters, but of no text
        ({"x_authenticated_user": ""}, None),
        ({"x_client_username": "anna", "x_authenticated_user": "bert"}, "anna"),
    ],
)
def test_the_user(headers: dict[str, str], user: str | None) -> None:
    assert facts(**headers).client.user == user


def test_a_reqmod_without_a_request_line_is_refused() -> None:
    with pytest.raises(HeadError):
        received(Point.REQMOD, b"rubbish\r\n\r\n", None)


def test_a_respmod_whose_heads_are_none_has_unknown_facts() -> None:
    tx = received(Point.RESPMOD, b"rubbish\r\n\r\n", GET)
    assert (tx.request, tx.response) == (None, None)
    tx = received(Point.RESPMOD, GET, b"HTTP/1.1 200 OK\r\n\r\n")
    assert tx.request is not None
    assert tx.response is not None
    assert (tx.request.method, tx.response.status) == ("GET", 200)
