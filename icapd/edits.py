"""What a request is changed in so that its response can be scanned whole.

Accept-Encoding keeps what icapd can decode; Range goes where a slice of the object would be blocked.
Source: RFC 9110 §12.5.3, §14.2, §13.1.5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.http import Headers

CODINGS = ("gzip", "deflate", "br", "zstd")  # what "any" means to us
_READABLE = frozenset({*CODINGS, "x-gzip", "identity"})
_LINE = rb"(?i)(?<=\r\n)(?:%b)[ \t]*:(?:(?!\r\n).)*\r\n(?:[ \t](?:(?!\r\n).)*\r\n)*"
_ACCEPT = re.compile(_LINE % rb"accept-encoding", re.DOTALL)
_RANGES = re.compile(_LINE % rb"range|if-range", re.DOTALL)
_USUAL = frozenset(
    b"\r\naccept-encoding: " + value
    for value in (
        b"gzip, deflate, br, zstd",  # browsers over https
        b"gzip, deflate, br",
        b"gzip, deflate",  # and over http
        b"gzip",
        b"identity",
        b"gzip,deflate",
        b"br, gzip, deflate",
    )
)
_REFUSED = re.compile(r"0(?:\.0{0,3})?")
_WEIGHT = re.compile(r"0\.[0-9]{1,3}")  # RFC 9110 §12.4.2; 1 says nothing


def scannable(raw: bytes, headers: Headers, *, drops_range: bool) -> bytes | None:
    """Return the head `raw` as it is sent on, None if nothing of it needs to change.

    `headers` are those of `raw`. `drops_range`: whether only the whole object will do.
    """
    edited = raw
    if headers.mentions(b"\r\naccept-encoding"):
        value = readable_codings(b",".join(headers.get_all(b"accept-encoding")).decode("latin-1"))
        if value is not None:
            line = b"Accept-Encoding: %b\r\n" % value.encode("ascii")
            edited = _ACCEPT.sub(b"", edited)[:-2] + line + b"\r\n"
    if drops_range and headers.mentions(b"range"):
        edited = _RANGES.sub(b"", edited)
    return None if edited == raw else edited


def scannable_at_a_glance(lower: bytes) -> bool:
    """Whether `scannable` changes nothing of a head, given in small letters; False decides nothing."""
    if b"range" in lower:
        return False
    at = lower.find(b"\r\naccept-encoding")
    if at < 0:
        return True
    end = lower.find(b"\r\n", at + 2)
    return (
        lower.find(b"\r\naccept-encoding", end) < 0
        and lower[at:end] in _USUAL
        and lower[end + 2 : end + 3] not in {b" ", b"\t"}
    )


def readable_codings(value: str) -> str | None:
    """Return Accept-Encoding without codings that icapd cannot undo, None if it has none of them.

    What is refused (q=0) stays. `*` stands for what is not listed, so it becomes those of CODINGS that
    are not. Nothing left is `identity`: no field at all would mean any coding.
    """
    kept: list[str] = []
    named: set[str] = set()
    others = ""  # the weight of a `*` that accepts
    changed = False
    for element in filter(None, (part.strip(" \t") for part in value.split(","))):
        name, _, parameters = element.partition(";")
        name = name.strip(" \t").lower()
        parameters = parameters.strip(" \t")
        quality = _quality(parameters)
        refused = _REFUSED.fullmatch(quality) is not None
        if refused or name in _READABLE:
            named.add(name)
            kept.append(element)
        elif name == "*":
            changed = True
            others = f";q={quality}" if _WEIGHT.fullmatch(quality) else ";"  # for each of CODINGS
        else:
            changed = True
    if not changed or not value.isascii():
        return None if not changed else "identity"
    if others:
        kept += [coding + others.rstrip(";") for coding in CODINGS if coding not in named]
    return ", ".join(kept) or "identity"


def _quality(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip(" \t").lower() == "q":
            return value.strip(" \t")
    return "1"
