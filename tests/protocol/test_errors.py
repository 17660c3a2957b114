"""Whose fault it was, and the status that says so."""

from icapd.errors import IcapdError
from icapd.protocol import LocalProtocolError, ProtocolError, RemoteProtocolError


def test_remote_errors_carry_their_status() -> None:
    error = RemoteProtocolError(418, "REQMOD encapsulates no message")
    assert error.status == 418
    assert str(error) == "REQMOD encapsulates no message"
    assert isinstance(error, ProtocolError)


def test_both_are_foreseen() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(ProtocolError, IcapdError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
