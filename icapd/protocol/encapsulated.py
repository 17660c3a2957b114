"""The Encapsulated header: which heads and which body follow, and where each begins.

Source: RFC 3507 §4.4.1, errata e1, e4, e5. The last entity is the body or null-body, whose offset
is the length of the heads; everything is refused that would let two readers cut differently.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

from icapd.protocol.abnf import ENTITY, MAX_ENCAPSULATED, MAX_HTTP_HEADS
from icapd.protocol.errors import RemoteProtocolError

_BODIES = frozenset({b"req-body", b"res-body", b"opt-body", b"null-body"})

# Legal entities of a request, by method (RFC 3507 §4.4.1): heads, bodies.
_REQUEST_FORMS = {
    b"REQMOD": (frozenset({b"req-hdr"}), frozenset({b"req-body", b"null-body"})),
    b"RESPMOD": (frozenset({b"req-hdr", b"res-hdr"}), frozenset({b"res-body", b"null-body"})),
    b"OPTIONS": (frozenset(), frozenset({b"opt-body", b"null-body"})),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the encapsulated part is cut: offsets in bytes from the end of the ICAP head.

    `request_end`: the request head is [0:request_end], none if 0. `size`: length of all heads; the
    response head is [request_end:size] if `has_response`. `body`: the body's entity, None for null-body.
    """

    request_end: int
    has_response: bool
    size: int
    body: bytes | None


NOTHING = Layout(0, False, 0, None)  # no Encapsulated: nothing encapsulated, no body (errata e1)


def parse_encapsulated(value: bytes) -> tuple[tuple[bytes, int], ...]:
    """Parse an Encapsulated value: b"req-hdr=0, null-body=170" to ((b"req-hdr", 0), (b"null-body", 170)).

    Offsets are bytes from the end of the ICAP head, the first is 0 and each is larger than the one
    before; the last entity is the one body. Raises RemoteProtocolError(400), (413) for more heads
    than MAX_HTTP_HEADS.
    """
    if len(value) > MAX_ENCAPSULATED:
        raise RemoteProtocolError(400, "Encapsulated is longer than any legal one")
    entities: list[tuple[bytes, int]] = []
    for item in value.split(b","):
        match = ENTITY.fullmatch(item)
        if match is None:
            raise RemoteProtocolError(400, "Encapsulated is not a list of 'entity=offset'")
        entities.append((match[1], int(match[2])))
    names = [name for name, _ in entities]
    offsets = [offset for _, offset in entities]
    if len(set(names)) != len(names) or names[-1] not in _BODIES or _BODIES & set(names[:-1]):
        raise RemoteProtocolError(400, "Encapsulated does not end in its one body entity")
    if names[:-1] == [b"res-hdr", b"req-hdr"]:
        raise RemoteProtocolError(400, "Encapsulated lists its entities in the wrong order")
    if offsets[0] != 0 or any(b <= a for a, b in itertools.pairwise(offsets)):
        raise RemoteProtocolError(400, "offsets in Encapsulated do not begin at 0 and rise")
    if offsets[-1] > MAX_HTTP_HEADS:
        raise RemoteProtocolError(413, "the encapsulated heads are larger than the limit")
    return tuple(entities)


def _layout(entities: tuple[tuple[bytes, int], ...]) -> Layout:
    offsets = dict(entities)
    body, size = entities[-1]
    has_response = b"res-hdr" in offsets
    request_end = 0
    if b"req-hdr" in offsets:
        request_end = offsets[b"res-hdr"] if has_response else size
    return Layout(request_end, has_response, size, None if body == b"null-body" else body)


@functools.lru_cache(maxsize=4096)  # offsets are short numbers: most values come again
def request_layout(method: bytes, value: bytes) -> Layout:
    """Parse the Encapsulated of a request. Raises RemoteProtocolError(400), (413), (418)."""
    entities = parse_encapsulated(value)
    heads, bodies = _REQUEST_FORMS[method]
    names = [name for name, _ in entities]
    if not heads.issuperset(names[:-1]) or names[-1] not in bodies:
        raise RemoteProtocolError(400, f"{method.decode()} does not carry these entities")
    if (method == b"REQMOD" and len(names) == 1) or (method == b"RESPMOD" and names == [b"null-body"]):
        # nothing to decide on: Bad Composition (errata e5) says just that
        raise RemoteProtocolError(418, f"{method.decode()} encapsulates no message")
    return _layout(entities)


@functools.lru_cache(maxsize=256)
def response_layout(value: bytes) -> Layout:
    """Parse the Encapsulated of a response. Raises RemoteProtocolError(400), (413)."""
    return _layout(parse_encapsulated(value))


def cut_head(data: bytes, start: int, end: int) -> bytes:
    """Cut one encapsulated head out of `data`.

    It must hold its only blank line at its very end: a head that ends elsewhere than its offset
    says would make the rest the next request (smuggling). Raises RemoteProtocolError(400).
    """
    head = data[start:end]
    if end - start < 4 or head.find(b"\r\n\r\n") != end - start - 4:  # noqa: PLR2004
        raise RemoteProtocolError(400, "an encapsulated head does not end where its offset says")
    bare = head.replace(b"\r\n", b"")
    if b"\n" in bare or b"\r" in bare or b"\0" in bare:
        raise RemoteProtocolError(400, "an encapsulated head holds a NUL, bare CR or bare LF")
    return head
