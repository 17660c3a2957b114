"""What the heads of a message say of its body: the Shape that inspection starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.content.model import Shape
from icapd.http import HeadError
from icapd.policy.filenames import disposition_names, url_names
from icapd.policy.media import content_length, members
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.http import Headers
    from icapd.transaction import Transaction

MAX_VALUES = 32  # of each kind; heads are bounded, this bounds what they make of the rest
MAX_VALUE = 1000  # characters of one
_BODYLESS = frozenset({204, 304})
_PARTIAL = 206
_OTHER = 300  # from here on, a body is not what was asked for


def shape_of(tx: Transaction) -> Shape:
    """Return what the heads say; nothing that they could hold makes it fail."""
    response = tx.response if tx.point is Point.RESPMOD else None
    request = tx.request
    headers = response.headers if response is not None else request.headers if request is not None else None
    if headers is None:
        return Shape()
    is_head = request is not None and request.method.upper() == "HEAD"
    bodyless = response is not None and (is_head or response.status in _BODYLESS)
    span = headers.get(b"content-range")
    partial = response is not None and response.status == _PARTIAL
    return Shape(
        codings=_cut(_listed(headers, b"content-encoding")),
        media=_cut(_types(headers)),
        names=_names(tx, headers),
        length=None if bodyless else _length(headers),
        range=("" if span is None else span.decode("latin-1")[:MAX_VALUE]) if partial else None,
        is_request=response is None,
        is_error=response is not None and response.status >= _OTHER,
    )


def _cut(values: object) -> tuple[str, ...]:
    kept = [str(value)[:MAX_VALUE] for value in values]  # type: ignore[attr-defined]
    return tuple(kept[:MAX_VALUES])


def _types(headers: Headers) -> list[str]:
    """Return every Content-Type as it stands, and apart where proxies have joined several."""
    found: dict[str, None] = {}
    for value in headers.get_all(b"content-type"):
        text = value.decode("latin-1")
        found.update(dict.fromkeys((text, *members(text)) if "," in text else (text,)))
    return list(found)


def _listed(headers: Headers, name: bytes) -> list[str]:
    return [member for value in headers.get_all(name) for member in members(value.decode("latin-1"))]


def _length(headers: Headers) -> int | None:
    """Return the length said, the largest if several are: what came is then not whole by one of them."""
    try:
        return content_length(headers)
    except HeadError:
        values = [part.strip() for value in headers.get_all(b"content-length") for part in value.split(b",")]
        return max((int(value) for value in values if value.isdigit() and len(value) < 19), default=None)  # noqa: PLR2004


def _names(tx: Transaction, headers: Headers) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for readings in disposition_names(headers):
        found.update(dict.fromkeys(readings))
    if tx.response is not None and tx.request is not None:  # an upload is not named by where it goes
        try:
            path = tx.request.url.path
        except HeadError:
            path = tx.request.target.partition("?")[0]
        if path:
            found.update(dict.fromkeys(url_names((path,))))
    return _cut(name for name in found if name)
