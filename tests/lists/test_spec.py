"""What may stand under `lists:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.lists import ListSpec, Source, load_lists
from icapd.lists.spec import read_specs
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from pathlib import Path


def specs(folder: Path, text: str) -> tuple[ListSpec, ...]:
    (folder / "policy.yaml").write_text(text)
    return read_specs(folder / "policy.yaml")


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        specs(folder, text)
    return str(caught.value).replace(str(folder), "DIR").splitlines()


@pytest.fixture
def ut1(tmp_path: Path) -> Path:
    for name, file, text in (
        ("adult", "domains", "a.example\n"),
        ("adult", "urls", "u.example/x\n"),
        ("adult", "expressions", "porn\n"),
        ("adult", "usage", "black\n"),
        ("games", "domains", "g.example\n"),
        ("empty", "README", "x"),
    ):
        (tmp_path / "ut1" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "ut1" / name / file).write_text(text)
    return tmp_path


def test_every_kind_of_file_is_named(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x.example\n")
    found = specs(
        tmp_path, "lists: {x: {domains: a, urls: [b, c], files: a, category: Cat}}\naccess: nonsense\n"
    )
    sources = (
        Source(tmp_path / "a", "domains"),
        Source(tmp_path / "b", "urls"),
        Source(tmp_path / "c", "urls"),
    )
    assert found == (ListSpec("x", (*sources, Source(tmp_path / "a", "files")), "Cat"),)


def test_a_squidguard_folder_is_a_list(ut1: Path) -> None:
    (spec,) = specs(ut1, "lists: {x: {folder: ut1/adult}}")
    assert [(source.kind, source.path.name) for source in spec.sources] == [
        (kind, kind) for kind in ("domains", "urls", "expressions")
    ]


def test_a_folder_of_folders_is_a_list_of_each_and_of_all(ut1: Path) -> None:
    lists = load_lists(specs(ut1, "lists: {ut1: {folder: ut1}}"))
    assert lists.names == ("ut1", "ut1/adult", "ut1/games")
    assert lists.categories == {"ut1": "ut1", "ut1/adult": "adult", "ut1/games": "games"}
    assert lists.lookup("a.example") == ("ut1", "ut1/adult")
    assert lists.lookup("g.example") == ("ut1", "ut1/games")
    assert lists.lookup_url("u.example", ("/x",)) == ("ut1", "ut1/adult")
    assert lists.lookup_url("z.example", ("/porn",)) == ("ut1", "ut1/adult")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lists: {x: {}}", "DIR/policy.yaml:1: list 'x' names no file: one of domains, urls, expressions, cidr, sha256, md5, folder, files does"),
        ("lists: {x: {category: C}}", "DIR/policy.yaml:1: list 'x' names no file"),
        ("lists: {x: {domain: a}}", "DIR/policy.yaml:1: unknown key 'domain'; did you mean 'domains'?"),
        ("lists:\n  x:\n    urls: nothing", "DIR/policy.yaml:3: list 'x': 'DIR/nothing' cannot be read: No such file or directory"),
        ("lists: {x: {domains: ut1}}", "DIR/policy.yaml:1: list 'x': 'DIR/ut1' cannot be read: Is a directory"),
        ("lists: {x: {folder: nothing}}", "DIR/policy.yaml:1: list 'x': 'DIR/nothing' cannot be read: No such file or directory"),
        ("lists: {x: {folder: policy.yaml}}", "DIR/policy.yaml:1: list 'x': 'DIR/policy.yaml' cannot be read: Not a directory"),
        ("lists: {x: {folder: ut1/empty}}", "DIR/policy.yaml:1: list 'x': 'DIR/ut1/empty' holds none of domains, urls, expressions"),
        ('lists: {"a\\nb": {domains: policy.yaml}}', "DIR/policy.yaml:1: a list's name has no control characters"),
        ("lists: {ut1: {folder: ut1}, ut1/adult: {folder: ut1/adult}}", "DIR/policy.yaml:1: list 'ut1/adult' is there twice"),
        ("lists: {x: {domains: []}}", "DIR/policy.yaml:1: lists.x.domains"),
        ("lists: [x]", "DIR/policy.yaml:1: lists must be a mapping"),
    ],
)  # fmt: skip
def test_faults_have_their_lines(ut1: Path, text: str, told: str) -> None:
    assert [fault for fault in faults(ut1, text) if fault.startswith(told)], faults(ut1, text)


def test_a_list_may_be_of_threats(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x.example\n")
    found = specs(tmp_path, "lists: {x: {domains: a, threat: phishing}, y: {domains: a}}")
    assert [spec.threat for spec in found] == [Kind.PHISHING, None]
    assert load_lists(found).threats == {"x": Kind.PHISHING}
    assert "threat" in faults(tmp_path, "lists: {x: {domains: a, threat: macro}}")[0]


def test_the_lists_of_subfolders_are_the_threat_of_their_folder(ut1: Path) -> None:
    found = specs(ut1, "lists: {x: {folder: ut1, threat: malware}}")
    assert {spec.threat for spec in found} == {Kind.MALWARE}
    assert len(found) > 1
