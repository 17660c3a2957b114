"""Clients that do not accept the certificate that a proxy shows them, each in a way of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

LOCALHOST = "127.0.0.1"


def _tunnel(proxy: int, host: str, port: int, source: str) -> socket.socket:
    connection = socket.create_connection((LOCALHOST, proxy), 10, (source, 0))
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert b" 200 " in connection.recv(4096)
    return connection


def refuse(proxy: int, host: str, port: int, *, source: str = LOCALHOST, newest: bool = True) -> None:
    """Trust other CAs only, as a pinned program does: the alert is sent by OpenSSL."""
    context = ssl.create_default_context()
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with _tunnel(proxy, host, port, source) as connection, contextlib.suppress(ssl.SSLCertVerificationError):
        context.wrap_socket(connection, server_hostname=host)
        raise AssertionError("accepted")


def leave(proxy: int, host: str, port: int, *, alert: int | None = None, source: str = LOCALHOST) -> None:
    """Read the certificate, then send `alert` or nothing, and close."""
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    with _tunnel(proxy, host, port, source) as connection:
        connection.sendall(outgoing.read())
        connection.recv(65536)
        time.sleep(0.05)
        if alert is not None:
            connection.sendall(bytes([21, 3, 3, 0, 2, 2, alert]))


def accept(
    proxy: int, host: str, port: int, *, trust: str | None = None, source: str = LOCALHOST, ask: bool = True
) -> None:
    """Complete the handshake, trusting `trust` (anything without), and ask for a page, or close."""
    context = ssl.create_default_context(cafile=trust)
    if trust is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        _tunnel(proxy, host, port, source) as connection,
        context.wrap_socket(connection, server_hostname=host) as tls,
    ):
        if ask:
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            while tls.recv(65536):
                pass
