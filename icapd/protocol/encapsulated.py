"""The Encapsulated header: which heads and which body follow, and where each begins.

Source: RFC 3507 §4.4.1, errata e1, e4, e5. The last entity is the body or null-body, whose offset
is the length of the heads; everything is refused that would let two readers cut differently.
"""

from __future__ import annotations

from icapd.protocol.abnf import ENTITY, MAX_HTTP_HEADS
from icapd.protocol.errors import RemoteProtocolError

BODIES = frozenset({b"req-body", b"res-body", b"opt-body", b"null-body"})

# Legal orders of entities in a request, by method (RFC 3507 §4.4.1). A REQMOD without a request head
# leaves nothing to decide on: 418 Bad Composition (errata e5) says just that.
_REQUEST_FORMS = {
    b"REQMOD": ({b"req-hdr"}, {b"req-body", b"null-body"}),
    b"RESPMOD": ({b"req-hdr", b"res-hdr"}, {b"res-body", b"null-body"}),
    b"OPTIONS": (set(), {b"opt-body", b"null-body"}),
}

Entities = tuple[tuple[bytes, int], ...]


def parse_encapsulated(value: bytes) -> Entities:
    """Parse an Encapsulated value: b"req-hdr=0, null-body=170" to ((b"req-hdr", 0), (b"null-body", 170)).

    Offsets are bytes from the end of the ICAP head, the first is 0 and none falls; the last entity
    is a body. Raises RemoteProtocolError(400), (413) for more heads than MAX_HTTP_HEADS.
    """
    entities: list[tuple[bytes, int]] = []
    for item in value.split(b","):
        match = ENTITY.fullmatch(item)
        if match is None:
            raise RemoteProtocolError(400, "Encapsulated is not a list of 'entity=offset'")
        entities.append((match[1], int(match[2])))
    names = [name for name, _ in entities]
    offsets = [offset for _, offset in entities]
    if len(set(names)) != len(names) or names[-1] not in BODIES or BODIES & set(names[:-1]):
        raise RemoteProtocolError(400, "Encapsulated does not end in its one body entity")
    if names[:-1] == [b"res-hdr", b"req-hdr"]:
        raise RemoteProtocolError(400, "Encapsulated lists its entities in the wrong order")
    if offsets[0] != 0 or any(b <= a for a, b in zip(offsets, offsets[1:], strict=False)):
        raise RemoteProtocolError(400, "offsets in Encapsulated do not begin at 0 and rise")
    if offsets[-1] > MAX_HTTP_HEADS:
        raise RemoteProtocolError(413, "the encapsulated heads are larger than the limit")
    return tuple(entities)


def check_request(method: bytes, entities: Entities) -> None:
    """Refuse entities that `method` cannot carry: RemoteProtocolError(400) or (418)."""
    heads, bodies = _REQUEST_FORMS[method]
    names = [name for name, _ in entities]
    if not set(names[:-1]) <= heads or names[-1] not in bodies:
        raise RemoteProtocolError(400, f"{method.decode()} does not carry these entities")
    if (method == b"REQMOD" and len(names) == 1) or (method == b"RESPMOD" and names == [b"null-body"]):
        raise RemoteProtocolError(418, f"{method.decode()} encapsulates no message")


def cut_heads(data: bytes, start: int, entities: Entities) -> dict[bytes, bytes]:
    """Cut the encapsulated heads out of `data`, whose first head begins at `start`.

    Each must hold its only blank line at its very end: a head that ends elsewhere than its offset
    says would make the rest the next request (smuggling). Raises RemoteProtocolError(400).
    """
    heads = {}
    for (name, offset), (_, following) in zip(entities, entities[1:], strict=False):
        head = data[start + offset : start + following]
        if head.find(b"\r\n\r\n") != len(head) - 4:
            raise RemoteProtocolError(400, f"{name.decode()} does not end where its offset says")
        bare = head.replace(b"\r\n", b"")
        if b"\n" in bare or b"\r" in bare or b"\0" in bare:
            raise RemoteProtocolError(400, f"{name.decode()} holds a NUL, bare CR or bare LF")
        heads[name] = head
    return heads
