from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from icapd.server.probes import HEADER, Probes
from tests.server.asking import reqmod
from tests.server.conftest import connected
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.server.site import Site

BLOCKED = "http://blocked.icapd-doctor.invalid/"


def ask(site: Site, url: str, *fields: str) -> bytes:
    protocol, link = connected(site)
    host = url.split("/")[2]
    protocol.dataReceived(
        reqmod(url, http=(f"Host: {host}", *fields), lines=("Allow: 204", "X-Client-IP: 10.0.0.1"))
    )
    return link.sent


def test_a_probe_is_decided_by_the_probes_policy_and_told(site: Site) -> None:
    token = site.probes.issue()
    probe = f"{HEADER}: {token}"
    assert b"HTTP/1.1 403" in ask(site, BLOCKED, probe)
    assert b"Location: https://here.icapd-doctor.invalid/?from=" in ask(
        site, "http://moved.icapd-doctor.invalid/", probe
    )
    assert b"ICAP/1.0 204" in ask(site, "http://bad.example/", probe)
    seen = site.probes.seen(token)
    assert seen is not None
    assert seen[0] == {"point": "reqmod", "request": f"GET {BLOCKED} HTTP/1.1", "x-client-ip": "10.0.0.1"}
    assert len(seen) == 3


def test_without_a_good_token_the_policy_decides(site: Site) -> None:
    assert b"ICAP/1.0 204" in ask(site, BLOCKED, f"{HEADER}: {'0' * 32}")
    token = site.probes.issue()
    for value in ("0" * 32, token[:-1], token + "0", ""):
        assert b"ICAP/1.0 204" in ask(site, BLOCKED, f"{HEADER}: {value}")
        assert b"HTTP/1.1 403" in ask(site, "http://bad.example/", f"{HEADER}: {value}")
    assert site.probes.seen(token) == []
    assert site.probes.seen("0" * 32) is None


def test_tokens_end_by_themselves_and_are_few() -> None:
    now = [0.0]
    probes = Probes(lambda: now[0])
    assert not probes.active
    tokens = [probes.issue() for _ in range(9)]
    assert probes.active
    assert probes.seen(tokens[0]) is None
    assert probes.seen(tokens[1]) == []
    now[0] = 121.0
    probes.forget()
    assert not probes.active
    assert probes.seen(tokens[8]) is None


def test_the_control_socket_gives_a_token_and_tells_what_was_seen(tmp_path: Path) -> None:
    def say(**request: str) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(10)
            asking.connect(str(tmp_path / "control.sock"))
            asking.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(asking.recv(65536))

    with serving(tmp_path, options={"control": "control.sock"}) as served:
        token = say(command="probe")["token"]
        with socket.create_connection(("127.0.0.1", served.icap), 10) as plain:
            plain.sendall(reqmod(BLOCKED, http=("Host: blocked.icapd-doctor.invalid", f"{HEADER}: {token}")))
            assert plain.recv(65536).startswith(b"ICAP/1.0 200")
        assert len(say(command="probed", token=token)["seen"]) == 1
        assert say(command="probed", token="x") == {"ok": False, "seen": []}
        assert not say(command="probed")["ok"]
