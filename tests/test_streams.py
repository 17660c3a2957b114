"""What is let go as a stream, and what only calls itself one."""

from __future__ import annotations

import pytest

from icapd.http import ResponseHead
from icapd.streams import begins_as, says_stream, shows_early

EVENTS, PARTS = "text/event-stream", "multipart/x-mixed-replace"


def response(*lines: str) -> ResponseHead:
    return ResponseHead("".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *lines, "")).encode("ascii"))


@pytest.mark.parametrize(
    ("lines", "media"),
    [
        (["Content-Type: text/event-stream; charset=utf-8"], EVENTS),
        (["Content-Type: multipart/x-mixed-replace;boundary=b"], PARTS),
        (["Content-Type: audio/mpeg"], "audio/mpeg"),
        (["Content-Type: video/mp4", "Content-Length: 5"], None),
        (["Content-Type: text/event-stream", "Content-Length: 5"], None),
        (["Content-Type: text/html"], None),
        ([], None),
    ],
)
def test_by_its_header(lines: list[str], media: str | None) -> None:
    assert says_stream(response(*lines)) == media


@pytest.mark.parametrize(
    ("media", "start"),
    [
        (EVENTS, b"data: x\n\n"),
        (EVENTS, b"\xef\xbb\xbf: comment\n"),
        (EVENTS, b"\n\nid\n"),
        (PARTS, b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"),
        (PARTS, b"\r\n--frame\r\n"),
        ("audio/mpeg", b"ID3\x04\0\0\0\0\0\0"),
        ("video/mp4", b"\0\0\0\x18styp\0\0\0\0"),
        ("video/mp2t", b"G" + b"\0" * 187 + b"G"),
    ],
)
def test_its_beginning_agrees(media: str, start: bytes) -> None:
    assert begins_as(media, start)


@pytest.mark.parametrize("media", [EVENTS, PARTS, "audio/mpeg", "video/mp4"])
@pytest.mark.parametrize(
    "start", [b"", b"MZ\x90\0\x03\0\0\0", b"PK\x03\x04", b"%PDF-1.7", b"<html>", b"#!/bin/sh"]
)
def test_a_program_is_no_stream_whatever_it_calls_itself(media: str, start: bytes) -> None:
    assert not begins_as(media, start)


@pytest.mark.parametrize("start", [b"", b"text", b"<html>", b"{}", b"ID3\x04\0\0\0\0\0\0"])
def test_what_is_of_use_before_its_end(start: bytes) -> None:
    assert shows_early(start)


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", b"%PDF-1.7", b"\x7fELF", b"\x1f\x8b\x08", b"7z\xbc\xaf\x27\x1c"]
)
def test_what_is_of_use_only_whole(start: bytes) -> None:
    assert not shows_early(start)
