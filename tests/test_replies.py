"""What fits each request that is blocked, as browsers send them, and what no reply may tell."""

from __future__ import annotations

import json

import pytest

from icapd.http import RequestHead
from icapd.replies import (
    Kind,
    blocked_reply,
    follows_redirects,
    is_page_at_a_glance,
    is_preflight,
    preflight_reply,
    redirect_reply,
    reply_kind,
    request_inside,
    request_next,
)
from icapd.transaction import Client, Point, Transaction

ID = "k3v7q2xa-1f"
CHROME = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/148.0.0.0 Safari/537.36"
CURL = "User-Agent: curl/7.88.1"
NAVIGATION = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def head(*lines: str, method: str = "GET", path: str = "/", host: str = "bad.example") -> RequestHead:
    target = f"{host}:443" if method == "CONNECT" else f"https://{host}{path}"
    text = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, ""))
    return RequestHead(text.encode("latin-1"))


def reply(*lines: str, method: str = "GET", fits: bool = True) -> tuple[dict[str, str], bytes | None]:
    tx = Transaction(Point.REQMOD, Client("192.0.2.1", "anna"), head(*lines, method=method))
    raw, body = blocked_reply(tx, lambda: b"<p>anna", ID, fits=fits, close=False)
    status, *fields = raw.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    assert status == "HTTP/1.1 403 Forbidden"
    found = dict(field.split(": ", 1) for field in fields)
    assert len(found) == len(fields)
    assert found["Cache-Control"] == "no-store"
    assert not {"Strict-Transport-Security", "Content-Range", "Accept-Ranges", "ETag"} & found.keys()
    if method != "HEAD":
        assert int(found["Content-Length"]) == len(body or b"")
    return found, body


@pytest.mark.parametrize(
    ("destination", "kind"),
    [
        ("document", Kind.PAGE),
        ("iframe", Kind.FRAME),
        ("frame", Kind.FRAME),
        ("embed", Kind.FRAME),
        ("object", Kind.FRAME),
        ("image", Kind.IMAGE),
        ("script", Kind.SCRIPT),
        ("serviceworker", Kind.SCRIPT),
        ("worker", Kind.SCRIPT),
        ("style", Kind.STYLE),
        ("font", Kind.EMPTY),
        ("video", Kind.EMPTY),
        ("audio", Kind.EMPTY),
        ("track", Kind.EMPTY),
        ("manifest", Kind.EMPTY),
        ("report", Kind.EMPTY),
        ("websocket", Kind.TEXT),
        ("something-new", Kind.PAGE),
    ],
)
def test_fetch_metadata_says_what_fits(destination: str, kind: Kind) -> None:
    assert reply_kind(head(CHROME, f"Sec-Fetch-Dest: {destination}", "Accept: */*")) is kind


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (("Sec-Fetch-Mode: cors", "Accept: application/json, text/plain, */*"), Kind.JSON),
        (("Sec-Fetch-Mode: cors", "Accept: */*"), Kind.JSON),
        (("Sec-Fetch-Mode: same-origin", NAVIGATION), Kind.JSON),
        (("Sec-Fetch-Mode: cors", "Accept: text/event-stream"), Kind.EMPTY),
        (("Sec-Fetch-Mode: no-cors", "Accept: */*"), Kind.EMPTY),
    ],
)
def test_a_script_never_gets_the_page(lines: tuple[str, ...], kind: Kind) -> None:
    assert reply_kind(head(CHROME, "Sec-Fetch-Dest: empty", *lines)) is kind


@pytest.mark.parametrize(
    ("lines", "path", "kind"),
    [
        ((NAVIGATION,), "/a.png", Kind.PAGE),
        (("Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",), "/", Kind.IMAGE),
        (("Accept: text/css,*/*;q=0.1",), "/", Kind.STYLE),
        (("Accept: application/json",), "/", Kind.JSON),
        (("Accept: */*", "X-Requested-With: XMLHttpRequest"), "/x", Kind.JSON),
        (("Accept: */*",), "/x", Kind.JSON),
        (("Accept: */*",), "/lib/app.min.js?v=3", Kind.SCRIPT),
        (("Accept: */*",), "/a.CSS", Kind.STYLE),
        (("Accept: */*",), "/a.woff2", Kind.EMPTY),
        (("Accept: */*",), "/film.mp4", Kind.EMPTY),
        (("Accept: */*",), "/dot.gif", Kind.IMAGE),
        (("Accept: application/font-woff2;q=1.0,*/*;q=0.8",), "/", Kind.EMPTY),
        (("Accept: video/webm,video/*;q=0.9,*/*;q=0.5",), "/", Kind.EMPTY),
        (("Accept: text/event-stream",), "/", Kind.EMPTY),
        ((), "/x", Kind.PAGE),
    ],
)
def test_over_plain_http_accept_says_it_and_then_the_name(
    lines: tuple[str, ...], path: str, kind: Kind
) -> None:
    assert reply_kind(head(CHROME, *lines, path=path)) is kind


@pytest.mark.parametrize("path", ["/", "/a.js", "/a.png", "/a.json"])
@pytest.mark.parametrize("lines", [(), (CURL, "Accept: */*")])
def test_who_is_no_browser_gets_the_page(lines: tuple[str, ...], path: str) -> None:
    assert reply_kind(head(*lines, path=path)) is Kind.PAGE


def test_upgrades_pings_and_tunnels() -> None:
    assert reply_kind(head(CHROME, "Upgrade: websocket", "Connection: Upgrade")) is Kind.TEXT
    assert reply_kind(head(CURL, "Upgrade: h2c", "Accept: */*")) is Kind.PAGE
    assert (
        reply_kind(head(CHROME, "Ping-To: https://x/", "Sec-Fetch-Dest: empty", method="POST")) is Kind.EMPTY
    )
    assert reply_kind(head(CHROME, "Content-Type: text/ping", method="POST")) is Kind.EMPTY
    assert reply_kind(head(CHROME, "Sec-Fetch-Dest: image", method="CONNECT")) is Kind.PAGE
    assert reply_kind(None) is Kind.PAGE


@pytest.mark.parametrize("destination", ["iframe", "image", "script", "style", "empty", "font", "websocket"])
def test_parts_never_name_the_user_and_are_what_they_say(destination: str) -> None:
    found, body = reply(CHROME, f"Sec-Fetch-Dest: {destination}", "Sec-Fetch-Mode: cors")
    assert b"anna" not in (body or b"")
    assert found["Cross-Origin-Resource-Policy"] == "cross-origin"
    wanted = {
        "iframe": "text/html; charset=utf-8",
        "image": "image/gif",
        "script": "text/javascript; charset=utf-8",
        "style": "text/css; charset=utf-8",
        "empty": "application/json",
    }
    assert found["Content-Type"] == wanted.get(destination, "text/plain; charset=us-ascii")
    if destination == "empty":
        assert json.loads(body or b"") == {"blocked": True, "reference": ID}
    if destination == "iframe":
        assert "sandbox" in found["Content-Security-Policy"]
        assert body is not None
        assert b'<html lang="en">' in body


def test_fits_can_be_switched_off() -> None:
    found, body = reply(CHROME, "Sec-Fetch-Dest: image", fits=False)
    assert (found["Content-Type"], body) == ("text/html; charset=utf-8", b"<p>anna")


@pytest.mark.parametrize("destination", ["document", "image", "empty"])
def test_head_has_the_length_of_get_and_no_body(destination: str) -> None:
    line = f"Sec-Fetch-Dest: {destination}"
    get, body = reply(CHROME, line, "Range: bytes=5-9")
    assert body
    assert reply(CHROME, line, method="HEAD") == (get, None)


def test_a_script_of_another_site_sees_the_403_but_no_page_does() -> None:
    cors = (CHROME, "Origin: https://other.example", "Sec-Fetch-Mode: cors")
    found, _ = reply(*cors, "Sec-Fetch-Dest: empty")
    assert found["Access-Control-Allow-Origin"] == "https://other.example"
    assert found["Access-Control-Allow-Credentials"] == "true"
    assert found["Vary"] == "Origin"
    for destination in ("document", "iframe"):
        found, _ = reply(*cors, f"Sec-Fetch-Dest: {destination}")
        assert "Access-Control-Allow-Origin" not in found


@pytest.mark.parametrize("origin", ["", "https://a\tb", "https://a, https://b", "*", "https://ä", "x" * 9])
def test_an_origin_that_is_none_is_not_repeated(origin: str) -> None:
    found, _ = reply(CHROME, f"Origin: {origin}", "Sec-Fetch-Dest: empty", "Sec-Fetch-Mode: cors")
    assert "Access-Control-Allow-Origin" not in found


PREFLIGHT = ("Origin: https://other.example", "Access-Control-Request-Method: DELETE")


def test_a_preflight_is_answered_for_the_request_inside() -> None:
    request = head(CHROME, *PREFLIGHT, "Access-Control-Request-Headers: x-a, content-type", method="OPTIONS")
    assert is_preflight(request)
    text = preflight_reply(request).decode("ascii")
    assert text.startswith("HTTP/1.1 200 OK\r\n")
    assert text.endswith("\r\n\r\n")
    for line in (
        "Access-Control-Allow-Origin: https://other.example",
        "Access-Control-Allow-Methods: DELETE",
        "Access-Control-Allow-Headers: x-a, content-type",
        "Access-Control-Max-Age: 0",
        "Cache-Control: no-store",
        "Content-Length: 0",
    ):
        assert f"\r\n{line}\r\n" in text
    inside = request_inside(request)
    assert (inside.method, inside.url) == ("DELETE", request.url)


@pytest.mark.parametrize(
    ("lines", "method"),
    [
        ((), "OPTIONS"),
        (PREFLIGHT, "GET"),
        (PREFLIGHT[:1], "OPTIONS"),
        ((PREFLIGHT[0], "Access-Control-Request-Method: a b"), "OPTIONS"),
    ],
)
def test_other_requests_are_no_preflights(lines: tuple[str, ...], method: str) -> None:
    assert not is_preflight(head(*lines, method=method))


def test_a_redirect_is_for_those_who_look() -> None:
    assert follows_redirects(head(CHROME, NAVIGATION), fits=True)
    assert follows_redirects(head(CHROME, "Sec-Fetch-Dest: iframe"), fits=True)
    assert follows_redirects(head(CURL), fits=True)
    assert not follows_redirects(head(CHROME, "Sec-Fetch-Dest: image"), fits=True)
    assert follows_redirects(head(CHROME, "Sec-Fetch-Dest: image"), fits=False)
    tx = Transaction(Point.REQMOD, request=head(CURL))
    raw, body = redirect_reply(b"https://new.example/", tx, close=True)
    assert raw.startswith(b"HTTP/1.1 302 Found\r\nLocation: https://new.example/\r\n")
    assert raw.endswith(b"\r\nConnection: close\r\n\r\n")
    assert body == b"Redirected by policy to https://new.example/\n"


def test_what_a_browser_asks_next() -> None:
    request = head(CHROME, NAVIGATION, method="POST")
    [get] = request_next(request, b"http://new.example/a?b#c")
    assert (get.method, get.url.text) == ("GET", "http://new.example/a?b")
    assert get.headers.text(b"user-agent") == CHROME.partition(": ")[2]
    connect, get = request_next(request, b"https://[::1]:8443/")
    assert (connect.method, connect.target, get.url.text) == ("CONNECT", "[::1]:8443", "https://[::1]:8443/")
    assert request_next(request, b"mailto:help@example.com") == ()


def test_a_glance_tells_navigations_over_plain_http() -> None:
    assert is_page_at_a_glance(head(NAVIGATION).raw.lower())
    for line in ("Sec-Fetch-Dest: image", "Upgrade: websocket", "Ping-To: x", "Content-Type: text/ping"):
        assert not is_page_at_a_glance(head(NAVIGATION, line).raw.lower())
    assert not is_page_at_a_glance(head("Accept: */*").raw.lower())
