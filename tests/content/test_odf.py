"""OpenDocument: Basic, scripts, events, encryption."""

from __future__ import annotations

import pytest

from icapd.content.odf import look_package, look_xml

MODULE = b'<script:module xmlns:script="http://openoffice.org/2000/script" script:name="a">%b</script:module>'


@pytest.mark.parametrize("name", ["Basic/Standard/Module1.xml", "Scripts/python/a.py"])
def test_members_that_are_scripts_are_told_in_an_opendocument_alone(name: str) -> None:
    assert [one.threat for one in look_package(b"PK", ("mimetype", name)).findings] == ["ODF"]
    assert look_package(b"PK", ("readme", name)).findings == ()
    assert look_package(b"PK", ("mimetype", "Basic/Standard/script-lb.xml", "content.xml")).findings == ()


@pytest.mark.parametrize(
    ("text", "threats"),
    [
        (MODULE % b"Sub Main\nEnd Sub", ["ODF"]),
        (MODULE % b"REM nothing\n&apos; here\nOption Explicit\n", []),
        (b"<ooo:source-code>Sub a</ooo:source-code>", ["ODF"]),
        (
            b"<script:event-listener script:event-name='dom:load' xlink:href='vnd.sun.star.script:a'/>",
            ["ODF.Event"],
        ),
        (
            b"<m:manifest xmlns:m='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'><m:encryption-data>",
            ["ODF"],
        ),
        (b"<office:scripts/><text:p>encryption-data and event-listener</text:p>", []),
    ],
)
def test_xml_is_told_by_its_tags(text: bytes, threats: list[str]) -> None:
    assert [one.threat for one in look_xml(text).findings] == threats


def test_tags_that_never_end_are_read_once() -> None:
    for tag in (b"<x:event-listener ", b'<x:module /script" ', b"<x:module " + b"a" * 5000):
        assert look_xml(tag * (300_000 // len(tag))).findings == ()
