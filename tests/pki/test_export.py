"""What clients trust, in the forms in which people and systems take it."""

from __future__ import annotations

import base64
import plistlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from icapd.pki import CertificateFacts, install_page, make_bump_ca, mobile_profile, read_certificate, to_der

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SYSTEMS = ("Windows", "macOS", "iPhone", "Android", "ChromeOS", "Linux", "Firefox", "Chrome")


@pytest.fixture
def both(tmp_path: Path) -> list[CertificateFacts]:
    return [
        read_certificate(make_bump_ca(tmp_path / stem, name=name, now=NOW, key="ec", stem=stem).certificate)
        for stem, name in (("a", "Schule <Öst> & $HOME"), ("b", "Next"))
    ]


class Structure(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("count", [1, 2])
def test_the_page_needs_nothing_else_and_names_every_system(both: list[CertificateFacts], count: int) -> None:
    text = install_page(both[:count])
    found = Structure(text).found
    tags = [tag for tag, _ in found]
    assert "script" not in tags
    assert not {"img", "link", "iframe"} & set(tags)
    assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
    assert ("html", {"lang": "en"}) in found
    anchors = [attributes.get("href") or "" for tag, attributes in found if tag == "a"]
    assert all(href.startswith(("#", "data:application/x-x509-ca-cert;base64,")) for href in anchors)
    ids = {attributes["id"] for _, attributes in found if "id" in attributes}
    assert {href[1:] for href in anchors if href.startswith("#")} == ids
    given = [base64.b64decode(href.partition(",")[2]) for href in anchors if href.startswith("data:")]
    assert given == [to_der(facts) for facts in both[:count]]
    for name in SYSTEMS:
        assert re.search(rf"<h2 [^>]*>[^<]*{name}", text)
    assert "Schule \\&lt;Öst\\&gt; &amp; $HOME" in text
    assert all(facts.sha256 in text for facts in both[:count])
    assert ("install both" in text) is (count == 2)


def test_a_profile_holds_all_and_is_the_same_each_time(both: list[CertificateFacts]) -> None:
    data = mobile_profile(both)
    assert data == mobile_profile(both)
    profile = plistlib.loads(data)
    assert [one["PayloadContent"] for one in profile["PayloadContent"]] == [to_der(facts) for facts in both]
    assert {one["PayloadType"] for one in profile["PayloadContent"]} == {"com.apple.security.root"}
    ids = {profile["PayloadUUID"], *(one["PayloadUUID"] for one in profile["PayloadContent"])}
    assert len(ids) == 3
