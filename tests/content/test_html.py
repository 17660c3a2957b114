"""Pages that carry files, pictures and texts that run."""

from __future__ import annotations

import base64

import pytest

from icapd.content.budget import Bounds, Budget
from icapd.content.html import look_markup, unbase64

ZIP = b"PK\x03\x04" + bytes(100)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MAKES = b"var b=new Blob([x]);a.href=URL.createObjectURL(b);a.download='e.zip';a.click()"


def asked(data: bytes) -> tuple[set[str], list[bytes]]:
    looked = look_markup(data, Budget(Bounds(), len(data)))
    return {one.threat for one in looked.findings}, [content for _, content in looked.parts]


@pytest.mark.parametrize(
    "page",
    [
        b"<script>var x=atob('%b');" % base64.b64encode(ZIP) + MAKES + b"</script>",
        b"<script>var x=atob('%b');" % base64.b64encode(bytes(3000)) + MAKES + b"</script>",
        b"<script>var x=new Uint8Array([" + b"77,90," * 200 + b"0]);" + MAKES + b"</script>",
        b"<script>x=atob(`%b`);navigator.msSaveOrOpenBlob(x,'a.iso')</script>" % base64.b64encode(ZIP),
    ],
)
def test_a_file_put_together_by_a_script_is_told(page: bytes) -> None:
    assert "HTML.Smuggling" in asked(b"<html>" + page)[0]


def test_what_a_script_decodes_and_data_urls_are_parts() -> None:
    text = base64.b64encode(ZIP)
    assert asked(b"<script>atob('%b')</script>" % text)[1] == [ZIP]
    assert asked(b"<a href='data:application/octet-stream;base64,%b'>" % text)[1] == [ZIP]
    assert asked(b"<a href=data:x/y,PK%03%04abcdefgh>")[1] == [b"PK\x03\x04abcdefgh"]
    assert asked(b"<img src='data:image/png;base64,%b'>" % base64.b64encode(PNG)) == (set(), [])


@pytest.mark.parametrize(
    ("page", "threat"),
    [
        (b"<html><HTA:APPLICATION id=x>", "HTA"),
        (b"<script language=VBScript>MsgBox 1</script>", "VBScript"),
        (b"<svg><script>1</script></svg>", "SVG.Script"),
        (b"<s:svg xmlns:s='x'><s:script>1</s:script>", "SVG.Script"),
        (b"<svg onload='x()'>", "SVG.Script"),
        (b"<svg><rect a='>' ONCLICK = 'x()'/>", "SVG.Script"),
        (b"<svg><a xlink:href='java&#115;cript:x()'>", "SVG.Script"),
    ],
)
def test_what_runs_is_told(page: bytes, threat: str) -> None:
    assert asked(page)[0] == {threat}


@pytest.mark.parametrize(
    "page",
    [
        b"<html><script>alert(1)</script>",
        b"<html><script>URL.createObjectURL(new Blob([atob('aGVsbG8=')]))</script>",
        b"<html><svg><script>1</script></svg>",
        b"<svg><text>onload= and script</text><!-- <script>1</script> --></svg>",
        b"<svg><style><![CDATA[ a { b: c } <script> ]]></style></svg>",
        b"<svg><a xlink:href='https://example.test/'/></svg>",
        b"<svg><!-- never ends <script",
    ][:6],
)
def test_pages_and_pictures_as_they_should_be_are_clean(page: bytes) -> None:
    assert asked(page)[0] == set()


@pytest.mark.parametrize("text", [b"TVo", b"TVo=", b"TV o=\n", b"TVp_"[:3]])
def test_base64_is_read_with_or_without_padding(text: bytes) -> None:
    assert unbase64(text)[:2] == b"MZ"
