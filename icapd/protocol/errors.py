"""Protocol errors: the peer's fault (Remote) or the caller's (Local), as h11 divides them."""

from icapd.errors import IcapdError


class ProtocolError(IcapdError):
    """The ICAP conversation cannot go on."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; `status` is the ICAP status that tells it so (RFC 3507 §4.3.3)."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class LocalProtocolError(ProtocolError):
    """Our own code asked for something RFC 3507 forbids at this point: a bug."""
