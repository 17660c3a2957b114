"""What each decision becomes: virgin, a page, a redirect, or a marked CONNECT."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.adaptation import Answer, UseAdapted, UseVirgin, adapt, display_url
from icapd.http import RequestHead, ResponseHead
from icapd.pages import Pages
from icapd.policy import Block, Policy, load_policy
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from pathlib import Path

RULES = {
    "bypass": [{"name": "free", "when": {"host": ["free.example"]}, "action": "allow"}],
    "access": [
        {"name": "bad <b>", "when": {"host": ["bad.example"]}, "action": "block"},
        {
            "name": "old",
            "when": {"host": ["old.example"]},
            "action": {"redirect": "https://new.example/?from={url}&u={user}"},
        },
    ],
    "tls": [
        {"name": "bank", "when": {"host": ["bank.example"]}, "action": "splice"},
        {"name": "pinned", "when": {"host": ["pin.example"]}, "action": "splice_if_sni_matches"},
        {"name": "evil", "when": {"host": ["evil.example"]}, "action": "terminate"},
    ],
}
PAGES = Pages.load(None)
ID = "k3v7q2xa-1f"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    file: Path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(json.dumps(RULES))
    return load_policy(file)


def transaction(
    target: str, method: str = "GET", *lines: str, point: Point = Point.REQMOD, sni: str | None = None
) -> Transaction:
    raw = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", *lines, "")).encode("latin-1")
    response = ResponseHead(b"HTTP/1.1 200 OK\r\n\r\n") if point is Point.RESPMOD else None
    client = Client("192.0.2.1", "anna")
    return Transaction(point, client, RequestHead(raw), response, sni, now=1_700_000_000.0)


def answer(policy: Policy, tx: Transaction, *, marks: bool = False) -> Answer:
    return adapt(tx, policy, PAGES, ID, marks_connect=marks)[1]


def adapted(policy: Policy, tx: Transaction, *, marks: bool = False) -> UseAdapted:
    found = answer(policy, tx, marks=marks)
    assert isinstance(found, UseAdapted)
    return found


def fields(head: bytes) -> dict[str, str]:
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n")
    return dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:-2])


# -- virgin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://a.example/", "http://free.example/", "http://bank.example/"])
@pytest.mark.parametrize("marks", [False, True])
@pytest.mark.parametrize("point", [Point.REQMOD, Point.RESPMOD])
def test_what_is_allowed_goes_on_as_it_came(policy: Policy, url: str, marks: bool, point: Point) -> None:
    assert answer(policy, transaction(url, point=point), marks=marks) == UseVirgin()


def test_an_allowed_connect_to_be_decrypted_needs_no_mark(policy: Policy) -> None:
    assert answer(policy, transaction("a.example:443", "CONNECT"), marks=True) == UseVirgin()


# -- pages and redirects -----------------------------------------------------------------------------


@pytest.mark.parametrize("point", [Point.REQMOD, Point.RESPMOD])
def test_a_blocked_request_gets_the_page(policy: Policy, point: Point) -> None:
    found = adapted(policy, transaction("http://bad.example/", point=point))
    assert found.is_response
    assert found.reply_headers == ()
    assert found.body is not None
    assert found.head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert fields(found.head) == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(found.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation "
        "allow-top-navigation-to-custom-protocols",
    }
    for text in (b"bad &lt;b&gt;", b"anna", b"http://bad.example/", ID.encode()):
        assert text in found.body


@pytest.mark.parametrize("host", ["bad", "old"])
def test_an_answer_to_head_has_a_length_but_no_body(policy: Policy, host: str) -> None:
    get = adapted(policy, transaction(f"http://{host}.example/"))
    head = adapted(policy, transaction(f"http://{host}.example/", "HEAD"))
    assert get.body
    assert head.body is None
    assert fields(head.head)["Content-Length"].isdecimal()


def test_a_redirect_says_where_to(policy: Policy) -> None:
    found = adapted(policy, transaction("http://old.example/a?b=c&d"))
    assert found.is_response
    assert found.head.startswith(b"HTTP/1.1 302 Found\r\n")
    assert found.body is not None
    assert fields(found.head) == {
        "Location": "https://new.example/?from=http%3A%2F%2Fold.example%2Fa%3Fb%3Dc%26d&u=anna",
        "Content-Type": "text/plain; charset=us-ascii",
        "Content-Length": str(len(found.body)),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }


@given(st.text(st.characters(max_codepoint=255, exclude_characters=" \r\n\0"), max_size=300))
def test_no_url_breaks_out_of_a_redirect_or_a_page(policy: Policy, path: str) -> None:
    for host in ("old", "bad"):
        tx = transaction(f"http://{host}.example/{path}")
        found = adapted(policy, tx)
        names = fields(found.head)
        assert "Cache-Control" in names
        if "Location" in names:
            assert names["Location"].isascii()
            assert names["Location"].isprintable()
            assert " " not in names["Location"]
        assert found.body is not None
        assert int(names["Content-Length"]) == len(found.body)
        assert b"<script" not in found.body.lower()


@given(st.text(min_size=1))
def test_no_user_breaks_out_of_a_reply_header(policy: Policy, user: str) -> None:
    for host in ("old", "bad"):
        tx = transaction(f"{host}.example:443", "CONNECT")
        tx.client.user = user
        ((_, value),) = adapted(policy, tx, marks=True).reply_headers
        assert not {0, 10, 13} & set(value)


# -- what fits ---------------------------------------------------------------------------------------

IMAGE = ("Sec-Fetch-Dest: image", "Accept: image/webp,*/*")


@pytest.mark.parametrize("point", [Point.REQMOD, Point.RESPMOD])
@pytest.mark.parametrize("host", ["bad", "old"])
def test_a_part_of_a_page_gets_what_fits_it_also_where_navigations_are_redirected(
    policy: Policy, host: str, point: Point
) -> None:
    found = adapted(policy, transaction(f"http://{host}.example/x", "GET", *IMAGE, point=point))
    assert found.head.startswith(b"HTTP/1.1 403 ")
    assert fields(found.head)["Content-Type"] == "image/gif"
    assert found.body is not None
    assert found.body.startswith(b"GIF89a")


def test_replies_can_be_the_page_always(policy: Policy) -> None:
    pages = Pages.load(None, fits=False)
    tx = transaction("http://bad.example/x", "GET", *IMAGE)
    found = adapt(tx, policy, pages, ID, marks_connect=False).answer
    assert isinstance(found, UseAdapted)
    assert fields(found.head)["Content-Type"] == "text/html; charset=utf-8"


PREFLIGHT = ("Origin: https://a.example", "Access-Control-Request-Method: PUT")


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ([{"name": "all", "when": {"host": ["x.example"]}, "action": "block"}], b"200"),
        ([{"name": "m", "when": {"method": ["OPTIONS"]}, "action": "block"}], b"403"),
        ([{"name": "m", "when": {"method": ["OPTIONS", "PUT"]}, "action": "block"}], b"200"),
        ([{"name": "m", "when": {"method": ["OPTIONS", "GET"]}, "action": "block"}], b"403"),
    ],
)
def test_a_preflight_is_granted_only_for_a_request_that_is_blocked_itself(
    tmp_path: Path, rules: list[object], status: bytes
) -> None:
    (tmp_path / "policy.yaml").write_text(json.dumps({"access": rules}))
    policy = load_policy(tmp_path / "policy.yaml")
    found = adapted(policy, transaction("http://x.example/x", "OPTIONS", *PREFLIGHT))
    assert found.head.split(b" ")[1] == status
    assert (b"Access-Control-Allow-Methods: PUT" in found.head) is (status == b"200")
    response = transaction("http://x.example/x", "OPTIONS", *PREFLIGHT, point=Point.RESPMOD)
    assert adapted(policy, response).head.split(b" ")[1] == b"403"


@pytest.mark.parametrize(
    "target", ["http://x.example/help", "https://www.x.example/help", "http://X.example./?u={url}"]
)
def test_a_redirect_that_its_own_rule_meets_again_is_the_page(tmp_path: Path, target: str) -> None:
    rule = {"name": "round", "when": {"host": ["x.example"]}, "action": {"redirect": target}}
    (tmp_path / "policy.yaml").write_text(json.dumps({"access": [rule]}))
    policy = load_policy(tmp_path / "policy.yaml")
    for tx, marks in (
        (transaction("http://x.example/"), False),
        (transaction("x.example:443", "CONNECT"), True),
    ):
        outcome = adapt(tx, policy, PAGES, ID, marks_connect=marks)
        assert isinstance(outcome.decision.action, Block)
        assert isinstance(outcome.answer, UseAdapted)
        page = outcome.answer.body or outcome.answer.reply_headers[0][1]
        assert b"round" in page
        assert b"ocation" not in outcome.answer.head


# -- CONNECT -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "mark"),
    [
        ("bad.example", b"X-Icapd-Verdict: block"),
        ("old.example", b"X-Icapd-Verdict: redirect"),
        ("bank.example", b"X-Icapd-Bump: splice"),
        ("evil.example", b"X-Icapd-Bump: terminate"),
        ("pin.example", b"X-Icapd-Bump: splice_if_sni_matches"),
    ],
)
def test_a_squid_with_our_fragment_gets_the_same_connect_marked(
    policy: Policy, host: str, mark: bytes
) -> None:
    tx = transaction(f"{host}:443", "CONNECT", "Host: " + host)
    assert tx.request is not None
    found = adapted(policy, tx, marks=True)
    assert (found.body, found.is_response) == (None, False)
    assert found.head == tx.request.raw[:-2] + mark + b"\r\n\r\n"


def test_the_page_and_the_location_go_into_the_reply_head(policy: Policy) -> None:
    ((name, page),) = adapted(policy, transaction("bad.example:443", "CONNECT"), marks=True).reply_headers
    assert name == b"X-Icapd-Page"
    assert page.startswith(b"<!")
    assert b"bad &lt;b&gt;" in page
    ((name, location),) = adapted(policy, transaction("old.example:443", "CONNECT"), marks=True).reply_headers
    assert (name, location) == (
        b"X-Icapd-Location",
        b"https://new.example/?from=https%3A%2F%2Fold.example%2F&u=anna",
    )


def test_a_page_in_the_reply_head_leaves_it_under_what_squid_takes(policy: Policy) -> None:
    tx = transaction("bad.example:443", "CONNECT", "User-Agent: " + "\xe4<&\"'" * 10_000)
    tx.client.user = "<ü&" * 20_000
    tx.client.address = "\U0001f600" * 5_000
    ((name, page),) = adapted(policy, tx, marks=True).reply_headers
    assert len(name) + len(page) < 65_536 - 4_000


@pytest.mark.parametrize("host", ["bad", "old"])
@pytest.mark.parametrize(("method", "marks"), [("CONNECT", False), ("NONE", False), ("NONE", True)])
def test_where_marks_are_not_read_a_connect_is_answered_and_closed(
    policy: Policy, host: str, method: str, marks: bool
) -> None:
    found = adapted(policy, transaction(f"{host}.example:443", method), marks=marks)
    assert found.is_response
    assert found.reply_headers == ()
    assert found.body  # Squid leaks a bodyless reply to a CONNECT
    assert fields(found.head)["Connection"] == "close"


@pytest.mark.parametrize("host", ["bank.example", "evil.example"])
def test_where_marks_are_not_read_none_are_set(policy: Policy, host: str) -> None:
    assert answer(policy, transaction(f"{host}:443", "CONNECT")) == UseVirgin()


@pytest.mark.parametrize("sni", ["pin.example", "PIN.example."])
def test_a_second_ask_with_the_same_name_splices(policy: Policy, sni: str) -> None:
    tx = transaction("pin.example:443", "CONNECT", sni=sni)
    assert adapted(policy, tx, marks=True).head.endswith(b"X-Icapd-Bump: splice\r\n\r\n")


def test_a_second_ask_with_another_name_does_not_splice(policy: Policy) -> None:
    tx = transaction("pin.example:443", "CONNECT", sni="other.example")
    found = answer(policy, tx, marks=True)
    assert not (isinstance(found, UseAdapted) and found.head.endswith(b"X-Icapd-Bump: splice\r\n\r\n"))


@pytest.mark.parametrize("sni", ["a b", "\x00", "x" * 300, "[::1", "a:b@c"])
@pytest.mark.parametrize("host", ["a.example", "pin.example"])
def test_a_name_that_is_none_is_refused_not_an_error(policy: Policy, host: str, sni: str) -> None:
    tx = transaction(f"{host}:443", "CONNECT", sni=sni)
    found = adapted(policy, tx, marks=True)
    assert found.head.startswith(b"HTTP/1.1 403 ")
    assert fields(found.head)["Connection"] == "close"


FORGED = (
    "X-Icapd-Bump: splice",
    "x-icapd-verdict:none",
    "X-ICAPD-Page : x",
    "X-Icapd-Location: a",
    "\tsplice",
    " more",
)


@pytest.mark.parametrize("host", ["bad", "old", "bank", "evil", "pin"])
def test_marks_of_others_are_taken_out_with_their_folded_lines(policy: Policy, host: str) -> None:
    target, name = f"{host}.example:443", f"Host: {host}.example"
    clean = adapted(policy, transaction(target, "CONNECT", name, "Via: b"), marks=True)
    forged = adapted(policy, transaction(target, "CONNECT", name, *FORGED, "Via: b", *FORGED), marks=True)
    assert forged.head == clean.head


# -- targets that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("http://[bad/", "GET"),
        ("http://a b.example/", "GET"),
        ("gopher://a.example/", "GET"),
        ("a.example", "CONNECT"),
        ("a.example:99999", "CONNECT"),
        ("https:443", "CONNECT"),
        ("/", "GET"),
    ],
)
@pytest.mark.parametrize("marks", [False, True])
def test_an_ill_formed_target_gets_the_page(policy: Policy, target: str, method: str, marks: bool) -> None:
    found = adapted(policy, transaction(target, method), marks=marks)
    assert found.is_response
    assert found.head.startswith(b"HTTP/1.1 403 ")
    assert found.body
    assert ("Connection" in fields(found.head)) is (method == "CONNECT")


@pytest.mark.parametrize(
    ("target", "method", "shown"),
    [
        ("http://user:secret@a.example/x?y", "GET", "http://a.example/x?y"),
        ("http://user:secret@[bad/x", "GET", "http://[bad/x"),
        ("http://user:sec/secret@bad host/", "GET", "http://bad host/"),
        ("http://user:se@secret@bad host/", "GET", "http://bad host/"),
        ("user:secret@a.example", "CONNECT", "a.example"),
        ("http:user:secret@a.example/", "GET", "a.example/"),
        ("//user:secret@[bad/", "GET", "[bad/"),
        ("http://a b/", "GET", "http://a b/"),
        ("/only/a/path", "GET", "/only/a/path"),
    ],
)
def test_userinfo_is_never_shown(target: str, method: str, shown: str) -> None:
    assert display_url(transaction(target, method)) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=20))
def test_userinfo_is_never_shown_whatever_follows(rest: str) -> None:
    assert "secret" not in display_url(transaction(f"http://user:secret@{rest}"))


def test_a_transaction_without_a_request_has_no_url() -> None:
    assert display_url(Transaction(Point.RESPMOD)) == ""
