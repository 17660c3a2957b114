"""Responses that are not meant to end: told by their header, and only where their first bytes agree.

What a server merely calls a stream, in order not to be looked at, is read like any other body.
Source: HTML §9.2.5 (event streams); multipart/x-mixed-replace as browsers and cameras speak it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.policy.filetypes import media_of, sniff
from icapd.policy.media import content_length, media_types

if TYPE_CHECKING:
    from icapd.http import ResponseHead

_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?(?::|\r|\n|(?:data|event|id|retry)[:\r\n])")
_PARTS = re.compile(rb"(?:\r?\n)?--")
_LIVE = ("audio/", "video/")
_SHOWN = frozenset({"html", "xml", "svg", "text"})  # what a browser makes use of before its end has come
_TRANSPORT = re.compile(rb"G.{187}G", re.DOTALL)  # MPEG-TS: packets of 188 bytes
_MP4 = re.compile(rb".{4}(?:ftyp|styp|moof)", re.DOTALL)


def says_stream(response: ResponseHead) -> str | None:
    """Return the media type by which a response says that it may not end, None if it says no such thing."""
    if content_length(response.headers) is not None:
        return None
    for media in media_types(response.headers):
        if media in {"text/event-stream", "multipart/x-mixed-replace"} or media.startswith(_LIVE):
            return media
    return None


def begins_as(media: str, start: bytes) -> bool:
    """Whether content that begins with `start` may be the stream that `media` says it is."""
    if media == "text/event-stream":
        return _EVENTS.match(start) is not None
    if media == "multipart/x-mixed-replace":
        return _PARTS.match(start) is not None
    types = sniff(start)
    if types:
        return all(any(one.startswith(_LIVE) for one in media_of(name)) for name in types)
    return _TRANSPORT.match(start) is not None or _MP4.match(start) is not None


def shows_early(start: bytes) -> bool:
    """Whether content that begins with `start` is of use before its end: text, pages, sound, films.

    A program or an archive that drips is no stream, however slow: nothing is lost by waiting for its end.
    """
    return all(
        name in _SHOWN or any(one.startswith(_LIVE) for one in media_of(name)) for name in sniff(start)
    )
