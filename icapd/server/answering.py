"""What an answer of icapd.adaptation is in ICAP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.adaptation import UseEdited
from icapd.protocol import Answer as IcapAnswer
from icapd.protocol import naming

if TYPE_CHECKING:
    from icapd.adaptation import Answer, UseAdapted
    from icapd.protocol import RequestReceived

_VIA = b"Via: ICAP/1.0 icapd\r\n"  # RFC 3507 §4.4.2: an adapted message names us


def adapted(answer: UseAdapted, decision_id: str) -> IcapAnswer:
    """Return the 200 that carries another message."""
    extra = naming(decision_id) + b"".join([b"%b: %b\r\n" % pair for pair in answer.reply_headers])
    return IcapAnswer(200, answer.head, b"res" if answer.is_response else b"req", answer.body, extra=extra)


def echo(icap: RequestReceived, answer: Answer, decision_id: str) -> IcapAnswer:
    """Return the 200 that carries the virgin message, its body to follow: for a client that cannot take 204.

    Under another head if `answer` says so.
    """
    is_request = icap.method == b"REQMOD"
    head = icap.request_head if is_request else icap.response_head
    if isinstance(answer, UseEdited):
        head = answer.head
    return begun_echo(head, b"req" if is_request else b"res", decision_id, streams=icap.body is not None)


def begun_echo(head: bytes | None, entity: bytes, decision_id: str, *, streams: bool = True) -> IcapAnswer:
    """Return the same, of the `head` of a request (entity b"req") or response (b"res")."""
    if head is not None:
        head = head[:-2] + _VIA + b"\r\n"
    return IcapAnswer(200, head, entity, streams=streams, extra=naming(decision_id))
