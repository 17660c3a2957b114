"""A big list that is empty from one day to the next is refused until somebody means it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.lists import load_lists

if TYPE_CHECKING:
    from pathlib import Path

MANY = "".join(f"n{number}.example\n" for number in range(1_000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text(MANY)
    load_lists({"x": [tmp_path / "a"]}, tmp_path / "cache")
    return tmp_path / "a"


def test_a_big_list_that_is_empty_now_is_refused(file: Path) -> None:
    cache = file.with_name("cache")
    file.write_text("")
    for _ in range(2):
        with pytest.raises(ConfigErrors, match=r"a: held 1,000 entries when last read and holds none now"):
            load_lists({"x": [file]}, cache)
    assert load_lists({"x": [file]}, cache, accept_empty=True).lookup("n1.example") == ()
    assert load_lists({"x": [file]}, cache).lookup("n1.example") == ()


def test_a_list_that_shrinks_to_some_is_taken(file: Path) -> None:
    file.write_text("n1.example\n")
    assert load_lists({"x": [file]}, file.with_name("cache")).lookup("n1.example") == ("x",)


def test_another_list_is_still_remembered(file: Path) -> None:
    (file.with_name("b")).write_text("b.example\n")
    load_lists({"y": [file.with_name("b")]}, file.with_name("cache"))
    file.write_text("# gone\n")
    with pytest.raises(ConfigErrors):
        load_lists({"x": [file]}, file.with_name("cache"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "b"}', "null"])
def test_a_memory_that_is_damaged_is_empty(file: Path, text: str) -> None:
    cache = file.with_name("cache")
    (cache / "seen.json").write_text(text)
    file.write_text("")
    load_lists({"x": [file]}, cache)
