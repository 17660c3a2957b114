import os
import socket

import pytest

from icapd.content import wire
from icapd.content.model import Item, Report, Shape
from icapd.verdicts import Finding, Kind


def taken(data: bytes, step: int) -> list[object]:
    frames, found = wire.Frames(), []
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
        while (value := frames.take()) is not None:
            found.append(value)
    return found


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_frames_come_whole_however_they_are_cut(step: int) -> None:
    assert taken(wire.frame({"a": "ä\0"}) + wire.frame([1]), step) == [{"a": "ä\0"}, [1]]


def test_what_is_no_frame_is_refused() -> None:
    for data in (b"\xff\xff\xff\xff", b"\0\0\0\2{]"):
        with pytest.raises(ValueError):  # noqa: PT011
            taken(data, 100)


def test_marks_are_skipped() -> None:
    frames = wire.Frames()
    frames.feed(b"..")
    assert frames.skip(3) == 2


def test_an_order_reads_back() -> None:
    shape = Shape(codings=("gzip",), media=("a/b",), names=("ä",), length=4, range="", is_request=True)
    (value,) = taken(wire.order(shape, 7), 1000)
    assert isinstance(value, dict)
    assert wire.read_order(value) == (shape, 7)


def test_an_answer_reads_back_with_its_descriptors() -> None:
    body = os.memfd_create("body")
    items = [Item("", 0, 1, body, "m", "s", ("zip",))]
    items += [Item(f"a/{n}\udcff", 1, n, os.memfd_create("x"), "m", "s") for n in range(wire.BATCH + 3)]
    report = Report(tuple(items), (Finding(Kind.LIMIT, "depth", "content", "a"),), "ab")
    data, fds = wire.answer(report, body)
    (value,) = taken(data, 1000)
    assert isinstance(value, dict)
    assert wire.descriptors_of(value) == len(fds) == wire.BATCH + 3
    assert wire.read_answer(value, body, fds) == report
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send_descriptors(ours, fds)
        _, first, _, _ = socket.recv_fds(theirs, 1, 300)
        _, second, _, _ = socket.recv_fds(theirs, 1, 300)
    assert (len(first), len(second)) == (wire.BATCH, 3)
    for fd in (*first, *second):
        os.close(fd)
    report.close()


def test_a_frame_nested_too_deeply_is_refused() -> None:
    frames = wire.Frames()
    frames.feed(len(b"[" * 100_000).to_bytes(4, "big") + b"[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        frames.take()
