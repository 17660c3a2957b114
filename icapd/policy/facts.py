"""What a rule may ask about one transaction: its names, its path in every spelling, its lists.

Known, absent and unknown differ. A path is *unknown* at CONNECT: the next point has it. A
user who never logged in is *absent*: no later point will know him, so a criterion on him
is false, and the rules below are not suspended for ever.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from icapd.http import authority_host, decode_unreserved, normal_host
from icapd.policy.addresses import address_number
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.http import RequestHead, Target
    from icapd.transaction import Transaction

MAX_ROUNDS = 8  # of percent-decoding; the evasion deck's deepest useful encoding is 3


class Directory(Protocol):
    """Which lists a host is in."""

    def lookup(self, host: str) -> tuple[str, ...]:
        """Return the names of the lists that hold `host` or a parent of it."""
        ...


def names_of(tx: Transaction) -> tuple[str, ...]:
    """Return every name the message has, each once, in normal form.

    URL host first, then Host, SNI, CONNECT host. Raises TargetError if one is ill-formed.
    """
    request = tx.request
    sni, connect_host = tx.sni, tx.connect_host
    if request is None:
        names: tuple[str, ...] = ()
        host = ""
    else:
        host = request.url.host
        names = (host,)
        if not request.headers.is_only(b"host", host.encode("ascii")):
            for value in request.headers.get_all(b"host"):
                if value:
                    names = _with(names, authority_host(value.decode("latin-1")))
    if sni is not None and sni != host:
        names = _with(names, normal_host(sni))
    if connect_host is not None and connect_host != host:
        names = _with(names, normal_host(connect_host))
    return names


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)


class Facts:
    """One transaction as the matchers see it; each view is made when it is first asked for."""

    def __init__(self, tx: Transaction, names: tuple[str, ...], lists: Directory) -> None:
        self.tx = tx
        self.names = names
        self.lists = lists
        self.is_final = tx.point is not Point.TLS  # no later point learns more about the client
        request: RequestHead | None = tx.request
        self.target: Target | None = None if request is None else request.url

    @cached_property
    def method(self) -> str | None:
        """The method as sent; NONE, which Squid makes of a failed tunnel, is CONNECT."""
        request = self.tx.request
        if request is None:
            return "CONNECT" if self.tx.point is Point.TLS else None
        return "CONNECT" if request.method.upper() == "NONE" else request.method

    @cached_property
    def memberships(self) -> tuple[tuple[str, ...], ...]:
        """For each name the lists it is in."""
        return tuple(self.lists.lookup(name) for name in self.names)

    @cached_property
    def client(self) -> tuple[int, int] | None:
        """(4 or 6, address as a number), or None when not told or no address."""
        return address_number(self.tx.client.address or "")

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The path in normal form and in every reading that a lax server could give it."""
        request = self.tx.request
        path = None if request is None else request.url.path
        return () if path is None or request is None else spellings(path, sent_path(request.target))


def sent_path(target: str) -> str:
    """Return the path of a request target (latin-1) as Unicode, its segments as they were sent."""
    rest = target if target[:1] == "/" and target[:2] != "//" else target.partition("//")[2]
    whole = re.sub(r"[\t\r\n]", "", re.split(r"[?#]", rest, maxsplit=1)[0])
    _, slash, path = whole.partition("/")
    return decode_unreserved((slash + path).encode("latin-1", "replace").decode("utf-8", "replace"))


def spellings(path: str, sent: str = "") -> tuple[str, ...]:
    """Return the normal form, then each reading after more rounds of decoding, cleaned.

    Cleaned: backslash is slash, ";parameters" and what follows a NUL are dropped, empty
    and dot segments are resolved. `sent` is read too, since "/x//..//a" is "/x//a" in normal
    form but "/a" to a server that joins slashes first. Distinct readings only; linear in
    the path's length.
    """
    readings = {path: None}
    for text in (path, sent) if sent else (path,):
        for _ in range(MAX_ROUNDS):
            readings[_cleaned(text)] = None
            decoded = unquote(text, errors="replace") if "%" in text else text
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
        elif name not in {"", "."}:
            out.append(name)
    return "/" + "/".join(out)
