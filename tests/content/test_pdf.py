"""PDFs: locked, active, with files inside, broken."""

from __future__ import annotations

import base64
import sys
import zlib

import pytest

from icapd.content.budget import Bounds, Budget
from icapd.content.pdf import look_pdf
from icapd.verdicts import Kind
from tests.content.samples import pdf

FILE = b"MZ this was attached" * 20
ACTION = b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"


def asked(data: bytes) -> tuple[set[str], list[bytes]]:
    looked = look_pdf(data, Budget(Bounds(), len(data)))
    return {one.threat for one in looked.findings}, [content for _, content in looked.parts]


@pytest.mark.parametrize(
    ("data", "threat"),
    [
        (pdf(trailer=b"/Encrypt 7 0 R"), "PDF"),
        (pdf(trailer=b"/Encr#79pt<</Filter/Standard>>"), "PDF"),
        (pdf(ACTION), "PDF.JavaScript"),
        (pdf(ACTION, packed=True), "PDF.JavaScript"),
        (pdf(b"/OpenAction<</S/J#61v#61Script/J#53(x)>>"), "PDF.JavaScript"),
        (pdf(b"/AA<</O<</S/Launch/F(cmd.exe)>>>>"), "PDF.Launch"),
        (pdf(b"/OpenAction<</S/URI/URI(http://evil.test)>>"), "PDF.OpenURI"),
        (b"%PDF-1.7\n( \n1 0 obj<</S/Launch>>endobj", "PDF.Launch"),
        (b"%PDF-1.7\n1 0 obj<</S/Launch/F(cmd", "PDF.Launch"),
    ],
)
def test_what_is_locked_or_runs_is_told(data: bytes, threat: str) -> None:
    assert asked(data)[0] == {threat}


@pytest.mark.parametrize(
    "data",
    [
        pdf(),
        pdf(b"/OpenAction[2 0 R/FitH null]"),
        pdf(b"/Title(How /JavaScript and /Encrypt 4 0 R \\(and (/Launch)\\) work)"),
        pdf(b"% /Encrypt 4 0 R /Launch\n"),
        pdf(trailer=b"/Encrypt null"),
        b"%PDF-1.7",
        b"%PDF-1.7\n1 0 obj<</Length 9>>stream\n/Launch x\nendstream endobj",
    ],
)
def test_what_only_speaks_of_it_is_clean(data: bytes) -> None:
    assert asked(data) == (set(), [])


@pytest.mark.parametrize(
    ("filters", "content"),
    [
        (b"", FILE),
        (b"/Filter/FlateDecode", zlib.compress(FILE)),
        (b"/Filter[/Fl]", zlib.compress(FILE)),
        (b"/Filter/Fl#61teDecode", zlib.compress(FILE)),
        (b"/Filter/ASCIIHexDecode", FILE.hex().encode() + b">"),
        (b"/Filter/ASCII85Decode", base64.a85encode(FILE) + b"~>"),
        (b"/Filter[/ASCII85Decode/FlateDecode]", base64.a85encode(zlib.compress(FILE)) + b"~>"),
        (b"/Filter/RunLengthDecode", b"".join(b"\0" + bytes([one]) for one in FILE) + b"\x80"),
    ],
)
@pytest.mark.parametrize("kind", [b"/Type/EmbeddedFile", b""])
def test_attachments_are_parts_whatever_filter_they_are_in(
    filters: bytes, content: bytes, kind: bytes
) -> None:
    assert asked(pdf(attachment=content, stream=kind + filters)) == (set(), [FILE])


def test_an_attachment_cut_short_gives_what_came() -> None:
    data = pdf(attachment=zlib.compress(bytes(range(256)) * 50))
    cut = data[: data.index(b"endstream") - 9]
    assert asked(cut)[1][0].startswith(bytes(range(100)))


def test_a_bomb_ends_at_the_budget() -> None:
    bomb = zlib.compress(bytes(50 << 20))
    budget = Budget(Bounds(), 1000)
    most = budget.room + 1
    looked = look_pdf(pdf(attachment=bomb), budget)
    assert all(len(content) == most for _, content in looked.parts)


def test_a_strange_filter_is_the_readers_or_unscannable(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pdf(attachment=b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01", stream=b"/Filter/LZWDecode")
    assert look_pdf(data, Budget(Bounds(), 1000)).findings == ()
    monkeypatch.setitem(sys.modules, "pypdf", None)
    looked = look_pdf(data, Budget(Bounds(), 1000))
    assert [one.kind for one in looked.findings] == [Kind.UNSCANNABLE]
    assert "icapd[pdf]" in looked.findings[0].threat
    assert list(looked.parts) == []


def test_a_broken_file_writes_nothing_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    look_pdf(pdf(attachment=b"x" * 30, trailer=b"/Encrypt 7 0 R"), Budget(Bounds(), 1000))
    assert caplog.records == []
