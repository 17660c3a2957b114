"""Where a client's groups come from: headers, the file, LDAP; and what doubt is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.accounts import IN_DOUBT
from icapd.directory import Directory, Pending, asks_groups
from icapd.directory.file import StaticGroups
from icapd.directory.lookups import Failed, Groups, Lookups, Terms
from icapd.policy import load_policy
from icapd.transaction import Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATIC = StaticGroups({"alice": ("vip",)})
ANSWERS: dict[str, Groups | Failed] = {"alice": ("staff",), "bob": Failed("down", outage=True)}


def answering(login: str, bare: str, done: Callable[[Groups | Failed], None]) -> None:
    assert login
    done(ANSWERS.get(bare, ()))


def lookups(query: Callable[..., None] = answering) -> Lookups:
    return Lookups(query, Terms(100, 100, 100, 100), lambda: 0.0, lambda _what, _good: None)


def completed(
    directory: Directory, user: str | None, told: tuple[str, ...] | None = None
) -> tuple[str, ...] | None:
    client = Client(user=user, groups=told)
    assert directory.complete(client) is None
    return client.groups


def test_without_anybody_to_ask_all_are_in_no_group() -> None:
    assert completed(Directory(), "alice") == ()
    assert completed(Directory(), "alice", ("kids",)) == ("kids",)
    assert completed(Directory(), None) == ()


def test_the_file_adds_to_headers_and_to_ldap() -> None:
    assert completed(Directory(STATIC), "CORP\\alice", ("kids",)) == ("kids", "vip")
    assert completed(Directory(STATIC, (), lookups()), "alice@CORP") == ("vip", "staff")


def test_headers_that_tell_all_are_believed_and_nobody_is_asked() -> None:
    assert completed(Directory(STATIC, (), lookups()), "alice", ()) == ("vip",)


def test_ldap_resolves_the_doubt_of_headers() -> None:
    assert completed(Directory((StaticGroups()), (), lookups()), "alice", ("a", IN_DOUBT)) == ("a", "staff")
    assert completed(Directory(), "alice", ("a", IN_DOUBT)) == ("a", IN_DOUBT)


def test_what_ldap_cannot_tell_is_in_doubt_and_not_absent() -> None:
    directory = Directory(STATIC, (), lookups(), denies=True)
    client = Client(user="bob")
    assert directory.complete(client) is None
    assert client.groups == (IN_DOUBT,)
    assert directory.refuses(client)
    assert not Directory(STATIC, (), lookups()).refuses(client)


def test_only_the_realms_given_are_bare_names() -> None:
    directory = Directory(STATIC, ("CORP.TEST",), lookups())
    assert completed(directory, "alice@corp.test") == ("vip", "staff")
    assert completed(directory, "alice@partner.test") == ()


def test_a_question_under_way_is_waited_for() -> None:
    asked: list[Callable[[Groups | Failed], None]] = []
    directory = Directory(STATIC, (), lookups(lambda _login, _bare, done: asked.append(done)))
    client = Client(user="alice")
    pending = directory.complete(client)
    assert isinstance(pending, Pending)
    pending.then(lambda groups: directory.add(client, groups))
    asked[0](("staff",))
    assert client.groups == ("vip", "staff")


BLOCK = {"name": "r", "action": "block"}


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        ({"access": [{**BLOCK, "when": {"host": ["a.test"]}}]}, False),
        ({"access": [{**BLOCK, "when": {"group": ["a"]}}]}, True),
        ({"access": [{**BLOCK, "when": {"host": ["a.test"]}, "unless": [{"group": ["a"]}]}]}, True),
        ({"bypass": [{"name": "r", "when": {"group": ["a"]}}]}, True),
        ({"tls": [{"name": "r", "when": {"group": ["a"]}, "action": "splice"}]}, True),
        ({"workspaces": [{"name": "w", "when": {"group": ["a"]}, "access": []}]}, True),
    ],
)
def test_groups_are_asked_for_only_if_a_rule_needs_them(tmp_path: Path, policy: object, asks: bool) -> None:
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    assert asks_groups(load_policy(tmp_path / "policy.yaml")) is asks
