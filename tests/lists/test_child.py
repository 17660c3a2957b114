"""A process of its own builds what is big; several at once do no harm."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.lists import load as loading
from icapd.lists import load_lists

if TYPE_CHECKING:
    from pathlib import Path

BIG_TEXT = "com\n" + "".join(f"name-{number}.example\n" for number in range(15_000))


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BIG", loading.MIN_KEPT)


@pytest.mark.usefixtures("child")
def test_a_big_list_is_built_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT)
    monkeypatch.setattr(loading, "build", None)  # of this process
    assert load_lists({"x": [file]}, cache).lookup("name-1.example") == ("x",)


@pytest.mark.usefixtures("child")
def test_what_the_child_finds_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("<html>\n" + BIG_TEXT)
    with pytest.raises(ConfigErrors, match=r"a:1: is a web page"):
        load_lists({"x": [file]}, tmp_path / "cache")


@pytest.mark.usefixtures("child")
@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false", "/bin/true"])
def test_without_a_child_it_is_built_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (tmp_path / "a").write_text(BIG_TEXT)
    monkeypatch.setattr("icapd.lists.child.sys.executable", program)
    assert load_lists({"x": [tmp_path / "a"]}, tmp_path / "cache").lookup("name-1.example") == ("x",)


@pytest.mark.usefixtures("child")
def test_a_child_that_was_killed_is_told_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What took too much memory there would take it here."""
    (tmp_path / "a").write_text(BIG_TEXT)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr("icapd.lists.child.sys.executable", str(program))
    monkeypatch.setattr(loading, "build", None)
    with pytest.raises(ConfigErrors, match=r"was killed \(signal 9"):
        load_lists({"x": [tmp_path / "a"]}, tmp_path / "cache")


def test_many_that_build_at_once_do_no_harm(tmp_path: Path) -> None:
    file, cache = tmp_path / "a", tmp_path / "cache"
    file.write_text(BIG_TEXT)
    order = json.dumps({"cache": str(cache), "lists": [["x", [["domains", str(file)]]]]})
    command = [sys.executable, "-m", "icapd.lists"]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    with ThreadPoolExecutor(2) as threads:
        here = list(threads.map(lambda _: load_lists({"x": [file]}, cache).digest, range(2)))
    outputs = [each.communicate(order)[0] for each in children]
    assert [json.loads(output) for output in outputs] == [[], [], []]
    assert len(set(here)) == 1
    assert len([entry for entry in cache.iterdir() if len(entry.name) == 64]) == 1
    assert not list(cache.glob(".new-*"))
    assert load_lists({"x": [file]}, cache).lookup("name-1.example") == ("x",)
