"""What ICAP headers say of who asks, and what they do not."""

from __future__ import annotations

import base64
import re

import pytest

from icapd.accounts import IN_DOUBT
from icapd.facts import USUAL, UserHeaders, group_header, transaction_of, user_headers
from icapd.http import HeadError
from icapd.transaction import Point, Transaction

GET = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX-Client-IP: 192.0.2.66\r\nX-Sni: b.example\r\n\r\n"


def received(
    point: Point,
    request: bytes | None,
    response: bytes | None,
    names: UserHeaders = USUAL,
    /,
    **headers: str,
) -> Transaction:
    fields = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    return transaction_of(point, fields, request, response, 1.5, names)


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
        ({"x_client_username": encoded("anna"), "x_icapd_fragment": "1"}, "anna"),
        ({"x_authenticated_user": encoded("Local://anna")}, "anna"),
        ({"x_authenticated_user": encoded("WinNT://DOM/anna")}, "DOM\\anna"),
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


# -- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x_client_username": "%%%", "x_icapd_fragment": "1"},
        {"x_client_username": encoded("alice\r\nX-Client-IP: 1.1.1.1"), "x_icapd_fragment": "1"},
        {"x_client_username": "alice\tbob"},
        {"x_client_username": "alice\x00"},
        {"x_client_username": "ali\u00adce".encode().decode("latin-1")},
        {"x_authenticated_user": "Local://a\x7f"},
        {"x_authenticated_user": encoded("Local://a%0d%0ab")},
        {"x_authenticated_groups": "staff,a\x1bb"},
    ],
)
def test_what_is_no_name_is_refused_and_not_taken_for_nobody(headers: dict[str, str]) -> None:
    with pytest.raises(HeadError):
        facts(**headers)


def test_the_encoding_can_be_told() -> None:
    raw = UserHeaders(encoding="raw")
    base64_ = UserHeaders(encoding="base64")
    for name in ("x_client_username", "x_authenticated_user"):
        value = encoded("anna")
        assert received(Point.REQMOD, GET, None, raw, **{name: value}).client.user == value
        assert received(Point.REQMOD, GET, None, base64_, **{name: value}).client.user == "anna"
        with pytest.raises(HeadError):
            received(Point.REQMOD, GET, None, base64_, **{name: "anna!"})


def test_the_header_can_be_another() -> None:
    names = user_headers("X-User", "auto", ())
    tx = received(Point.REQMOD, GET, None, names, x_user="anna", x_client_username="bert")
    assert tx.client.user == "anna"


def test_a_name_in_latin_1_is_read_too() -> None:
    assert facts(x_client_username="zo\xeb").client.user == "zoë"
    assert facts(x_client_username="zoë".encode().decode("latin-1")).client.user == "zoë"


# -- groups ------------------------------------------------------------------------------------------


def test_groups_no_header_tells_are_not_told() -> None:
    assert facts(x_client_username="anna").client.groups is None


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        ("staff, CORP\\kids", ("staff", "CORP\\kids", "kids")),
        (encoded("LDAP://dc/CN=A,DC=x"), ("CN=A,DC=x", "A", "x/A")),
        ("", ()),
        ("-", ()),
    ],
)
def test_groups_in_a_list(value: str, groups: tuple[str, ...]) -> None:
    assert facts(x_authenticated_groups=value).client.groups == groups


@pytest.mark.parametrize(
    ("group", "header"),
    [
        ("staff", "X-Client-Group-staff-15622065"),
        ("Domain Users", "X-Client-Group-Domain-Users-"),
        ("a\r\nX-Client-IP: 1", "X-Client-Group-a-X-Client-IP-1-"),
        ("Größe", "X-Client-Group-Gr-e-"),
        ("学校", "X-Client-Group-"),
        ("x" * 200, "X-Client-Group-" + "x" * 40 + "-"),
    ],
)
def test_a_groups_header_is_a_header_name(group: str, header: str) -> None:
    found = group_header(group)
    assert found.startswith(header)
    assert re.fullmatch(r"X-Client-Group-([A-Za-z0-9]+-)*[0-9a-f]{8}", found)


def test_groups_differing_in_what_a_header_cannot_hold_have_headers_of_their_own() -> None:
    names = ["a b", "a-b", "a_b", "A b", "ä", "ö"]
    assert len({group_header(name).lower() for name in names}) == len(names)


def asked(**told: str) -> tuple[str, ...] | None:
    names = user_headers("X-Client-Username", "auto", ["staff", "CORP\\kids"])
    headers = {group_header(group.replace("__", "\\")).lower(): value for group, value in told.items()}
    return received(Point.REQMOD, GET, None, names, x_icapd_fragment="1", **headers).client.groups


def test_groups_that_squid_was_asked_about() -> None:
    assert asked(staff="1", CORP__kids="0") == ("staff",)
    assert asked(staff="0", CORP__kids="1") == ("CORP\\kids", "kids")
    assert asked(staff="0", CORP__kids="0") == ()


def test_a_group_that_an_older_fragment_does_not_ask_about_is_in_doubt() -> None:
    assert asked(staff="1") == ("staff", IN_DOUBT)
    assert asked(staff="1", CORP__kids="-") == ("staff", IN_DOUBT)
    assert asked() == (IN_DOUBT,)


def test_a_client_without_the_fragment_is_not_expected_to_tell_groups() -> None:
    names = user_headers("X-Client-Username", "auto", ["staff"])
    told = {group_header("staff").lower(): "1"}
    assert received(Point.REQMOD, GET, None, names, **told).client.groups is None


@pytest.mark.parametrize(("value", "addresses"), [("192.0.2.80", ("192.0.2.80",)), ("-", ()), ("", ())])
def test_the_address_a_response_came_from(value: str, addresses: tuple[str, ...]) -> None:
    tx = received(Point.RESPMOD, GET, b"HTTP/1.1 200 OK\r\n\r\n", x_server_ip=value)
    assert tx.addresses == addresses
