"""icaps://: who is let in, how it ends, and what is said of files that will not do."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import ssl
import time
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.server.tls import server_context
from tests.certificates import make_certificate
from tests.server.asking import Asking, answers, options, reqmod, respmod
from tests.server.conftest import POLICY
from tests.server.test_sending import stuff
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTEN = ["icaps://127.0.0.1:0"]
FILES = {"certificate": "server.pem", "key": "server.key"}  # in `directory`
LIMITS = {"head": "1", "body": "2", "linger": "1", "drain": "1", "connections": "3"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """server.pem, server.key; client.pem, client.key of another CA: itself."""
    directory = tmp_path_factory.mktemp("tls")
    make_certificate(directory)
    for old, new in (("server.pem", "client.pem"), ("server.key", "client.key")):
        (directory / old).rename(directory / new)
    make_certificate(directory)
    (directory / "torn.pem").write_bytes((directory / "server.pem").read_bytes()[:200])
    key = serialization.load_pem_private_key((directory / "server.key").read_bytes(), None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret"))
    (directory / "locked.key").write_bytes(locked)
    return directory


@pytest.fixture(scope="module")
def served(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"listen": LISTEN, "tls": absolute(directory, FILES), "limits": LIMITS}
    with serving(tmp_path_factory.mktemp("icapd"), policy=POLICY, options=settings) as running:
        yield running


def absolute(directory: Path, files: dict[str, str]) -> dict[str, str]:
    return {name: str(directory / file) for name, file in files.items()}


@pytest.fixture
def trust(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / "server.pem"))


def test_it_answers_and_goes_on(served: Served, trust: ssl.SSLContext) -> None:
    with Asking(served.icaps, tls=trust) as peer:
        assert peer.ask(options(), "OPTIONS").status == 200
        assert peer.ask(reqmod()).status == 204
        blocked = peer.ask(reqmod("http://bad.example/"))
        assert blocked.http_head is not None
        assert blocked.http_head.startswith(b"HTTP/1.1 403 ")


def test_old_tls_is_refused(served: Served, trust: ssl.SSLContext) -> None:
    trust.set_ciphers("ALL:@SECLEVEL=0")
    trust.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trust.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        Asking(served.icaps, tls=trust)


def test_an_error_is_read_whole_and_the_close_is_orderly_and_prompt(
    served: Served, trust: ssl.SSLContext
) -> None:
    with Asking(served.icaps, tls=trust) as peer:
        peer.socket.sendall(reqmod().replace(b"/reqmod", b"/nowhere"))
        begin = time.monotonic()
        (answer,) = answers(peer.rest(), "REQMOD")
        assert (answer.status, answer.get("connection")) == (404, "close")
        assert time.monotonic() - begin < 0.8  # not by the linger deadline, which would reset it


def echoed(peer: ssl.SSLSocket, request: bytes, late: float) -> bytes:
    """Send, and after `late` seconds also read, to the last-chunk; one thread, since `ssl` takes no two."""
    peer.setblocking(False)
    rest, data = memoryview(request), bytearray()
    begin = time.monotonic()
    while not data.endswith(b"\r\n0\r\n\r\n"):
        reads = time.monotonic() - begin > late
        select.select([peer] if reads else [], [peer] if rest else [], [], 0.05)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if rest:
                rest = rest[peer.send(rest[:65536]) :]
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while reads:
                more = peer.recv(1024 * 1024)
                assert more
                data += more
    return bytes(data)


def test_a_large_echo_is_intact(served: Served, trust: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 80_000  # 20 MB
    with Asking(served.icaps, tls=trust) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        request = respmod(lines=(), body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        data = echoed(peer.socket, request, late=0.5)  # the server must hold back
    (answer,) = answers(data, "RESPMOD")
    assert answer.body == body


def test_a_reader_that_stops_is_cut(served: Served, trust: ssl.SSLContext) -> None:
    with Asking(served.icaps, tls=trust) as peer:
        stuff(peer)
        time.sleep(
            6
        )  # it may be one that sends all it has before it reads: that is taken as long as it comes
        peer.socket.settimeout(5)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            peer.socket.sendall(b"x" * 10_000_000)


def test_a_handshake_has_no_more_time_than_a_head(served: Served) -> None:
    with Asking(served.icaps) as peer:
        begin = time.monotonic()
        peer.socket.settimeout(6)
        with contextlib.suppress(ConnectionResetError):
            assert peer.socket.recv(1) == b""
        assert 0.9 < time.monotonic() - begin < 5


def test_a_connection_idle_behind_its_handshake_stays(served: Served, trust: ssl.SSLContext) -> None:
    with Asking(served.icaps, tls=trust) as peer:
        time.sleep(2)
        assert peer.ask(options(), "OPTIONS").status == 200


def test_one_connection_too_many_is_told_so(served: Served, trust: ssl.SSLContext) -> None:
    time.sleep(0.3)  # the last tests' connections are gone
    peers = [Asking(served.icaps, tls=trust) for _ in range(4)]
    (answer,) = answers(peers[3].rest(), "OPTIONS")
    assert answer.status == 503
    for peer in peers:
        peer.socket.close()


def test_plain_icap_at_the_tls_port_costs_nothing(served: Served, trust: ssl.SSLContext) -> None:
    with Asking(served.icaps) as peer:
        peer.socket.sendall(options())
        with contextlib.suppress(ConnectionResetError):
            while peer.socket.recv(1000):
                pass
    with Asking(served.icaps, tls=trust) as peer:
        assert peer.ask(options(), "OPTIONS").status == 200
    assert "Traceback" not in served.child.output()


def test_only_clients_with_a_certificate_of_client_ca_are_served(
    directory: Path, tmp_path: Path, trust: ssl.SSLContext
) -> None:
    files = absolute(directory, FILES | {"client_ca": "client.pem"})
    settings = {"listen": LISTEN, "tls": files}
    with serving(tmp_path, options=settings) as running:
        with pytest.raises(
            (ssl.SSLError, ConnectionError, AssertionError)
        ):  # TLS 1.3 tells at the first read
            Asking(running.icaps, tls=trust).ask(options(), "OPTIONS")
        trust.load_cert_chain(directory / "server.pem", directory / "server.key")
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            Asking(running.icaps, tls=trust).ask(options(), "OPTIONS")
        good = ssl.create_default_context(cafile=str(directory / "server.pem"))
        good.load_cert_chain(directory / "client.pem", directory / "client.key")
        with Asking(running.icaps, tls=good) as peer:
            assert peer.ask(options(), "OPTIONS").status == 200
        assert "Traceback" not in running.child.output()


def test_a_peer_that_is_not_listed_never_gets_to_the_handshake(
    directory: Path, tmp_path: Path, trust: ssl.SSLContext
) -> None:
    settings = {"listen": LISTEN, "tls": absolute(directory, FILES), "peers": ["127.0.0.2"]}
    with serving(tmp_path, options=settings) as running:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Asking(running.icaps, tls=trust)
        assert "Traceback" not in running.child.output()


def test_sigterm_closes_idle_connections_in_order(
    directory: Path, tmp_path: Path, trust: ssl.SSLContext
) -> None:
    settings = {"listen": LISTEN, "tls": absolute(directory, FILES), "limits": {"drain": "20"}}
    with serving(tmp_path, options=settings) as running, Asking(running.icaps, tls=trust) as peer:
        assert peer.ask(options(), "OPTIONS").status == 200
        os.kill(running.pid, signal.SIGTERM)
        assert peer.rest() == b""
        peer.socket.close()
        assert running.child.process.wait(5) == 0
        assert "cut" not in running.child.output()


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (
            {"certificate": "none.pem", "key": "server.key"},
            "cannot read DIR/none.pem: No such file or directory",
        ),
        (
            {"certificate": "server.pem", "key": "none.key"},
            "cannot read DIR/none.key: No such file or directory",
        ),
        (
            {"certificate": "server.pem", "key": "client.key"},
            "DIR/client.key is not the key of DIR/server.pem",
        ),
        (
            {"certificate": "server.pem", "key": "server.pem"},
            "DIR/server.pem holds no private key in PEM form",
        ),
        (
            {"certificate": "server.key", "key": "server.key"},
            "DIR/server.key holds no certificate in PEM form",
        ),
        (FILES | {"client_ca": "server.key"}, "DIR/server.key holds no certificate in PEM form"),
        ({"certificate": "torn.pem", "key": "server.key"}, "DIR/torn.pem holds no certificate in PEM form"),
        (
            {"certificate": "server.pem", "key": "locked.key"},
            "DIR/locked.key holds no private key in PEM form",
        ),
    ],
)
def test_a_file_that_will_not_do_is_named_in_one_line(
    directory: Path, tls: dict[str, str], message: str
) -> None:
    lines = "".join(f"  {name}: {value}\n" for name, value in tls.items())
    text = f'listen: ["icaps://127.0.0.1:0"]\npolicy: policy.yaml\ntls:\n{lines}'
    (directory / "icapd.yaml").write_text(text)
    with pytest.raises(IcapdError) as caught:
        server_context(load_config(directory / "icapd.yaml"))
    assert str(caught.value).replace(str(directory), "DIR") == message
    assert caught.value.exit_status in {1, 2}
