"""The chunked coding: read strictly, passed on verbatim."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.protocol import BodyEnded, DataReceived, RemoteProtocolError, chunk
from icapd.protocol.abnf import MAX_CHUNK_LINE, MAX_TRAILER
from icapd.protocol.chunked import ChunkReader, is_trailer, last_chunk
from tests.protocol.strategies import chunked, cuts


def read(*segments: bytes) -> tuple[bytes, bytes, BodyEnded | None, bytes]:
    """Return payload, wire, the end and what is left, as a connection would read."""
    reader, data, payload, wire = ChunkReader(), b"", b"", b""
    for segment in segments:
        data += segment
        while True:
            event, at = reader.read(data, 0)
            data = data[at:]
            if isinstance(event, BodyEnded):
                return payload, wire, event, data
            if event is None:
                break
            payload += event.payload
            wire += event.wire
            assert reader.total == len(payload)
    return payload, wire, None, data


def test_wire_is_verbatim_and_not_cut_up() -> None:
    coding = b"10000\r\n" + bytes(65536) + b"\r\n3\r\nabc\r\n"
    event, at = ChunkReader().read(coding + b"0\r\n\r\n", 0)
    assert isinstance(event, DataReceived)
    assert event.wire == coding
    assert at == len(coding)
    assert event.spans == ((7, 65543), (65548, 65551))


def test_extensions_are_not_passed_on() -> None:
    payload, wire, end, rest = read(
        b'003;a="\\"\r"'.replace(b"\r", b"") + b"\r\nabc\r\nA ; b\r\n0123456789\r\n0;c\r\n\r\nX"
    )
    assert payload == b"abc0123456789"
    assert wire == b"3\r\nabc\r\na\r\n0123456789\r\n"
    assert end == BodyEnded()
    assert rest == b"X"


@pytest.mark.parametrize("size", [b"3", b"0003", b"3 ", b"3\t \t", b"0000000000000003"])
def test_legal_sizes(size: bytes) -> None:
    assert read(size + b"\r\nabc\r\n000\r\n\r\n")[0] == b"abc"


@given(st.data())
def test_wire_means_the_same(data: st.DataObject) -> None:
    coding = data.draw(chunked())
    payload, wire, end, rest = read(*data.draw(cuts(coding)))
    assert end is not None
    assert rest == b""
    assert read(wire + b"0\r\n\r\n") == (payload, wire, BodyEnded(), b"")
    assert read(coding) == (payload, wire, end, b"")


@given(st.data())
def test_skimming_reads_what_reading_reads(data: st.DataObject) -> None:
    coding = data.draw(chunked())
    skimming, reading = ChunkReader(), ChunkReader()
    for segment in data.draw(cuts(coding)):
        ended = skimming.skim(segment, 0)
        if ended is None:
            return
        at = 0
        wire = b""
        while (event := (found := reading.read(segment, at))[0]) is not None:
            at = found[1]
            if isinstance(event, BodyEnded):
                assert ended
                assert event == BodyEnded()
                break
            wire += event.wire
        assert (at == len(segment)) or not segment
        assert wire == (segment[:-5] if ended else segment)
        assert skimming.total == reading.total


@pytest.mark.parametrize(
    "data",
    [
        b"3;a\r\nabc\r\n",
        b"3\r\nabc\r\n0",
        b"3\r\nabc\r",
        b"3\r\nabcd\r\n",
        b"00\r\n\r\n",
        b"0\r\n\r\n0\r\n\r\n",
        b"0\r\nX: y\r\n\r\n",
        b"x",
    ],
)
def test_what_is_not_plain_is_left_to_reading(data: bytes) -> None:
    reader = ChunkReader()
    assert reader.skim(data, 0) is None
    assert reader.total == 0
    assert reader.skim(b"3\r\nabc\r\n", 0) is False


@pytest.mark.parametrize(
    ("line", "ieof", "original"),
    [
        (b"0", False, None),
        (b"0; ieof", True, None),
        (b"0;IEOF ", True, None),
        (b"0; ieof=1", False, None),
        (b'0; a="; ieof"', False, None),
        (b"0; use-original-body=12", False, 12),
        (b"0; use-original-body=-1x", False, None),
        (b"0; use-original-body=" + b"9" * 20, False, None),
        (b"0; a; use-original-body=0; b=c", False, 0),
    ],
)
def test_last_chunk_extensions(line: bytes, ieof: bool, original: int | None) -> None:
    end = read(line + b"\r\n\r\n")[2]
    assert end == BodyEnded(b"", ieof, original)


@pytest.mark.parametrize(
    "line", [b"0;", b'0; a="x; ieof', b"0; a=;ieof", b"0;;ieof", b"0; =ieof", b'0; a="b"c; ieof']
)
def test_last_chunk_extensions_that_readers_could_read_differently(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read(line + b"\r\n\r\n")
    assert caught.value.status == 400


def test_data_before_a_fault_is_an_event_of_its_own() -> None:
    for fault in (b"zz\r\n", b"-1\r\n", b"fffffffffffffffff\r\n", b"ffffffffffffffff\r\n", b"0;;\r\n"):
        reader = ChunkReader()
        coding = b"1\r\nx\r\n" + fault
        event, at = reader.read(coding, 0)
        assert isinstance(event, DataReceived)
        assert event.wire == b"1\r\nx\r\n"
        with pytest.raises(RemoteProtocolError):
            reader.read(coding, at)
    reader = ChunkReader()
    event, at = reader.read(b"1\r\nxyz", 0)
    assert isinstance(event, DataReceived)
    assert event.wire == b"1\r\nx"
    with pytest.raises(RemoteProtocolError):
        reader.read(b"yz", 0)


def test_trailer() -> None:
    assert read(b"0\r\nX: y\r\nA:\r\n b\r\n\r\n")[2] == BodyEnded(b"X: y\r\nA:\r\n b\r\n")


@pytest.mark.parametrize("trailer", [b"X", b" X: y", b"X: \0", b"X: a\nb", b"X: a\rb", b"X : y", b": y"])
def test_bad_trailer(trailer: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(b"0\r\n" + trailer + b"\r\n\r\n")


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 3, 4])
def test_trailer_limit_is_the_same_for_every_cut(extra: int) -> None:
    trailer = b"X: " + b"y" * (MAX_TRAILER + extra - 3)
    coding = b"0\r\n" + trailer + b"\r\n\r\n"
    for step in (len(coding), 1000, len(coding) - 1, len(coding) - 3):
        segments = [coding[at : at + step] for at in range(0, len(coding), step)]
        if extra <= 0:
            assert read(*segments)[2] == BodyEnded(trailer + b"\r\n")
        else:
            with pytest.raises(RemoteProtocolError):
                read(*segments)


@pytest.mark.parametrize("extra", [-1, 0, 1, 2])
def test_chunk_line_limit_is_the_same_for_every_cut(extra: int) -> None:
    line = b"1;" + b"y" * (MAX_CHUNK_LINE - 4 + extra) + b"\r\n"
    for step in (len(line) + 9, 1, 100, len(line) - 1):
        coding = line + b"x\r\n0\r\n\r\n"
        segments = [coding[at : at + step] for at in range(0, len(coding), step)]
        if extra <= 0:
            assert read(*segments)[0] == b"x"
        else:
            with pytest.raises(RemoteProtocolError):
                read(*segments)


def test_end_now() -> None:
    reader = ChunkReader()
    with pytest.raises(RemoteProtocolError):
        reader.end_now()
    assert reader.read(b"0; ieof\r\n", 0) == (None, 9)
    assert reader.awaits_trailer
    assert reader.end_now() == BodyEnded(ieof=True)


def test_writing() -> None:
    assert chunk(b"") == b""
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert last_chunk() == b"0\r\n\r\n"
    assert last_chunk(ieof=True) == b"0; ieof\r\n\r\n"
    assert last_chunk(original_from=0) == b"0; use-original-body=0\r\n\r\n"
    assert last_chunk(b"X: y\r\n") == b"0\r\nX: y\r\n\r\n"
    assert is_trailer(b"X: y\r\n")
    assert not is_trailer(b"\r\n")
