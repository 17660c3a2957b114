"""users.yaml: what it says, and every fault with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.directory.file import StaticGroups, read_users
from icapd.errors import ConfigErrors

if TYPE_CHECKING:
    from pathlib import Path


def read(directory: Path, text: str) -> StaticGroups:
    (directory / "users.yaml").write_text(text)
    return read_users(directory / "users.yaml")


def test_users_with_groups_and_groups_with_users(tmp_path: Path) -> None:
    text = (
        "users:\n  Alice: [staff, 'CORP\\lab']\n  bob@SCHOOL.TEST: kids\ngroups:\n  staff: [alice, carol]\n"
    )
    static = read(tmp_path, text)
    assert static.of("ALICE", "ALICE") == ("staff", "CORP\\lab", "lab")
    assert static.of("alice@CORP.TEST", "alice") == ("staff", "CORP\\lab", "lab")
    assert static.of("carol", "carol") == ("staff",)
    assert static.of("bob@school.test", "bob") == ("kids",)
    assert static.of("bob", "bob") == static.of("bob@other.test", "bob") == ()


def test_the_digest_is_of_what_it_says(tmp_path: Path) -> None:
    one = read(tmp_path, "users: {a: [x], b: [y]}\n").digest
    assert read(tmp_path, "# the same\nusers:\n  b: y\n  a: x\n").digest == one
    assert read(tmp_path, "users: {a: [x], b: [z]}\n").digest != one


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("user: {a: [b]}", ["1: unknown key 'user'; did you mean 'users'?"]),
        ("users:\n  a: {b: c}", ["2: users.a must be a list"]),
        ("users:\n  a: [x, '']", ["2: users.a.1: not a name"]),
        ('groups:\n  "a\\nb": [x]', ["2: groups.a\nb.[key]: not a name"]),
        ("users:\n  a: [x]\n  a: [y]", ["3: 'a' stands here twice (first in line 2)"]),
        ("", ["0: is empty"]),
    ],
)
def test_faults(tmp_path: Path, text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text)
    assert [f"{error.line}: {error.message}" for error in caught.value.errors] == faults
