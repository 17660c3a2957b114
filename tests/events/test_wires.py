"""What keeps a wire from being used is said in words; what the ways to a receiver do is in test_syslog.py."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from icapd.events import wires
from icapd.events.wires import Datagrams, Stream, reason_of, tls_context
from tests.certificates import make_certificate
from tests.rsyslog import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def quiet(stalled: bool) -> None:
    """Nobody is told."""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_octets_are_counted_until_the_other_machine_has_them(server: socket.socket) -> None:
    stream = Stream("127.0.0.1", server.getsockname()[1], None, quiet)
    other, _ = server.accept()
    stream.send([b"<1>1 a", "é".encode()])
    assert other.recv(100) == b"6 <1>1 a2 \xc3\xa9"
    assert stream.acknowledged() == stream.sent == 12
    threading.Timer(0.05, other.close).start()
    assert stream.finish()


def test_who_does_not_close_has_not_read_all(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "FINISH", 0.1)
    stream = Stream("127.0.0.1", server.getsockname()[1], None, quiet)
    with server.accept()[0]:
        stream.send([b"x"])
        assert not stream.finish()


def test_a_receiver_that_went_is_noticed_without_sending(server: socket.socket) -> None:
    stream = Stream("127.0.0.1", server.getsockname()[1], None, quiet)
    server.accept()[0].close()
    until(lambda: bool(stream._ready(1, 0.0)), "its end does not come")
    with pytest.raises(ConnectionError, match="the receiver has closed the connection"):
        stream.look()
    stream.close()


def test_who_takes_nothing_is_told_of_until_he_does(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_STALL", 0.0)
    told: list[bool] = []
    stream = Stream("127.0.0.1", server.getsockname()[1], None, told.append)
    other, _ = server.accept()
    sending = threading.Thread(target=stream.send, args=([b"x" * 8000] * 2000,))
    sending.start()
    while not told:
        sending.join(0.01)
    left = 2000 * len(b"8000 " + b"x" * 8000)
    while left:
        left -= len(other.recv(1 << 20))
    sending.join()
    other.close()
    stream.close()
    assert told[0] is True
    assert told[-1] is False


def test_who_answers_nothing_any_more_is_given_up(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_DEAD", -1.0)
    stream = Stream("127.0.0.1", server.getsockname()[1], None, quiet)
    with server.accept()[0], pytest.raises(TimeoutError):
        stream.send([b"x" * 8000] * 2000)
    stream.close()


def test_datagrams_that_nobody_takes_are_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        datagrams = Datagrams("127.0.0.1", port)
        datagrams.send([b"a", b"b"])
        assert [one.recv(10) for _ in range(2)] == [b"a", b"b"]
    again = Datagrams("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        again.send([b"c"])
    again.close()
    assert datagrams.finish()


def test_a_datagram_that_is_too_long_is_counted() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        datagrams = Datagrams("127.0.0.1", one.getsockname()[1])
        datagrams.send([b"x" * 70_000, b"y"])
        assert one.recv(10) == b"y"
        assert datagrams.dropped == 1
        datagrams.close()


def test_nothing_older_than_tls_1_2_is_spoken(server: socket.socket, tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    context = tls_context(chain, chain, key)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(chain, key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    def serve() -> None:
        with server.accept()[0] as other, pytest.raises(ssl.SSLError):
            old.wrap_socket(other, server_side=True)

    serving = threading.Thread(target=serve)
    serving.start()
    with pytest.raises(ssl.SSLError) as caught:
        Stream("127.0.0.1", server.getsockname()[1], context, quiet)
    serving.join()
    assert "version" in reason_of(caught.value)


def test_who_does_not_speak_tls_is_given_up(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "CONNECT", 0.2)
    context = tls_context(make_certificate(tmp_path)[0], None, None)
    with pytest.raises(TimeoutError) as caught:
        Stream("127.0.0.1", server.getsockname()[1], context, quiet)
    assert reason_of(caught.value) == "no answer to the handshake of TLS"


@pytest.mark.parametrize("name", ["ca", "certificate", "key"])
def test_files_that_do_not_serve_are_refused(name: str, tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    files = {"ca": chain, "certificate": chain, "key": key, name: bad}
    with pytest.raises(ssl.SSLError):
        tls_context(**files)


def test_why_it_failed_is_said_in_words() -> None:
    assert reason_of(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert reason_of(socket.gaierror(-2, "Name or service not known")) == (
        "its name is not found: Name or service not known"
    )
