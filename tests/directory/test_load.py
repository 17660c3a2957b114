"""What icapd.yaml names of users is read before anything is served, and every fault is said."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from icapd.config import load_config
from icapd.directory import Directory, load_directory
from icapd.errors import ConfigErrors
from icapd.policy import load_policy

if TYPE_CHECKING:
    from pathlib import Path

LDAP = {"url": "ldap://127.0.0.1", "user_base": "dc=corp"}


def load(directory: Path, **users: Any) -> Directory:
    (directory / "policy.yaml").write_text("access: []\n")
    document = {"listen": ["icap://127.0.0.1:0"], "policy": "policy.yaml", "users": users}
    (directory / "icapd.yaml").write_text(json.dumps(document))
    config = load_config(directory / "icapd.yaml")
    return load_directory(config, load_policy(config.policy))


def faults(directory: Path, **users: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(directory, **users)
    return [str(error).replace(str(directory), "DIR") for error in caught.value.errors]


def test_nothing_is_there_by_default(tmp_path: Path) -> None:
    directory = load(tmp_path)
    assert (directory.asked, directory.static.digest, directory._lookups) == (False, "", None)


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    settings = {**LDAP, "bind_dn": "cn=a", "password_file": "secret"}
    for mode, good in ((0o600, True), (0o400, True), (0o640, False), (0o604, False)):
        secret.chmod(mode)
        if good:
            assert load(tmp_path, ldap=settings)._lookups is not None
        else:
            said = f"DIR/secret: may be read by others (mode {mode:04o}): chmod 600 it"
            assert faults(tmp_path, ldap=settings) == [said]


def test_a_credential_of_systemd_s_may_show_the_right_of_one_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "ldap").write_text("x\n")
    settings = {**LDAP, "bind_dn": "cn=a", "password_file": "credential:ldap"}
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    for mode, good in ((0o440, True), (0o460, False), (0o444, False)):
        (given / "ldap").chmod(mode)
        if good:
            assert load(tmp_path, ldap=settings)._lookups is not None
        else:
            assert "may be read by others" in faults(tmp_path, ldap=settings)[0]


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff", b"x" * 5000])
def test_a_password_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    (tmp_path / "secret").chmod(0o600)
    (fault,) = faults(tmp_path, ldap={**LDAP, "bind_dn": "cn=a", "password_file": "secret"})
    assert fault.startswith("DIR/secret: ")


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "users.yaml").write_text("user: {}\n")
    settings = {**LDAP, "bind_dn": "cn=a", "password_file": "none", "user_filter": "uid={user}"}
    assert faults(tmp_path, file="users.yaml", ldap=settings) == [
        "DIR/icapd.yaml: users.ldap: user_filter: no LDAP filter (RFC 4515): uid={user}",
        "DIR/none: cannot be read: No such file or directory",
        "DIR/users.yaml:1: unknown key 'user'; did you mean 'users'?",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot read DIR/ca.pem: No such file or directory"),
        ("", "DIR/ca.pem holds no certificate in PEM form"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "DIR/ca.pem holds no certificate in PEM form",
        ),
    ],
)
def test_a_ca_that_is_none_is_named(tmp_path: Path, content: str | None, fault: str) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    settings = {**LDAP, "start_tls": "yes", "ca": "ca.pem"}
    assert faults(tmp_path, ldap=settings) == [f"DIR/icapd.yaml: users.ldap: {fault}"]


def test_without_the_extra_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "icapd.directory.ldap", raising=False)
    monkeypatch.setattr("icapd.directory.ldap", None, raising=False)
    monkeypatch.delattr("icapd.directory.ldap")
    monkeypatch.setitem(sys.modules, "ldaptor.ldapfilter", None)
    assert faults(tmp_path, ldap=LDAP) == [
        "DIR/icapd.yaml: users.ldap needs ldaptor: pip install 'icapd[ldap]'"
    ]
