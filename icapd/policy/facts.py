"""What a rule may ask about one transaction: its names, its path in every spelling, its lists.

Known, absent and unknown differ. A path is *unknown* at CONNECT: the next point has it. A
user who never logged in is *absent*: no later point will know him, so a criterion on him
is false, and the rules below are not suspended for ever. The *message at hand* is the
response at RESPMOD, else the request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from icapd.http import TUNNEL_METHODS, HeadError, authority_host, decode_unreserved, normal_host
from icapd.policy import filetypes
from icapd.policy.addresses import address_number, embedded_addresses
from icapd.policy.filenames import disposition_names, url_names
from icapd.policy.media import content_length, media_types
from icapd.policy.regexes import NO_REGEXES
from icapd.policy.views import View
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icapd.http import Headers, RequestHead, Target
    from icapd.policy.regexes import RegexSet
    from icapd.transaction import Transaction

MAX_ROUNDS = 8  # of percent-decoding; the evasion deck's deepest useful encoding is 3
_BODYLESS_STATUS = frozenset({204, 205, 304})  # RFC 9110 §15; and 1xx
_OVERRIDES = (b"x-http-method-override", b"x-http-method", b"x-method-override")
_QUERY_METHOD = re.compile(r"(?:^|[&;])(?:_method|x-http-method-override)=([A-Za-z]+)", re.IGNORECASE)
SELDOM_A_BODY = frozenset({"GET", "HEAD", "CONNECT"})
_ODD = re.compile(r"%(c[01])%([89ab][0-9a-f])|%u(?!d[89a-f])([0-9a-f]{4})", re.IGNORECASE)
# What has one reading only: no escape, backslash, parameter, empty segment, or one that ends in a dot.
_ONE_READING = re.compile(r"(?:/(?:[A-Za-z0-9_~!$&'()*+,=:@-]|\.(?!/|$))+)+|/")


class Directory(Protocol):
    """Which lists hold something; all in normal form."""

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the names of the lists that hold `host`, a parent of it or a network around it."""
        ...

    def lookup_url(
        self, host: str, paths: Sequence[str], query: str | None = None, *, strict: bool = False
    ) -> tuple[str, ...]:
        """Return the lists with a URL above (or an expression in) `host` + one of `paths` (strict: all)."""
        ...

    def may_hold_url(self, host: str) -> tuple[str, ...]:
        """Return the lists that could hold a URL of `host`."""
        ...

    def lookup_address(self, address: str) -> tuple[str, ...]:
        """Return the lists that hold an address or a network around it."""
        ...

    def lookup_hash(self, digest: str) -> tuple[str, ...]:
        """Return the lists that hold an MD5 or SHA-256 digest (hexadecimal)."""
        ...


def names_of(tx: Transaction) -> tuple[str, ...]:
    """Return every name the message has, each once, in normal form.

    URL host first, then Host, SNI, CONNECT host; () where none is known yet. Raises TargetError
    if one is ill-formed.
    """
    request = tx.request
    sni, connect_host = tx.sni, tx.connect_host
    if request is None:
        names: tuple[str, ...] = ()
        host = ""
    else:
        host = request.url.host
        names = () if tx.nameless else (host,)
        if not tx.nameless and not request.headers.is_only(b"host", host.encode("ascii")):
            for value in request.headers.get_all(b"host"):
                if value:
                    names = _with(names, authority_host(value.decode("latin-1")))
    if sni is not None and sni != host:
        names = _with(names, normal_host(sni))
    if connect_host is not None and connect_host != host:
        names = _with(names, normal_host(connect_host))
    return names


def check_framing(tx: Transaction) -> None:
    """Raise HeadError where the message at hand gives its length in a way that is none.

    Two readers would see two messages. Source: RFC 9112 §6.3.
    """
    if tx.response is not None:
        content_length(tx.response.headers)
    elif tx.request is not None and tx.request.method not in SELDOM_A_BODY:
        content_length(tx.request.headers)


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)


def overriding_methods(request: RequestHead) -> tuple[str, ...]:
    """Return, in upper case, the methods that common frameworks would take for the one sent."""
    found = []
    if request.headers.mentions(b"method"):
        values = (value for name in _OVERRIDES for value in request.headers.get_all(name))
        found = [value.decode("latin-1").upper() for value in values]
    if "method=" in request.target:
        found += [value.upper() for value in _QUERY_METHOD.findall(request.url.query or "")]
    return tuple(found)


class Facts:
    """One transaction as the matchers see it; each view is made when it is first asked for."""

    def __init__(
        self,
        tx: Transaction,
        names: tuple[str, ...],
        lists: Directory,
        regexes: RegexSet = NO_REGEXES,
    ) -> None:
        self.tx = tx
        self.names = names
        self.lists = lists
        self.regexes = regexes
        self.workspace: str | None = None  # the policy sets it before any rule is asked
        self.is_final = tx.point is not Point.TLS  # no later point learns more about the client
        self.is_response = tx.point is Point.RESPMOD
        self.is_last = self.is_response and not tx.body_follows  # nothing will ever be known better
        request: RequestHead | None = tx.request
        self.target: Target | None = None if request is None else request.url

    @View
    def method(self) -> str | None:
        """The method as sent; NONE, which Squid makes of a failed tunnel, is CONNECT."""
        request = self.tx.request
        if request is None:
            return "CONNECT" if self.tx.point is Point.TLS else None
        return "CONNECT" if request.method.upper() == "NONE" else request.method

    @View
    def overriding_methods(self) -> tuple[str, ...]:
        """The methods that the request's header or query asks a server to put in place of its own."""
        return () if self.tx.request is None else overriding_methods(self.tx.request)

    @View
    def is_tunnel(self) -> bool:
        """Whether what is asked for is a tunnel, whose content other requests will show."""
        request = self.tx.request
        return self.tx.point is Point.TLS or (
            request is not None and not self.is_response and request.method.upper() in TUNNEL_METHODS
        )

    def listed(self, *, strict: bool) -> tuple[tuple[str, ...], ...]:
        """For each name the lists that hold it or its URL."""
        return self._strictly_listed if strict else self._generously_listed

    @View
    def _generously_listed(self) -> tuple[tuple[str, ...], ...]:
        return tuple(
            tuple(name for host in (name, *embedded_addresses(name)) for name in self._lists_of(host, False))
            for name in self.names
        )

    @View
    def _strictly_listed(self) -> tuple[tuple[str, ...], ...]:
        return tuple(self._lists_of(name, True) for name in self.names)

    def _lists_of(self, host: str, strict: bool) -> tuple[str, ...]:
        found = self.lists.lookup(host)
        if self.path_unknown or self.target is None or not self.lists.may_hold_url(host):
            return found
        more = self.lists.lookup_url(host, self.spellings, self.target.query, strict=strict)
        return (*found, *more)

    @View
    def may_be_listed(self) -> tuple[str, ...]:
        """The lists that could hold a URL of one of the names."""
        return tuple(each for name in self.names for each in self.lists.may_hold_url(name))

    @View
    def listed_otherwise(self) -> tuple[str, ...]:
        """The lists that hold an address that the host leads to, or a digest of the body."""
        body = self.tx.body
        digests = () if body is None else (*(body.md5 or ()), *(body.sha256 or ()))
        found = [name for address in self.tx.addresses for name in self.lists.lookup_address(address)]
        found += [name for digest in digests for name in self.lists.lookup_hash(digest)]
        return tuple(dict.fromkeys(found))

    @View
    def path_unknown(self) -> bool:
        """Whether there is no path yet, as at CONNECT."""
        return self.target is None or self.target.path is None

    @View
    def client(self) -> tuple[int, int] | None:
        """(4 or 6, address as a number), or None when not told or no address."""
        return address_number(self.tx.client.address or "")

    @View
    def spellings(self) -> tuple[str, ...]:
        """The path in normal form and in every reading that a lax server could give it."""
        request = self.tx.request
        path = None if request is None else request.url.path
        if path is None or request is None:
            return ()
        if _ONE_READING.fullmatch(path) and _is_sent_as(request.target, path):
            return (path,)
        return spellings(path, sent_path(request.target))

    @View
    def urls(self) -> tuple[str, ...]:
        """The whole URL under every name and in every spelling, normal form first; () without a path."""
        target = self.target
        if target is None or target.path is None:
            return ()
        queries = (target.query,) if target.query is None else tuple(decodings(target.query))
        tails = {(path, target.query): None for path in self.spellings}
        tails.update({(target.path, query): None for query in queries})
        return tuple(
            target._replace(host=name, path=path, query=query).text
            for name in self.names
            for path, query in tails
        )

    @View
    def loose_regexes(self) -> frozenset[str]:
        """The regexes that match any of `urls`, letters' case ignored."""
        return frozenset[str]().union(*map(self.regexes.loose, self.urls))

    @View
    def exact_regexes(self) -> frozenset[str]:
        """The regexes that match every one of `urls`."""
        first, *more = self.urls
        return frozenset(self.regexes.exact(first)).intersection(*map(self.regexes.exact, more))

    @View
    def headers(self) -> Headers | None:
        """The header of the message at hand, or None where it is not known."""
        if self.is_response:
            return None if self.tx.response is None else self.tx.response.headers
        return None if self.tx.request is None else self.tx.request.headers

    @View
    def has_content(self) -> bool | None:
        """Whether the message at hand has a body; None where its head is not known."""
        if self.headers is None:
            return None
        response = self.tx.response
        if self.is_response and response is not None:
            asked = "" if self.method is None else self.method.upper()
            return response.status >= 200 and response.status not in _BODYLESS_STATUS and asked != "HEAD"  # noqa: PLR2004
        if self.is_tunnel:
            return False
        return self.tx.body is not None or bool(self.length) or b"transfer-encoding" in self.headers

    @View
    def length(self) -> int | None:
        """The message's Content-Length in bytes, or None if it has none."""
        try:
            return None if self.headers is None else content_length(self.headers)
        except HeadError:  # `Policy.decide` has refused it, wherever it counts
            return None

    @View
    def media(self) -> tuple[str, ...]:
        """The media types that the message at hand declares."""
        return () if self.headers is None else media_types(self.headers)

    @View
    def sniffed(self) -> tuple[frozenset[str], ...]:
        """For each type found in the content the media types that stand for it."""
        body = self.tx.body
        return tuple(map(filetypes.media_of, (body.file_types if body is not None else None) or ()))

    @View
    def file_names(self) -> tuple[tuple[str, ...], ...]:
        """For each name that the message's file has the ways to read it, plainest first."""
        found = [url_names(self.spellings)] if self.spellings else []
        if self.is_response and self.headers is not None:
            found += disposition_names(self.headers)
        return tuple(names for names in found if names)


def _is_sent_as(target: str, path: str) -> bool:
    """Tell whether a request target has `path` as it stands, not only at its end."""
    whole = target.partition("?")[0]
    return whole.endswith(path) and "/" not in whole[: -len(path)].partition("//")[2]


def decodings(text: str) -> tuple[str, ...]:
    """Return `text` and what more rounds of percent-decoding make of it, each once."""
    found = {text: None}
    for _ in range(MAX_ROUNDS):
        text = unquote(text, errors="replace")
        if text in found:
            break
        found[text] = None
    return tuple(found)


def sent_path(target: str) -> str:
    """Return the path of a request target (latin-1) as Unicode, its segments as they were sent."""
    rest = target if target[:1] == "/" and target[:2] != "//" else target.partition("//")[2]
    whole = re.sub(r"[\t\r\n]", "", re.split(r"[?#]", rest, maxsplit=1)[0])
    _, slash, path = whole.partition("/")
    return decode_unreserved((slash + path).encode("latin-1", "replace").decode("utf-8", "replace"))


def spellings(path: str, sent: str = "") -> tuple[str, ...]:
    """Return the normal form, then each reading after more rounds of decoding, cleaned.

    Cleaned: backslash is slash, ";parameters", trailing dots and blanks (Windows) and what
    follows a NUL are dropped, empty and dot segments are resolved. Escapes that are none but
    that some servers read (%u0061 of IIS, overlong UTF-8) count. `sent` is read too, since
    "/x//..//a" is "/x//a" in normal form but "/a" to a server that joins slashes first.
    Distinct readings only; linear in the path's length.
    """
    readings = {path: None}
    for text in (path, sent) if sent else (path,):
        for _ in range(MAX_ROUNDS):
            readings[_cleaned(text)] = None
            decoded = unquote(_ODD.sub(_plainly, text), errors="replace") if "%" in text else text
            if decoded == text:
                break
            text = decoded  # noqa: PLW2901  (the next round's)
    return tuple(readings)


def _cleaned(path: str) -> str:
    out: list[str] = []
    segments = path.partition("\0")[0].replace("\\", "/").split("/")
    for segment in segments:
        name = segment.partition(";")[0]
        if name == "..":
            del out[-1:]
        elif name := name.rstrip(". "):
            out.append(name)
    return "/" + "/".join(out)


def _plainly(match: re.Match[str]) -> str:
    """Return the character of an overlong or a %u escape."""
    if match[1]:
        return chr((int(match[1], 16) & 1) << 6 | (int(match[2], 16) & 0x3F))
    return chr(int(match[3], 16))
