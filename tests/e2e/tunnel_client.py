"""A client that opens one tunnel, or connects where the network intercepts it, and says only what it is told.

curl always sends an SNI that fits its URL; here the CONNECT's host, the SNI and the Host are apart.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Got:
    """What came: the CONNECT's status (0: none sent or answered), who signed the certificate, the answer."""

    connect: int = 0
    issuer: str = ""
    status: int = 0
    head: str = ""
    body: str = ""

    @property
    def location(self) -> str:
        """The Location field, or ""."""
        lines = self.head.split("\r\n")
        return next((line[10:] for line in lines if line.lower().startswith("location: ")), "")


def ask(
    place: tuple[str, int],
    *,
    connect: str | None,
    sni: str | None,
    host: str,
    said: bytes | None = None,
    source: str = "",
) -> Got:
    """Connect to `place`, open a tunnel to `connect` (HOST:PORT, None: no CONNECT), ask GET / of `host` inside.

    `source` is the address it comes from. `said` is sent as it is in place of TLS. Whatever ends the connection early leaves the rest empty.
    """
    got = Got()
    with contextlib.suppress(OSError), socket.socket() as plain:
        plain.settimeout(_SECONDS)
        if source:
            plain.bind((source, 0))
        plain.connect(place)
        if connect is not None:
            plain.sendall(f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}\r\n\r\n".encode())
            head = plain.recv(65536).decode("latin-1")
            got = Got(connect=_status(head))
            if got.connect != 200:
                return got
        if said is not None:
            plain.sendall(said)
            plain.shutdown(socket.SHUT_WR)
            return Got(got.connect, body=_rest(plain).decode("latin-1"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # who signed is looked at, not whether it is trusted
        with context.wrap_socket(plain, server_hostname=sni) as secure:
            got = Got(got.connect, _issuer(secure.getpeercert(binary_form=True) or b""))
            request = (
                f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nSec-Fetch-Dest: document\r\n\r\n"
            )
            secure.sendall(request.encode())
            head, _, body = _rest(secure).decode("utf-8", "replace").partition("\r\n\r\n")
            got = Got(got.connect, got.issuer, _status(head), head, body)
    return got


def _rest(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            data += piece
    return data


def _status(head: str) -> int:
    words = head.split(" ", 2)
    return int(words[1]) if head.startswith("HTTP/") and len(words) > 1 and words[1].isdigit() else 0


def _issuer(certificate: bytes) -> str:
    names = x509.load_der_x509_certificate(certificate).issuer.get_attributes_for_oid(
        x509.NameOID.COMMON_NAME
    )
    return str(names[0].value) if names else ""
