"""What is asked of content, and that hostile content is answered within bounds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.content import documents
from icapd.content.budget import Bounds, Budget, LimitReached
from icapd.content.documents import look
from icapd.policy.filetypes import sniff
from icapd.verdicts import Kind
from tests.content.samples import cfb, ooxml, pdf, rtf_object

STARTS = (
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"%PDF-1.7\n1 0 obj<</Type/ObjStm/Filter/FlateDecode>>stream\n",
    b"{\\rtf1{\\object{\\*\\objdata ",
    b"<html><script>atob('",
    b"<svg ",
    b"<?xml version='1.0'?><Relationships><Relationship ",
    b"<pkg:package><pkg:binaryData>",
    b"ActiveMime" + b"\0" * 40 + b"\x78\x9c",
    b"\x09\x04\x06\0\0\0\x40\0\0\0",
    b"PK\x03\x04",
)


def budget(size: int = 1 << 20) -> Budget:
    return Budget(Bounds(), size)


def kinds(data: bytes, name: str = "", members: tuple[str, ...] = ()) -> list[Kind]:
    return [one.kind for one in look(data, sniff(data), name, budget(), members).findings]


@given(st.sampled_from(STARTS), st.binary(max_size=2000), st.sampled_from(["", "a.html", "a.doc"]))
@settings(max_examples=150, deadline=None)
def test_nothing_raises_whatever_follows_a_signature(start: bytes, rest: bytes, name: str) -> None:
    found = look(start + rest, sniff(start), name, budget(), ("[Content_Types].xml",))
    for part, content in found.parts:
        assert isinstance(part, str)
        assert isinstance(content, bytes)
    assert all(len(one.threat) <= 200 and one.threat.isprintable() for one in found.findings)


WHOLE = {
    "ole": cfb({"WordDocument": b"\xec\xa5" + b"\0" * 5000, "Macros/VBA/dir": b"x", "ObjectPool/a/\x01Ole10Native": b"x" * 99}),
    "pdf": pdf(b"/OpenAction<</S/JavaScript/JS(app.alert)>>", attachment=b"x" * 300, packed=True),
    "rtf": rtf_object(b"Package", b"MZ" + b"\0" * 80),
    "zip": ooxml({"word/vbaProject.bin": b"x"}),
}  # fmt: skip


@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, 1 << 16),
)
@settings(max_examples=150, deadline=None)
def test_nothing_raises_for_documents_that_were_damaged(
    kind: str, damages: list[tuple[int, bytes]], end: int
) -> None:
    data = bytearray(WHOLE[kind])
    for at, piece in damages:
        data[at % len(data) : at % len(data) + len(piece)] = piece
    cut = bytes(data[: end % (len(data) * 2)])
    list(look(cut, sniff(cut), "", budget(), ()).parts)


@pytest.mark.parametrize(
    "piece",
    [
        b"<a onx ",
        b'<a b="',
        b"<Override ",
        b"<Override a='",
        b"<Relationship Type=",
        b"data:a;b;c",
        b"<!--",
        b"<![CDATA[",
        b"<svg <!",
        b"<f>a|'",
        b'"' + b"A" * 70,
        b"<x:event-listener ",
        b"<x:module ",
        b"<script ",
        b" instr='",
        b"1,",
        b"<?xml ",
    ],
)
def test_markup_that_repeats_takes_little_time(piece: bytes) -> None:
    data = b"<svg>Relationships instr event-listener module atob" + piece * (1_000_000 // len(piece))
    found = look(data, ("svg",), "a.svg", Budget(Bounds(seconds=60), len(data)), ())
    assert sum(1 for _ in found.parts) < 1000


@pytest.mark.parametrize(
    "piece", [b"\\objdata ", b"{\\objdata 00", b"\\objdata{\\*\\x ", b"\\bin9 ", b"\\", b"\\\\"]
)
def test_rtf_that_repeats_takes_little_time(piece: bytes) -> None:
    data = b"{\\rtf1 \\objdata " + piece * (200_000 // len(piece))
    with contextlib.suppress(LimitReached):
        list(look(data, (), "", Budget(Bounds(seconds=5), len(data)), ()).parts)


@pytest.mark.parametrize(
    "piece",
    [
        b"<<>>stream\n",
        b"((",
        b"(\\",
        b"1 0 obj<<",
        b"/EF<<",
        b"/Encrypt ",
        b"%",
        b"/OpenAction<<",
        b"#41",
        b"1 0 obj>>",
    ],
)
def test_pdf_that_repeats_takes_little_time(piece: bytes) -> None:
    data = b"%PDF-1.7\n" + piece * (1_000_000 // len(piece))
    with contextlib.suppress(LimitReached):
        list(look(data, ("pdf",), "", Budget(Bounds(seconds=20), len(data)), ()).parts)


def test_a_document_is_asked_all_that_it_may_be() -> None:
    both = pdf(b"/OpenAction<</S/Launch>>") + b"\n<html><hta:application>"
    assert kinds(both, "a.pdf") == [Kind.ACTIVE_CONTENT]
    assert kinds(b"\xef\xbb\xbf \n{\\rtf1{\\object\\objupdate}}") == [Kind.ACTIVE_CONTENT]


def test_text_that_is_no_page_at_its_start_is_still_looked_through_for_scripts() -> None:
    assert kinds(b"hello <script language='VBScript'>MsgBox 1</script>") == [Kind.ACTIVE_CONTENT]
    assert kinds("hello <script language='VBScript'>1</script>".encode("utf-16")) == [Kind.ACTIVE_CONTENT]


@pytest.mark.parametrize("data", [b"", b"x", b"hello", bytes(5000), b"MZ is text", b"VBA macros are bad"])
def test_what_is_no_document_is_not_one(data: bytes) -> None:
    assert look(data, sniff(data), "a.bin", budget()) == documents.Look()


def test_what_fails_is_unscannable_and_limits_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_content: bytes, _budget: Budget) -> documents.Look:
        raise RecursionError

    monkeypatch.setattr(documents, "look_pdf", fails)
    assert kinds(b"%PDF-1.7") == [Kind.UNSCANNABLE]

    def ends(_content: bytes, _budget: Budget) -> documents.Look:
        raise LimitReached("time")

    monkeypatch.setattr(documents, "look_pdf", ends)
    with pytest.raises(LimitReached):
        kinds(b"%PDF-1.7")


def test_maps_and_views_are_read_like_bytes() -> None:
    data = WHOLE["pdf"]
    assert (
        look(memoryview(data), ("pdf",), "", budget()).findings == look(data, ("pdf",), "", budget()).findings
    )
