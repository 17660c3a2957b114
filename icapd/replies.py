"""What a blocked request gets: a page where a person looks, and what fits where a page's part was asked for.

Pure: the request's head in, a kind and a whole reply out. The page goes to navigations alone. A part of
another page gets the smallest thing of its kind, so that the page around it keeps its layout, and nothing
that tells the site who the user is: the site's scripts can read what is sent to them. The status is 403
always; nothing is ever cached. Source: Fetch Metadata Request Headers (W3C), Fetch §3.2 (CORS).
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from icapd.http import TUNNEL_METHODS, HeadError, RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.http import Headers
    from icapd.transaction import Transaction


class Kind(enum.StrEnum):
    """What fits a request."""

    PAGE = "page"  # the block page: a navigation, or a program that is no browser
    FRAME = "frame"  # a small page: a frame, <embed>, <object>
    IMAGE = "image"  # one transparent pixel
    SCRIPT = "script"
    STYLE = "style"
    JSON = "json"  # fetch() and XMLHttpRequest
    TEXT = "text"  # a line: WebSocket and other upgrades
    EMPTY = "empty"  # fonts, media, pings, event streams and the like


# What they are to people; each has status 403.
_SAID = {
    Kind.PAGE: "the block page (403)",
    Kind.FRAME: "a small page with the reference (403)",
    Kind.IMAGE: "an empty picture (403)",
    Kind.SCRIPT: "an empty script (403)",
    Kind.STYLE: "an empty style sheet (403)",
    Kind.JSON: "JSON that says it is blocked (403)",
    Kind.TEXT: "a line of text (403)",
    Kind.EMPTY: "nothing (403)",
}
# Destinations of Fetch (§2.2.5), without those that mean a page.
_DESTINATIONS = {
    **dict.fromkeys((b"iframe", b"frame", b"fencedframe", b"embed", b"object"), Kind.FRAME),
    **dict.fromkeys((b"script", b"worker", b"sharedworker", b"serviceworker"), Kind.SCRIPT),
    **dict.fromkeys((b"audioworklet", b"paintworklet"), Kind.SCRIPT),
    b"image": Kind.IMAGE,
    b"style": Kind.STYLE,
    b"json": Kind.JSON,
    **dict.fromkeys((b"audio", b"font", b"manifest", b"report", b"speculationrules"), Kind.EMPTY),
    **dict.fromkeys((b"track", b"video", b"webidentity", b"xslt"), Kind.EMPTY),
}
# What Accept begins with or holds, the first that fits.
_ACCEPTED = (
    (re.compile(rb"text/html|application/xhtml"), Kind.PAGE),
    (re.compile(rb"json"), Kind.JSON),
    (re.compile(rb"^image/"), Kind.IMAGE),
    (re.compile(rb"^text/css"), Kind.STYLE),
    (re.compile(rb"^(?:audio|video|font)/|^application/font|^text/event-stream"), Kind.EMPTY),
)
_NAMES = {
    **dict.fromkeys(("js", "mjs"), Kind.SCRIPT),
    "css": Kind.STYLE,
    "json": Kind.JSON,
    **dict.fromkeys(("avif", "bmp", "cur", "gif", "ico", "jpeg", "jpg", "png", "svg", "webp"), Kind.IMAGE),
    **dict.fromkeys(("eot", "map", "otf", "ttf", "vtt", "wasm", "woff", "woff2"), Kind.EMPTY),
    **dict.fromkeys(
        ("aac", "flac", "m3u8", "m4a", "m4s", "mp3", "mp4", "mpd", "mpg", "ogg", "opus", "ts", "wav", "webm"),
        Kind.EMPTY,
    ),
}
_PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
_FRAME = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<title>Blocked</title><style>body{margin:.5rem;font:.875rem/1.4 system-ui,sans-serif}</style>"
    "<main><h1 style=font-size:1em;margin:0>Blocked by the web filter of this network</h1>"
    "<p style=margin:0>Reference: %s</main></html>"
)
_TYPES = {
    Kind.FRAME: b"text/html; charset=utf-8",
    Kind.IMAGE: b"image/gif",
    Kind.SCRIPT: b"text/javascript; charset=utf-8",
    Kind.STYLE: b"text/css; charset=utf-8",
    Kind.JSON: b"application/json",
    Kind.TEXT: b"text/plain; charset=us-ascii",
    Kind.EMPTY: b"text/plain; charset=us-ascii",
}
# no-store: a cached page would outlive the rule; RESPMOD must not extend freshness (RFC 3507 §5).
_NEVER = b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
# sandbox: served under the site's own name, yet its scripts cannot read it in a frame or window of theirs.
_POLICY = (
    b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    b"form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation "
    b"allow-top-navigation-to-custom-protocols\r\n"
)
_PAGE_HEAD = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n"
    + _NEVER
    + _POLICY
    + b"%b\r\n"
)
_PART_HEAD = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
    + _NEVER
    + b"Cross-Origin-Resource-Policy: cross-origin\r\n%b%b\r\n"
)
_PREFLIGHT_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Length: 0\r\n"
    + _NEVER
    + b"Access-Control-Max-Age: 0\r\n%b%b\r\n"
)
_REDIRECT_HEAD = (
    b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Type: text/plain; charset=us-ascii\r\n"
    b"Content-Length: %d\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n%b\r\n"
)
_CLOSE = b"Connection: close\r\n"  # the tunnel was not opened: what follows on it would not be HTTP
_HOST = re.compile(rb"(?i)(?<=\r\n)host:[^\r\n]*\r\n")
_ORIGIN = re.compile(rb"null|[a-z][a-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+")
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


def reply_kind(request: RequestHead | None) -> Kind:
    """Return what fits `request`; PAGE where nothing says otherwise, a CONNECT included."""
    if request is None or request.method.upper() in TUNNEL_METHODS:
        return Kind.PAGE
    headers = request.headers
    destination = _value(headers, b"sec-fetch-dest")
    if destination == b"websocket" or _value(headers, b"upgrade") not in {b"", b"h2c"}:
        return Kind.TEXT
    if b"ping-to" in headers or _value(headers, b"content-type").startswith(b"text/ping"):
        return Kind.EMPTY
    if destination == b"empty":
        return _of_script(headers)
    return _DESTINATIONS.get(destination, Kind.PAGE) if destination else _of_accept(request)


def _of_script(headers: Headers) -> Kind:
    """Fit fetch(), XMLHttpRequest, EventSource, sendBeacon(): never the page, which names the user."""
    accept = _value(headers, b"accept")
    if _value(headers, b"sec-fetch-mode") == b"no-cors" or b"event-stream" in accept:
        return Kind.EMPTY
    return Kind.JSON


def _of_accept(request: RequestHead) -> Kind:
    """Fit a request without fetch metadata: over plain HTTP no browser sends any."""
    headers = request.headers
    accept = _value(headers, b"accept")
    for wanted, kind in _ACCEPTED:
        if wanted.search(accept):
            return kind
    if _value(headers, b"x-requested-with") == b"xmlhttprequest":
        return Kind.JSON
    if not _value(headers, b"user-agent").startswith(b"mozilla/"):
        return Kind.PAGE  # curl and the like: somebody reads what comes
    # A navigation of a browser asks for text/html.
    return _of_name(request) or (Kind.JSON if accept == b"*/*" else Kind.PAGE)


def _of_name(request: RequestHead) -> Kind | None:
    try:
        path = request.url.path or ""
    except HeadError:
        return None
    return _NAMES.get(path.rpartition("/")[2].rpartition(".")[2].lower())


def _value(headers: Headers, name: bytes) -> bytes:
    return (headers.get(name) or b"").strip().lower()


def described(request: RequestHead | None, *, fits: bool) -> str:
    """Say in words what `blocked_reply` sends."""
    kind = reply_kind(request) if fits else Kind.PAGE
    return _SAID[kind] + (", its head alone" if request is not None and request.method == "HEAD" else "")


def follows_redirects(request: RequestHead | None, *, fits: bool) -> bool:
    """Whether a redirect is of use: it leads to a page, which is of none to a part of another page."""
    return not fits or reply_kind(request) in {Kind.PAGE, Kind.FRAME}


def redirect_reply(location: bytes, tx: Transaction, *, close: bool) -> tuple[bytes, bytes | None]:
    """Return head and body of the 302 to `location`. Never 301, which browsers remember."""
    body = b"Redirected by policy to " + location + b"\n"  # Squid leaks a bodyless reply to a CONNECT
    head = _REDIRECT_HEAD % (location, len(body), _CLOSE if close else b"")
    return head, None if tx.request is not None and tx.request.method == "HEAD" else body


def request_inside(request: RequestHead) -> RequestHead:
    """Return the request that a preflight asks about. Raises HeadError if it has no form."""
    method = request.headers.get(b"access-control-request-method") or b""
    return RequestHead(method + request.raw[request.raw.index(b" ") :])


def request_next(request: RequestHead, location: bytes) -> tuple[RequestHead, ...]:
    """Return what a browser asks when it is redirected to `location`: maybe a CONNECT, then a GET.

    Raises HeadError if `location` has no form; () if it is no http URL.
    """
    scheme = location.partition(b"://")[0].lower()
    if scheme not in {b"http", b"https"}:
        return ()
    fields = _HOST.sub(b"", request.raw[request.raw.index(b"\r\n") :])[2:]
    get = RequestHead(b"GET %b HTTP/1.1\r\n%b" % (location.partition(b"#")[0], fields))
    if scheme == b"http":
        return (get,)
    url = get.url
    authority = f"{url.host}:{url.port}" if ":" not in url.host else f"[{url.host}]:{url.port}"
    return RequestHead(b"CONNECT %b HTTP/1.1\r\n%b" % (authority.encode("ascii"), fields)), get


def is_preflight(request: RequestHead | None) -> bool:
    """Whether `request` asks a server by CORS if another request may be made."""
    return (
        request is not None
        and request.method == "OPTIONS"
        and b"origin" in request.headers
        and _TOKENS.fullmatch(request.headers.get(b"access-control-request-method") or b"") is not None
    )


def preflight_reply(request: RequestHead) -> bytes:
    """Allow the request that a preflight asks for: it will be blocked itself, and the script sees that.

    Only for one that is certain to be blocked. A whole head, without a body; browsers do not keep it.
    """
    headers = request.headers
    method = headers.get(b"access-control-request-method") or b""
    allowed = b"Access-Control-Allow-Methods: %b\r\n" % method
    wanted = headers.get(b"access-control-request-headers") or b""
    if _TOKENS.fullmatch(wanted):
        allowed += b"Access-Control-Allow-Headers: %b\r\n" % wanted
    return _PREFLIGHT_HEAD % (_cors(headers), allowed)


def blocked_reply(
    tx: Transaction, page: Callable[[], bytes], decision_id: str, *, fits: bool, close: bool
) -> tuple[bytes, bytes | None]:
    """Return head and body of the 403 that answers `tx`; body None at HEAD, and where it would be empty.

    `page` makes the block page, and is called only where one is shown. `fits` False shows it always.
    """
    request = tx.request
    kind = reply_kind(request) if fits else Kind.PAGE
    end = _CLOSE if close else b""
    if kind is Kind.PAGE:
        body = page()
        head = page_head(len(body), close=close)
    else:
        body = _part(kind, decision_id)
        extra = b"" if request is None or kind is Kind.FRAME else _cors(request.headers)
        if kind is Kind.FRAME:
            extra = _POLICY
        head = _PART_HEAD % (_TYPES[kind], len(body), extra, end)
    is_head = request is not None and request.method == "HEAD"
    return head, None if is_head or not body else body


def page_head(size: int, *, close: bool = False) -> bytes:
    """Return the head of the 403 whose body is a block page of `size` bytes."""
    return _PAGE_HEAD % (size, _CLOSE if close else b"")


def is_page_at_a_glance(lower: bytes) -> bool:
    """Whether the block page fits a request other than CONNECT, its head given in small letters.

    False says nothing: `reply_kind` does.
    """
    at = lower.find(b"\r\naccept:")
    return (
        at >= 0
        and lower.startswith(b" text/html", at + 9)
        and b"\r\nsec-fetch-dest:" not in lower
        and b"\r\nupgrade:" not in lower
        and b"\r\nping-to:" not in lower
        and b"text/ping" not in lower
    )


def _part(kind: Kind, decision_id: str) -> bytes:
    match kind:
        case Kind.FRAME:
            return (_FRAME % decision_id).encode("ascii")
        case Kind.IMAGE:
            return _PIXEL
        case Kind.SCRIPT | Kind.STYLE:
            return f"/* blocked by the web filter; reference {decision_id} */\n".encode("ascii")
        case Kind.JSON:
            return f'{{"blocked":true,"reference":"{decision_id}"}}\n'.encode("ascii")
        case Kind.TEXT:
            return f"Blocked by the web filter. Reference: {decision_id}\n".encode("ascii")
    return b""


def _cors(headers: Headers) -> bytes:
    """Let the script that asked see the 403, instead of a failure that it cannot tell from an outage."""
    origin = headers.get(b"origin") or b""
    if _ORIGIN.fullmatch(origin) is None:
        return b""
    return (
        b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
        % origin
    )
