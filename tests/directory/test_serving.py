"""`icapd serve` with users of a file and of a real LDAP server, from the outside."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.directory.ldap_server import SLAPD, ldap_server
from tests.server.asking import Asking, reqmod
from tests.server.test_run import until
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {
    "bypass": [{"name": "lab", "when": {"group": ["Research, Lab"], "host": ["lab.example"]}}],
    "access": [
        {"name": "no staff", "when": {"group": ["STAFF"], "host": ["games.example"]}, "action": "block"},
        {
            "name": "vip only",
            "when": {"host": ["vip.example"]},
            "unless": [{"group": ["vip"]}],
            "action": "block",
        },
        {"name": "closed lab", "when": {"host": ["lab.example"]}, "action": "block"},
    ],
}


def status(peer: Asking, user: str, host: str) -> int:
    return peer.ask(
        reqmod(f"http://{host}/", http=(), lines=("Allow: 204", f"X-Client-Username: {user}"))
    ).status


@pytest.mark.skipif(SLAPD is None, reason="needs slapd")
def test_groups_of_ldap_and_of_a_file(tmp_path: Path) -> None:
    directory = tmp_path / "ldap"
    directory.mkdir()
    (tmp_path / "users.yaml").write_text("groups: {vip: [lone]}\n")
    with ldap_server(directory) as ldap:
        ldap_settings = ldap.settings(ttl="0.5", negative_ttl="0.5", stale="0", timeout="1")
        users = {"file": "users.yaml", "ldap": ldap_settings}
        with (
            serving(tmp_path, policy=POLICY, options={"users": users}) as running,
            Asking(running.icap) as peer,
        ):
            assert status(peer, "alice", "games.example") == 200
            assert status(peer, "alice@CORP.TEST", "games.example") == 200
            assert status(peer, "lone", "games.example") == 204
            assert status(peer, "bob", "lab.example") == 204
            assert status(peer, "alice", "lab.example") == 200
            assert status(peer, "lone", "vip.example") == 204
            assert status(peer, "alice", "vip.example") == 200
            tag = peer.ask(reqmod()).get("istag")
            (tmp_path / "users.yaml").write_text("groups: {vip: [alice]}\n")
            os.kill(running.pid, signal.SIGHUP)
            until(lambda: "reloaded: policy" in running.child.output())
            assert status(peer, "alice", "vip.example") == 204
            assert status(peer, "lone", "vip.example") == 200
            assert peer.ask(reqmod()).get("istag") != tag
            (tmp_path / "users.yaml").write_text("groups: [\n")
            os.kill(running.pid, signal.SIGHUP)
            until(lambda: "reload refused" in running.child.output())
            ldap.child.stop()
            until(lambda: status(peer, "lone", "games.example") == 200)  # in doubt: decided against him
            assert status(peer, "bob", "lab.example") == 200
            assert status(peer, "lone", "open.example") == 204
            assert status(peer, "-", "games.example") == 204
            output = running.child.output()
            assert output.count("does not answer") == 1
            assert "Traceback" not in output


def test_what_is_no_name_is_refused(tmp_path: Path) -> None:
    with (
        serving(tmp_path, options={"users": {"encoding": "base64"}}) as running,
        Asking(running.icap) as peer,
    ):
        request = reqmod(lines=("Allow: 204", "X-Client-Username: YWxpY2UNClgtQ2xpZW50LUlQOiAx"))
        assert peer.ask(request).status == 400
