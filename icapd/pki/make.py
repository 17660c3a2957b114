"""Certificates icapd makes: the CA that Squid signs decrypted sites with, and those of servers.

Time is passed in. Private files are created with their final mode, never opened wider first, and
nothing is ever written over: a CA that clients trust is not replaced by accident.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from collections.abc import Sequence

KeyKind = Literal["rsa", "ec"]
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_BACKDATED = timedelta(days=1)  # clients whose clock is behind trust it at once
_RSA_BITS = 3072
_MAX_NAME = 64  # X.520 upper bound of a common name
SQUID_USER = "proxy"
CERTGEN = Path("/usr/lib/squid/security_file_certgen")


@dataclass(frozen=True, slots=True)
class BumpCa:
    """The CA of decrypted sites: `pem` holds certificate and key, for Squid; `certificate` is public."""

    pem: Path
    certificate: Path


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A server's certificate and its private key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is worth showing of a certificate; `sha256` as browsers print it, AA:BB:…, `key` as "RSA 3072".

    `permit` are the domains it may sign for, () if there is no bound.
    """

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str
    key: str
    is_ca: bool
    pem: str
    permit: tuple[str, ...] = ()


def make_bump_ca(
    directory: Path,
    *,
    name: str,
    now: datetime,
    days: int = 1825,
    key: KeyKind = "rsa",
    stem: str = "bump",
    permit: Sequence[str] = (),
) -> BumpCa:
    """Make `directory`/STEM.pem (certificate and key, 0400) and STEM.crt (0444) for CA `name`.

    `directory` is created 0700; an existing one keeps its mode, since it may be others'. `now` has
    a zone. `permit`: domains that it may sign for, with what is below them; all if there is none.
    Raises IcapdError if either file exists, cannot be written, or `name` is not 1-64 characters.
    """
    paths = BumpCa(directory / f"{stem}.pem", directory / f"{stem}.crt")
    for path in (paths.pem, paths.certificate):
        if path.exists() or path.is_symlink():
            raise IcapdError(f"{path}: exists, and a CA is never written over; move it away to make another")
    private = new_key(key)
    subject = subject_name(name)
    builder = begin_certificate(subject, private, now, days, issuer=(private, subject))
    builder = as_authority(builder, depth=0, permit=permit)
    certificate = as_pem(builder.sign(private, hashes.SHA256()))
    make_directory(directory)
    create_file(paths.pem, certificate + private_pem(private), 0o400)
    create_file(paths.certificate, certificate, 0o444)
    return paths


def make_server_certificate(
    directory: Path,
    *,
    names: Sequence[str],
    now: datetime,
    days: int = 397,
    issuer: BumpCa | None = None,
    key: KeyKind = "ec",
) -> ServerCertificate:
    """Make `directory`/NAME.crt (0444) and NAME.key (0400) for host names and addresses `names`.

    Signed by `issuer`, by itself without one; 397 days are the most that browsers accept. NAME is
    the first of `names`. Raises IcapdError if a file exists or cannot be written, or the issuer's
    cannot be read.
    """
    stem = names[0].replace("*", "any").replace(":", "_")
    paths = ServerCertificate(directory / f"{stem}.crt", directory / f"{stem}.key")
    private = new_key(key)
    subject = subject_name(names[0][:_MAX_NAME])
    signer, signer_name = (private, subject) if issuer is None else read_issuer(issuer.pem)
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    builder = begin_certificate(subject, private, now, days, issuer=(signer, signer_name))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(alternatives, critical=False)
    make_directory(directory)
    create_file(paths.key, private_pem(private), 0o400)
    create_file(paths.certificate, as_pem(builder.sign(signer, hashes.SHA256())), 0o444)
    return paths


def make_certgen_db(directory: Path, *, certgen: Path = CERTGEN) -> None:
    """Make Squid's database of generated certificates, for its user alone (0700/0600).

    Squid's own program leaves it world-readable (0755 and 0644 in 5.7). As root, the owner becomes
    Squid's user. Raises IcapdError if it exists, the program is missing or fails.
    """
    if directory.exists() or directory.is_symlink():
        raise IcapdError(f"{directory}: exists; certificates in it may be another CA's: remove it first")
    _make_parents(directory.parent)
    command = [str(certgen), "-c", "-s", str(directory), "-M", "4MB"]  # as certificates.conf gives it
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise IcapdError(f"{certgen}: {error.strerror}; is Squid with OpenSSL installed?") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
        raise IcapdError(f"{certgen} could not make {directory}: {said}")
    user = _squid_user()
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if user is not None:
            shutil.chown(path, user.pw_uid, user.pw_gid)


def read_certificate(path: Path) -> CertificateFacts:
    """Read the first certificate of a PEM file. Raises IcapdError if it cannot be read or holds none."""
    certificate = load_certificate(path)
    public = certificate.public_key()
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        key=f"{'RSA' if isinstance(public, rsa.RSAPublicKey) else 'EC'} {getattr(public, 'key_size', '')}",
        is_ca=is_authority(certificate),
        pem=as_pem(certificate).decode("ascii"),
        permit=_permitted(certificate),
    )


def check_bump_ca(path: Path) -> None:
    """Raise IcapdError, one line, unless `path` holds a CA certificate and its private key."""
    key, _ = read_issuer(path)
    certificate = load_certificate(path)
    if not is_authority(certificate):
        raise IcapdError(f"{path}: its certificate is not a CA's")
    if key.public_key() != certificate.public_key():
        raise IcapdError(f"{path}: its key belongs to another certificate")


def new_key(kind: KeyKind) -> _Key:
    """Return a new private key."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def subject_name(common: str) -> x509.Name:
    """Return the name of a certificate. Raises IcapdError unless it has 1 to 64 characters."""
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    except ValueError:
        raise IcapdError(f"{common!r}: a certificate's name has 1 to {_MAX_NAME} characters") from None


def begin_certificate(
    subject: x509.Name,
    key: _Key,
    now: datetime,
    days: int,
    *,
    issuer: tuple[_Key, x509.Name],
    end: datetime | None = None,
) -> x509.CertificateBuilder:
    """Begin a certificate: what CAs' and servers' have in common."""
    public = key.public_key()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[0].public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1])
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end or now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
    )


def as_authority(
    builder: x509.CertificateBuilder, *, depth: int, permit: Sequence[str]
) -> x509.CertificateBuilder:
    """Make it a CA with `depth` others below it, for the domains of `permit` alone if there are any."""
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
    builder = builder.add_extension(key_usage(signs_certificates=True), critical=True)
    if not permit:
        return builder
    try:
        domains = [x509.DNSName(domain.lstrip(".")) for domain in permit]
    except ValueError:
        raise IcapdError(f"{', '.join(permit)}: not all are domains in ASCII (xn--…)") from None
    addresses = [x509.IPAddress(ipaddress.ip_network(each)) for each in ("0.0.0.0/0", "::/0")]
    return builder.add_extension(x509.NameConstraints(domains, addresses), critical=True)


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return the key usage of a CA, or of a server."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def read_issuer(path: Path) -> tuple[_Key, x509.Name]:
    """Return key and name of the CA in `path`."""
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise IcapdError(f"{path}: holds no private key in PEM form without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise IcapdError(f"{path}: its key is neither RSA nor EC")
    return key, load_certificate(path).subject


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file. Raises IcapdError."""
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise IcapdError(f"{path}: holds no certificate in PEM form") from None


def _permitted(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(str(name.value) for name in found.permitted_subtrees or ())


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is a CA's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IcapdError(f"{path}: {error.strerror}") from None


def as_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate in PEM form."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: _Key) -> bytes:
    """Return the key in PEM form, without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_directory(directory: Path) -> None:
    """Make `directory` for its owner alone; one that others may write to is no place for a key."""
    _make_parents(directory.parent)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if not directory.is_dir() or directory.stat().st_mode & 0o022:
            raise IcapdError(f"{directory}: not a directory that only its owner can write to") from None
    except OSError as error:
        raise IcapdError(f"{directory}: {error.strerror}") from None


def _make_parents(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IcapdError(f"{error.filename}: {error.strerror}") from None


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Write a new file that has `mode` from the first moment on."""
    try:
        opened, nameless = _opened(path, mode)
        with os.fdopen(opened, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(opened)
            if nameless:
                _name(opened, path)
    except FileExistsError:
        raise IcapdError(f"{path}: exists, and is never written over; move it away to make another") from None
    except OSError as error:
        raise IcapdError(f"{path}: {error.strerror}") from None


def _opened(path: Path, mode: int) -> tuple[int, bool]:
    """Open a new file; True if it gets its name when it is whole: a power cut leaves no half."""
    if not path.exists():
        with contextlib.suppress(OSError):  # not every file system can do that
            return os.open(path.parent, os.O_WRONLY | os.O_TMPFILE, mode), True
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), False


def _name(file: int, path: Path) -> None:
    """Give a nameless file its name, and see that both are on the disk."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:  # a dst_dir_fd, since only with one the link in /proc is followed
        os.link(f"/proc/self/fd/{file}", path.name, dst_dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)


def _squid_user() -> pwd.struct_passwd | None:
    """Squid's user, if files can be given to it."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SQUID_USER)
    except KeyError:
        return None
