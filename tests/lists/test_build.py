"""Sources are read once, whatever lists they are in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigError, ConfigErrors
from icapd.lists import ListSpec, Source
from icapd.lists import build as building
from icapd.lists.build import build, open_source, report_of
from icapd.lists.store import MemoryParts

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_read_is_what_is_digested(tmp_path: Path) -> None:
    data = (
        b'[{"url": "http://a.example/"}]' + b" " * 3_000_000 + b"x"
    )  # a parser stops at the end of the list
    (tmp_path / "a").write_bytes(data)
    source = Source(tmp_path / "a", "files")
    about, read = build([ListSpec("x", (source,)), ListSpec("y", (source,))], MemoryParts().write, None)
    assert read[source].sha256 == hashlib.sha256(data).hexdigest()
    assert about["entries"] == [1, 1]


def test_a_report_survives_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a.example\ncom\n")
    about, read = build([ListSpec("x", (Source(tmp_path / "a", "domains"),))], MemoryParts().write, None)
    (report,) = map(report_of, json.loads(json.dumps(about["reports"])))
    assert asdict(report) == about["reports"][0]
    assert report.files[0] == next(iter(read.values())).report


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MAX_FILE", 3)
    (tmp_path / "a").write_text("a.example\n")
    with pytest.raises(ConfigError, match="is larger"), open_source(Source(tmp_path / "a", "domains")):
        pass


def test_every_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("<html>")
    (tmp_path / "b").mkdir()
    sources = tuple(Source(tmp_path / name, "domains") for name in "ab")
    with pytest.raises(ConfigErrors) as caught:
        build([ListSpec("x", sources)], MemoryParts().write, None)
    assert len(caught.value.errors) == 2
