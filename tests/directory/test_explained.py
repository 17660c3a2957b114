"""`icapd explain` and `icapd check` know users as icapd.yaml names them; LDAP is not asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

POLICY = {"access": [{"name": "no kids", "when": {"group": ["kids"]}, "action": "block"}]}
ROOT = Path(__file__).parents[2]
LDAP = {"url": "ldap://127.0.0.1:1", "user_base": "dc=corp"}


def icapd(
    directory: Path, command: str, *arguments: str, users: dict[str, Any], text: str = ""
) -> subprocess.CompletedProcess[str]:
    (directory / "policy.yaml").write_text(json.dumps(POLICY))
    (directory / "users.yaml").write_text("groups: {kids: [carol]}\n")
    document = {"listen": ["icap://127.0.0.1:1344"], "policy": "policy.yaml", "users": users}
    (directory / "icapd.yaml").write_text(json.dumps(document))
    line = [sys.executable, "-m", "icapd", command, "-c", str(directory / "icapd.yaml"), *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, input=text, timeout=60, check=False)


def action(directory: Path, user: str, users: dict[str, Any], *options: str) -> str:
    done = icapd(
        directory, "explain", "--user", user, *options, "--json", "GET", "http://a.example/", users=users
    )
    assert done.stderr == ""
    result = json.loads(done.stdout)["action"]
    assert isinstance(result, str)
    return result


@pytest.mark.parametrize("encoding", ["auto", "raw", "base64"])
def test_groups_of_the_file(tmp_path: Path, encoding: str) -> None:
    users = {"file": "users.yaml", "encoding": encoding, "header": "X-User"}
    assert action(tmp_path, "carol@CORP.TEST", users) == "block"
    assert action(tmp_path, "dave", users) == "allow"
    assert action(tmp_path, "dave", users, "--group", "kids") == "block"


def test_what_ldap_would_say_is_in_doubt(tmp_path: Path) -> None:
    assert action(tmp_path, "dave", {"ldap": LDAP}) == "block"
    assert action(tmp_path, "dave", {"ldap": LDAP}, "--group", "staff") == "allow"


def test_a_batch_knows_them_too(tmp_path: Path) -> None:
    lines = [
        {"id": user, "method": "GET", "uri": "http://a.example/", "icap_headers": {"X-Client-Username": user}}
        for user in ("carol", "dave")
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = icapd(tmp_path, "explain", "--batch", users={"file": "users.yaml"}, text=text)
    assert [json.loads(line)["action"] for line in done.stdout.splitlines()] == ["block", "allow"]


def test_check_reads_what_users_names(tmp_path: Path) -> None:
    users = {"file": "none.yaml", "ldap": {**LDAP, "bind_dn": "cn=a", "password_file": "none"}}
    done = icapd(tmp_path, "check", users=users)
    assert done.returncode != 0
    assert f"{tmp_path}/none.yaml: error: cannot be read" in done.stdout + done.stderr
    assert f"{tmp_path}/none: error: cannot be read" in done.stdout + done.stderr
