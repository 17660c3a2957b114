"""HTTP message heads as ICAP encapsulates them, read lazily from their bytes.

A head is kept exactly as it arrived: what passes must be unchanged to the byte. Fields
are found when they are asked for, since most decisions need two or three of them.
Source: RFC 9112 §2-§5; RFC 3507 §4.4.2.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

import can_ada

CRLF = b"\r\n"

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ ](?:.*[^ ])?) (HTTP/[0-9]\.[0-9])", re.DOTALL)
_STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})(?: (.*))?")


class HeadError(ValueError):
    """A message head that no reader could agree upon; its text says why."""


class Headers:
    r"""The header fields of one message, looked up by lower-case name.

    `block` holds the fields as received, each preceded by CRLF (the end of the start
    line belongs to the first): b"\r\nHost: a.example\r\nAccept: */*\r\n\r\n".
    """

    __slots__ = ("_lower", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._lower: bytes | None = None

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of `name` (lower-case), unfolded and stripped, or None."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        at = lower.find(b"\r\n" + name + b":")
        return None if at < 0 else self._value(at + len(name) + 3)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of `name` (lower-case) in order."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        needle = b"\r\n" + name + b":"
        values = []
        at = lower.find(needle)
        while at >= 0:
            values.append(self._value(at + len(needle)))
            at = lower.find(needle, at + 2)
        return values

    def is_only(self, name: bytes, value: bytes) -> bool:
        """Tell whether `name` stands there once, with `value` (both lower-case) as sent."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        needle = b"\r\n" + name + b": "
        at = lower.find(needle)
        start = at + len(needle)
        if at < 0 or not lower.startswith(value + CRLF, start) or lower.find(needle[:-1], start) >= 0:
            return False
        end = start + len(value) + 2
        return lower[end : end + 1] not in {b" ", b"\t"}  # else the value goes on

    def mentions(self, text: bytes) -> bool:
        """Tell whether `text` (lower-case) stands anywhere in the fields: a quick no for many names."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self.block.lower()
        return text in lower

    def text(self, name: bytes) -> str | None:
        """Return the first value of `name` as latin-1 text, which loses no byte."""
        value = self.get(name)
        return None if value is None else value.decode("latin-1")

    def __contains__(self, name: bytes) -> bool:
        return self.get(name) is not None

    def items(self) -> list[tuple[bytes, bytes]]:
        """Return (name as sent, value) for every field, in order."""
        pairs: list[tuple[bytes, bytes]] = []
        for line in self.block.split(CRLF):
            if line[:1] in {b" ", b"\t"} and pairs:
                pairs[-1] = (pairs[-1][0], pairs[-1][1] + b" " + line.strip())
                continue
            name, colon, value = line.partition(b":")
            if colon:
                pairs.append((name, value.strip()))
        return pairs

    def _value(self, start: int) -> bytes:
        block = self.block
        end = block.find(CRLF, start)
        while end >= 0 and block[end + 2 : end + 3] in {b" ", b"\t"}:
            end = block.find(CRLF, end + 2)
        value = block[start:] if end < 0 else block[start:end]
        if CRLF in value:
            value = b" ".join(part.strip() for part in value.split(CRLF))
        return value.strip()


class RequestHead:
    """An HTTP request head: `raw` ends in the blank line; method and target are latin-1 text."""

    __slots__ = ("_url", "headers", "method", "raw", "target", "version")

    def __init__(self, raw: bytes) -> None:
        """Raise HeadError unless the first line is `method SP target SP HTTP/d.d`."""
        end = raw.find(CRLF)
        line = raw[:end].decode("latin-1")
        self.raw = raw
        self.headers = Headers(raw[end:])
        match = _PLAIN_LINE.fullmatch(line)
        self._url: Target | None = None
        if match is not None:  # most requests: the target is in normal form already
            self.method, self.target, scheme, host, path, query, self.version = match.groups()
            if self.method not in TUNNEL_METHODS:
                self._url = plain_target(scheme, host, path, query)
            return
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            msg = "the encapsulated request line is not 'method target HTTP/n.n'"
            raise HeadError(msg)
        self.method, self.target, self.version = match.groups()

    @property
    def url(self) -> Target:
        """The target in normal form, read once. Raises TargetError where it is ill-formed."""
        url = self._url
        if url is None:
            url = self._url = parse_target(self.method, self.target, self.headers)
        return url


class ResponseHead:
    """An HTTP response head: `raw` ends in the blank line; `status` is an int."""

    __slots__ = ("headers", "raw", "reason", "status")

    def __init__(self, raw: bytes) -> None:
        """Raise HeadError unless the first line is a status line."""
        end = raw.find(CRLF)
        match = _STATUS_LINE.fullmatch(raw[:end])
        if match is None:
            msg = "the encapsulated status line is not 'HTTP/n.n status reason'"
            raise HeadError(msg)
        self.raw = raw
        self.status = int(match[1])
        self.reason = (match[2] or b"").decode("latin-1")
        self.headers = Headers(raw[end:])


# --- The normal form of targets and hosts -------------------------------------------------

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
TUNNEL_METHODS = frozenset({"CONNECT", "NONE"})
MAX_HOST = 253  # RFC 1035 §2.3.4: 255 octets on the wire, less the two of the root
_MAX_PORT = 65535

# A last label that begins with a letter is no IPv4 number in any notation.
_PLAIN_NAME = r"(?:[a-z0-9_-]{1,63}\.)*[a-z][a-z0-9_-]{0,62}"
_PLAIN_HOST = re.compile(_PLAIN_NAME)
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
# What needs no rewriting: no escape, no backslash, nothing that WHATWG encodes.
PLAIN_TARGET = (
    rf"(https?)://({_PLAIN_NAME})(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)(?:\?([A-Za-z0-9._~!$&()*+,;=:@/?-]+))?"
)
_PLAIN_URL = re.compile(PLAIN_TARGET)
_PLAIN_LINE = re.compile(rf"([A-Z]+) ({PLAIN_TARGET}) (HTTP/1\.[01])")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\x7f/\\?#@:\[\]]+)(?::([0-9]{0,9}))?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_STRIPPED = re.compile(r"[\t\r\n]")
_ESCAPE = re.compile(r"%(?:([0-9A-Fa-f]{2}))?")
_NOT_ASCII = re.compile(r"[\x80-\xff]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class TargetError(HeadError):
    """A target or host that two readers could understand differently; its text says why."""


class Target(NamedTuple):
    """Where a request goes, in the one normal form in which it is matched and shown.

    `host` is a lower-case A-label name without trailing dot, or an address as text
    (IPv6 without brackets, IPv4-mapped IPv6 as IPv4). `path` is None for CONNECT, else
    begins with "/"; `query` is None where there is none. Userinfo and fragment are dropped.
    """

    scheme: str
    host: str
    port: int
    path: str | None
    query: str | None

    @property
    def text(self) -> str:
        """The URL in normal form, or host:port for CONNECT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.path is None:
            return f"{host}:{self.port}"
        port = "" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{host}{port}{self.path}{query}"


def parse_target(method: str, target: str, headers: Headers | None = None) -> Target:
    """Return the normal form of a request target (latin-1 text), in any of its four forms.

    `headers` gives the Host of an origin-form target. Raises TargetError.
    Source: RFC 9112 §3.2; WHATWG URL (through can_ada); facts on Squid's NONE method.
    """
    match = _PLAIN_URL.fullmatch(target)
    if match is not None and method not in TUNNEL_METHODS:
        found = plain_target(*match.groups())
        if found is not None:
            return found
    if method.upper() in TUNNEL_METHODS:
        return _authority_form(target)
    if target.startswith("//"):
        return _absolute_form("http:" + target)
    if target.startswith("/") or target == "*":
        host = headers.text(b"host") if headers is not None else None
        if not host:
            msg = f"{_shown(target)} names no host and there is no Host header"
            raise TargetError(msg)
        authority_host(host)  # refuses what is more than host and port
        return _absolute_form(f"http://{host}{'/*' if target == '*' else target}")
    return _absolute_form(target)


def plain_target(scheme: str, host: str, path: str, query: str | None) -> Target | None:
    """The target of a match of _PLAIN_URL, None where it needs a closer look after all."""
    if "/." in path or "xn--" in host or len(host) > MAX_HOST:
        return None
    return Target(scheme, host, 443 if scheme == "https" else 80, path, query)


def normal_host(text: str) -> str:
    """Return the normal form of a host (Unicode text, without port).

    "EXAMPLE.com." -> "example.com"; "0x7f.1" -> "127.0.0.1"; "[::FFFF:1.2.3.4]" -> "1.2.3.4".
    Raises TargetError.
    """
    if ":" in text and not text.startswith("["):
        text = f"[{text}]"
    host, port = _split_authority(text)
    if port is not None:
        msg = f"{_shown(text)} is no host"
        raise TargetError(msg)
    return _whatwg_host(host)


def is_address(host: str) -> bool:
    """Tell whether a host in normal form is an address: no name ends in a number (WHATWG)."""
    return ":" in host or (host[-1:].isdigit() and host.rpartition(".")[2].isdigit())


def authority_host(text: str) -> str:
    """Return the normal form of the host in `host` or `host:port`, as a Host header has it.

    `text` is latin-1 text of what was on the wire. Raises TargetError.
    """
    host, port = _split_authority(_wire_text(text))
    _port(port, 80)
    return _whatwg_host(host)


def _authority_form(target: str) -> Target:
    """Read CONNECT's host:port. https is presumed: Squid ends a tunnel that speaks no TLS."""
    host, port = _split_authority(_wire_text(target))
    if port is None or host.lower() in {"http", "https"}:
        # Squid 5.7 makes "https:443" of CONNECT https://host/
        msg = f"{_shown(target)} is not host:port"
        raise TargetError(msg)
    return Target("https", _whatwg_host(host), _port(port, 0), None, None)


def _absolute_form(text: str) -> Target:
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        msg = f"{_shown(text)} is no URL of {', '.join(DEFAULT_PORTS)}"
        raise TargetError(msg)
    cut = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    authority, tail = rest[:cut], rest[cut:].partition("#")[0]
    if _FORBIDDEN.search(authority):
        msg = f"{_shown(authority)} is no host: it holds a blank, a control character or a backslash"
        raise TargetError(msg)
    host, port = _split_authority(_wire_text(authority.rpartition("@")[2]))
    if not tail.isascii():
        tail = _NOT_ASCII.sub(lambda found: f"%{ord(found[0]):02X}", _bytes_text(tail))
    try:
        # The host is read apart: this parse is for the path and the query alone.
        parsed = can_ada.parse(f"{scheme}://h{tail}")
    except ValueError as error:
        msg = f"{_shown(text)} is no URL"
        raise TargetError(msg) from error
    query = decode_unreserved(parsed.search[1:]) if parsed.search else None
    path = decode_unreserved(parsed.pathname)
    return Target(scheme, _whatwg_host(host), _port(port, DEFAULT_PORTS[scheme]), path, query)


def _split_authority(text: str) -> tuple[str, str | None]:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        msg = f"{_shown(text)} is no host with an optional port"
        raise TargetError(msg)
    return match[1], match[2]


def _whatwg_host(text: str) -> str:
    """Return a host's normal form by the URL standard, then by what DNS can hold."""
    if _PLAIN_HOST.fullmatch(text) and "xn--" not in text and len(text) <= MAX_HOST:
        return text
    try:
        host = can_ada.parse(f"http://{text}/").hostname
    except (ValueError, TypeError) as error:  # a TypeError for half a surrogate pair
        msg = f"{_shown(text)} is no host"
        raise TargetError(msg) from error
    if host.startswith("["):
        address = ipaddress.IPv6Address(host[1:-1])
        return str(address.ipv4_mapped or address)
    host = host.removesuffix(".")
    if len(host) > MAX_HOST or not _HOST.fullmatch(host):
        msg = f"{_shown(text)} is no host: a name has labels of 1 to 63 letters, digits, '-' and '_'"
        raise TargetError(msg)
    return host


def _port(text: str | None, default: int) -> int:
    port = int(text) if text else default
    if not 0 < port <= _MAX_PORT:
        msg = f"port {port} is not between 1 and {_MAX_PORT}"
        raise TargetError(msg)
    return port


def decode_unreserved(text: str) -> str:
    """Decode what RFC 3986 §2.3 says means the same; a stray '%' becomes '%25'.

    The latter makes the form final: "%%34%31" must not become a fresh escape.
    """
    return _ESCAPE.sub(_unescape_one, text) if "%" in text else text


def _unescape_one(match: re.Match[str]) -> str:
    if match[1] is None:
        return "%25"
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else f"%{match[1].upper()}"


def _bytes_text(text: str) -> str:
    """Return latin-1 text of the bytes that `text` stands for: Unicode becomes UTF-8."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")
    return text


def _wire_text(text: str) -> str:
    """Return Unicode of latin-1 text that holds UTF-8; what is Unicode already passes."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeEncodeError:
        return text
    except UnicodeDecodeError as error:
        msg = f"{_shown(text)} is no UTF-8"
        raise TargetError(msg) from error


def _shown(text: str) -> str:
    """Return `text` for a message: short, control characters escaped."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")  # noqa: PLR2004
