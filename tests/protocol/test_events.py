"""Events are values."""

from icapd.protocol import BodyEnded, ConnectionEnded, DataReceived, PreviewEnded


def test_payload_of_one_and_of_many_spans() -> None:
    wire = b"3\r\nabc\r\n2\r\nde\r\n"
    assert DataReceived(wire, ((3, 6), (11, 13))).payload == b"abcde"
    assert DataReceived(wire, ((3, 6),)).payload == b"abc"
    assert DataReceived(b"3\r\n", ()).payload == b""


def test_equal_events_are_equal() -> None:
    assert BodyEnded() == BodyEnded(b"", ieof=False, original_from=None)
    assert PreviewEnded() == PreviewEnded()
    assert len({ConnectionEnded(), ConnectionEnded(), BodyEnded(ieof=True)}) == 2
