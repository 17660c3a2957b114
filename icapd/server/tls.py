"""The TLS side of icaps://: certificate, key, and the CA whose clients alone may connect.

TLS from the first byte (RFC 3507 §7.2 leaves Upgrade optional; Squid speaks icaps:// only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions, TLSVersion

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.config import Config

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def server_context(config: Config) -> CertificateOptions:
    """Return the context factory of `tls:`; with `client_ca`, clients must show a certificate of it.

    Raises IcapdError naming the file that is missing, unreadable or no certificate.
    """
    tls = config.tls
    if tls is None:
        raise IcapdError("icaps:// needs `tls:` with certificate and key")
    chain = _certificates(tls.certificate)
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, _read(tls.key))
    except crypto.Error:
        raise IcapdError(f"{tls.key} holds no private key in PEM form") from None
    client_ca = None if tls.client_ca is None else _certificates(tls.client_ca)
    factory = CertificateOptions(
        privateKey=key,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        verify=client_ca is not None,
        caCerts=client_ca,
        requireCertificate=True,  # where it is verified
    )
    try:
        factory.getContext()
    except SSL.Error:
        raise IcapdError(f"{tls.key} is not the key of {tls.certificate}") from None
    return factory


def _certificates(path: Path) -> list[crypto.X509]:
    blocks = _read(path).split(_BEGIN)[1:]
    try:
        found = [crypto.load_certificate(crypto.FILETYPE_PEM, _BEGIN + block) for block in blocks]
    except crypto.Error:
        found = []
    if not found:
        raise IcapdError(f"{path} holds no certificate in PEM form")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise IcapdError(f"cannot read {path}: {failure.strerror}") from None
