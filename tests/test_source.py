"""YAML into text with places: no 1.1 surprises, every fault with its line, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from icapd.errors import ConfigErrors
from icapd.source import MAX_BYTES, parse_document, read_document, validate

if TYPE_CHECKING:
    from pathlib import Path


def faults(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        parse_document(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    "scalar",
    [
        "22:00",
        "no",
        "yes",
        "on",
        "0123",
        "0x1f",
        "1e3",
        "1_000",
        "~",
        "null",
        "2026-01-01",
        ".inf",
        "=",
        "1.10",
    ],
)
def test_every_scalar_stays_text(scalar: str) -> None:
    assert parse_document(f"a: {scalar}\nb: [{scalar}]", "f").value == {"a": scalar, "b": [scalar]}


def test_empty_values_and_quotes_are_text_too() -> None:
    assert parse_document("a:\nb: ''\nc: \"x\\ty\"\nd: |\n  z\n", "f").value == {
        "a": "",
        "b": "",
        "c": "x\ty",
        "d": "z\n",
    }


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse_document("<<: {a: 1}", "f").value == {"<<": {"a": "1"}}


def test_every_part_knows_its_line() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - c: {d: 2,\n         e: 3}\n", "f")
    places = {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c", "e"): 5}
    assert {place: document.where(place) for place in places} == places


def test_a_place_that_is_not_there_has_the_line_around_it() -> None:
    document = parse_document("a: 1\nb:\n  - c: 1\n", "f")
    assert document.where(("b", 0, "zzz")) == 3
    assert document.where(("b", "tuple[...]", 0, "c")) == 3
    assert document.where(("nowhere",)) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2", "f.yaml:2: 'a' stands here twice (first in line 1)"),
        ("x: {b: 1,\n b: 2}", "f.yaml:2: 'b' stands here twice (first in line 1)"),
        ("a: &x 1\n", "f.yaml:1: anchors (&x) are not used here"),
        ("&x a: 1\n", "f.yaml:1: anchors (&x) are not used here"),
        ("a: &x 1\nb: *x\n", "f.yaml:2: aliases (*x) are not used here: write it out"),
        (
            "\na: !!python/object/apply:os.system [x]",
            "f.yaml:2: tags (tag:yaml.org,2002:python/object/apply:os.system)",
        ),
        ("a: !!str 1", "f.yaml:1: tags (tag:yaml.org,2002:str)"),
        ("? [a]\n: 1", "f.yaml:1: a key must be plain text"),
        ("? {a: b}\n: {c: d}", "f.yaml:1: a key must be plain text"),
        ("a: 1\n---\nb: 2", "f.yaml:2: a second document begins here"),
        ("[" * 3000, "f.yaml:1: nested more than 50 deep"),
        ("{a: " * 3000, "f.yaml:1: nested more than 50 deep"),
        ("- " * 3000, "f.yaml:1: nested more than 50 deep"),
        ("a: 1\nb: [", "f.yaml:3: not YAML:"),
        ("a: 1\n\tb: 2", "f.yaml:2: not YAML:"),
        ("a: 1\nb: x\0y", "f.yaml:2: not YAML:"),
        ("", "f.yaml: is empty"),
        ("# only a comment\n", "f.yaml: is empty"),
    ],
    ids=range(18),
)
def test_a_fault_has_its_line(text: str, fault: str) -> None:
    assert fault in faults(text)


def test_all_faults_are_told_at_once() -> None:
    text = "a: 1\na: 2\nb: &x 3\nc: *x\nd: !t 4\n? [k]\n: v\n"
    assert [int(line.split(":")[1]) for line in faults(text).splitlines()] == [2, 3, 4, 5, 6]


def test_a_long_number_is_text() -> None:
    assert parse_document("a: " + "9" * 6000, "f").value == {"a": "9" * 6000}


def test_files_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    cases = {
        "missing.yaml": None,
        "latin.yaml": b"a: 1\nb: \xff",
        "big.yaml": b"#" * (MAX_BYTES + 1),
        "folder": None,
    }
    (tmp_path / "folder").mkdir()
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigErrors) as caught:
            read_document(path)
        assert str(caught.value).startswith(str(path))
        assert len(caught.value.errors) == 1
    with pytest.raises(ConfigErrors, match=r"latin.yaml:2: is not UTF-8"):
        read_document(tmp_path / "latin.yaml")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b")
    assert read_document(path).value == {"a": "b"}


@given(st.text(max_size=60) | st.text(alphabet="a:-?[]{}&*!|>'\"%@` \n#,", max_size=60))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    try:
        document = parse_document(text, "f")
    except ConfigErrors:
        return
    assert document.where(()) >= 1


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    method: tuple[str, ...] = ()
    limit: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rules: tuple[Inner, ...]
    named: dict[str, Inner] | None = None
    flag: bool = False


def rejected(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        validate(parse_document(text, "f.yaml"), Outer)
    return str(caught.value).splitlines()


def test_a_sound_document_becomes_its_model() -> None:
    model = validate(parse_document("rules:\n- {method: [GET], limit: 07}\nflag: no", "f"), Outer)
    assert model.rules == (Inner(method=("GET",), limit=7),)
    assert model.flag is False


def test_every_fault_of_the_schema_is_told_with_line_and_advice() -> None:
    text = (
        "rules:\n- {methods: [GET]}\n- limit: many\n- method: GET\n- text\nnamed:\n  x: {limt: 1}\nfoo: 1\n"
    )
    assert rejected(text) == [
        "f.yaml:2: unknown key 'methods'; did you mean 'method'?",
        "f.yaml:3: rules.1.limit: should be a valid integer, unable to parse string as an integer",
        "f.yaml:4: rules.2.method must be a list",
        "f.yaml:5: rules.3 must be a mapping (key: value)",
        "f.yaml:7: unknown key 'limt'; did you mean 'limit'?",
        "f.yaml:8: unknown key 'foo'; known are flag, named, rules",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("flag: no", "f.yaml:1: 'rules' is missing"),
        ("[a]", "f.yaml:1: the file must be a mapping (key: value)"),
        ("text", "f.yaml:1: the file must be a mapping (key: value)"),
        ("rules:", "f.yaml:1: rules must be a list"),
    ],
)
def test_what_is_missing_or_of_another_kind(text: str, fault: str) -> None:
    assert rejected(text) == [fault]
