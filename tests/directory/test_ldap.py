"""Groups from a real LDAP server (OpenLDAP), and what becomes of us when it is not one."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icapd.config import load_config
from icapd.directory.ldap import LdapQuery, escaped, filled
from tests.directory.ldap_server import GROUPS, PEOPLE, SLAPD, LdapServer, ldap_server

if TYPE_CHECKING:
    from collections.abc import Iterator

STAFF = [f"cn=staff,{GROUPS}", "staff", "corp.test/groups/staff"]
LAB = [f"cn=Research\\2C Lab,{GROUPS}", "Research, Lab", "corp.test/groups/Research, Lab"]
needs_slapd = pytest.mark.skipif(SLAPD is None, reason="needs slapd")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    with ldap_server(tmp_path_factory.mktemp("ldap")) as running:
        yield running


class Asked:
    """What tests.directory.ask printed: answers by order, and reports."""

    def __init__(self, output: str) -> None:
        lines = output.splitlines()
        self.answers: list[list[Any]] = [json.loads(line) for line in lines if line.startswith("[")]
        self.reports = [line for line in lines if not line.startswith("[")]
        self.groups = [answer[1] for answer in self.answers]
        self.seconds = [answer[2] for answer in self.answers]


def write(directory: Path, settings: dict[str, Any]) -> Path:
    file = directory / "icapd.yaml"
    document = {"listen": ["icap://127.0.0.1:0"], "policy": "p", "users": {"ldap": settings}}
    file.write_text(json.dumps(document))
    return file


def asked(directory: Path, settings: dict[str, Any], *steps: str) -> Asked:
    command = [sys.executable, "-m", "tests.directory.ask", str(write(directory, settings)), *steps]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Asked(done.stdout)


# -- answers -----------------------------------------------------------------------------------------


@needs_slapd
def test_groups_of_users(server: LdapServer, tmp_path: Path) -> None:
    steps = (
        "alice",
        "bob",
        "ALICE@CORP.TEST",
        "CORP\\alice",
        "lone",
        "nobody",
        "zoë (x)",
        "a*b",
        "*",
        "a)(uid=*",
    )
    found = asked(tmp_path, server.settings(), *steps)
    assert sorted(found.groups[1]) == sorted([*STAFF, *LAB])
    assert found.groups[0] == found.groups[2] == found.groups[3] == found.groups[6] == STAFF
    assert found.groups[4] == found.groups[5] == []
    assert found.groups[7][1] == "stars"
    assert found.groups[8:] == [[], []]  # a star and a bracket are letters of a name
    assert found.reports == []


@needs_slapd
@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_over_tls(server: LdapServer, tmp_path: Path, way: str) -> None:
    more: dict[str, Any] = {"ca": str(server.ca)}
    more |= {"url": f"ldaps://127.0.0.1:{server.tls_port}"} if way == "ldaps" else {"start_tls": True}
    found = asked(tmp_path, server.settings(**more), "alice", "bob")
    assert (found.groups[0], found.reports) == (STAFF, [])


@needs_slapd
@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
@pytest.mark.parametrize("wrong", ["ca", "name"])
def test_a_server_that_cannot_prove_itself_gets_no_password(
    server: LdapServer, tmp_path: Path, way: str, wrong: str
) -> None:
    host = "localhost" if wrong == "name" else "127.0.0.1"
    port = server.tls_port if way == "ldaps" else server.port
    more: dict[str, Any] = {"url": f"{'ldaps' if way == 'ldaps' else 'ldap'}://{host}:{port}"}
    more |= {"start_tls": way == "start_tls"} | ({"ca": str(server.ca)} if wrong == "name" else {})
    found = asked(tmp_path, server.settings(**more), "alice")
    assert found.groups == [None]
    (report,) = found.reports
    assert "certificate verify failed" in report or "match" in report or "Verification" in report


@needs_slapd
def test_one_user_is_asked_about_once_and_remembered(server: LdapServer, tmp_path: Path) -> None:
    found = asked(tmp_path, server.settings(), "alice+alice+Alice+bob", "alice", "~0.2", "ALICE")
    together = {user: groups for user, groups, _ in found.answers[:4]}
    assert together["alice"] == together["Alice"] == STAFF
    assert len(together["bob"]) == 6
    assert found.groups[4:] == [STAFF, STAFF]
    assert all(seconds < 0.05 for seconds in found.seconds[4:])


@needs_slapd
def test_many_users_at_once(server: LdapServer, tmp_path: Path) -> None:
    users = [f"user{n}" for n in range(150)]
    found = asked(tmp_path, server.settings(), "+".join([*users, "alice"]))
    assert {user: groups for user, groups, _ in found.answers} == {
        **{user: [] for user in users},
        "alice": STAFF,
    }


@needs_slapd
def test_a_user_who_is_two_is_in_doubt_and_nobody_else(server: LdapServer, tmp_path: Path) -> None:
    settings = server.settings(user_filter="(|(mail={user}@corp.test)(uid={user}))")
    found = asked(tmp_path, settings, "same", "alice", "same")
    assert found.groups == [None, STAFF, None]
    assert found.reports == ["user_filter finds more than one entry for 'same'"]


@needs_slapd
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"password_file": "wrong"}, "wrong bind_dn or password"),
        ({"user_base": "dc=else,dc=test"}, "no such entry: user_base or group_base is not there"),
        ({"group_base": f"ou=elsewhere,{GROUPS}"}, "it refers to another server, which is not followed"),
        ({"url": "ldap://127.0.0.1:1"}, "Connection refused"),
    ],
)
def test_what_is_wrong_is_said_once(
    server: LdapServer, tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    (tmp_path / "wrong").write_text("guess")
    (tmp_path / "wrong").chmod(0o600)
    found = asked(tmp_path, server.settings(**settings), "alice", "bob", "alice")
    assert found.groups == [None, None, None]
    (report,) = found.reports
    assert report.startswith("does not answer: ")
    assert why in report


# -- outages -----------------------------------------------------------------------------------------


@needs_slapd
def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """Its connection is lost between two questions; what is known serves on; of others nothing is known."""
    directory = tmp_path / "ldap"
    directory.mkdir()
    with ldap_server(directory) as first:
        settings = first.settings(ttl=0.1, negative_ttl=0.1)
        ports = (first.port, first.tls_port)
        command = [sys.executable, "-m", "tests.directory.ask", str(write(tmp_path, settings))]
        steps = ["alice", "~2", "alice", "bob", "~6", "bob"]
        process = subprocess.Popen(
            [*command, *steps], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert json.loads(line)[1] == STAFF
    rest = [process.stdout.readline() for _ in range(3)]
    with ldap_server(directory, ports=ports):
        out, _ = process.communicate(timeout=30)
    found = Asked("".join([*rest, out]))
    assert found.groups[:2] == [STAFF, None]
    assert len(found.groups[2]) == 6
    assert found.seconds[1] < 0.05
    assert [report.partition(":")[0] for report in found.reports] == ["does not answer", "answers again"]


def test_a_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = {"url": f"ldap://127.0.0.1:{port}", "user_base": PEOPLE, "timeout": 0.5}
        found = asked(tmp_path, settings, "alice+bob", "carol", "alice")
    assert found.groups == [None] * 4
    assert found.reports == ["does not answer: no answer in 0.5 s"]
    assert all(0.4 < seconds < 2 for seconds in found.seconds[:2])
    assert all(seconds < 0.05 for seconds in found.seconds[2:])


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x05\x02\x01\x63\x61\x00",
        b"\x00" * 50,
        b"\x30\x80",
    ],
)
def test_a_server_that_speaks_something_else(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(said)
                peer.settimeout(3)
                with contextlib.suppress(OSError):
                    peer.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        found = asked(tmp_path, {"url": url, "user_base": PEOPLE, "timeout": 1}, "alice", "bob")
        thread.join()
    assert found.groups == [None, None]


# -- filters -----------------------------------------------------------------------------------------


def test_a_value_stays_a_value() -> None:
    assert escaped("a*(b)\\\0 c") == "a\\2a\\28b\\29\\5c\\00\\20c"
    assert filled("(&(a={user})(b={login}))", {"user": "x)(y=*", "login": "{user}"}) == (
        "(&(a=x\\29\\28y\\3d\\2a)(b=\\7buser\\7d))"
    )


@pytest.mark.parametrize(
    "text", ["uid={user}", "(uid={user}", "(uid={user})(x=y)", "(&(uid={user})", "({user})"]
)
def test_a_filter_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, {"url": "ldap://127.0.0.1", "user_base": "", "user_filter": text})
    settings = load_config(file).users.ldap
    assert settings is not None
    with pytest.raises(ValueError, match="user_filter: no LDAP filter"):
        LdapQuery(settings, None)


def test_nested_groups_are_asked_for_in_active_directorys_way(tmp_path: Path) -> None:
    file = write(tmp_path, {"url": "ldap://127.0.0.1", "user_base": "", "nested": True})
    settings = load_config(file).users.ldap
    assert settings is not None
    assert LdapQuery(settings, None)._group_filter == "(member:1.2.840.113556.1.4.1941:={dn})"
