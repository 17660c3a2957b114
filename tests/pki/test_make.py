from __future__ import annotations

import os
import pwd
import re
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from icapd.errors import IcapdError
from icapd.pki import (
    CERTGEN,
    BumpCa,
    KeyKind,
    check_bump_ca,
    make_bump_ca,
    make_certgen_db,
    make_server_certificate,
    read_certificate,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
needs_certgen = pytest.mark.skipif(not CERTGEN.exists(), reason="needs squid-openssl")


def make(directory: Path, **options: object) -> BumpCa:
    return make_bump_ca(directory / "ca", name="Test CA", now=NOW, key="ec", **options)  # type: ignore[arg-type]


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_a_bump_ca_is_private_and_openssl_accepts_it(key: KeyKind, tmp_path: Path) -> None:
    os.umask(old := os.umask(0))
    try:
        os.umask(0)
        ca = make_bump_ca(tmp_path / "a" / "ca", name="Schule \u00d6st", now=NOW, key=key)
    finally:
        os.umask(old)
    assert (mode(ca.pem), mode(ca.certificate), mode(ca.pem.parent)) == ("0400", "0444", "0700")
    text = ca.pem.read_text()
    assert text.startswith(ca.certificate.read_text())
    assert "PRIVATE KEY" in text
    assert "PRIVATE KEY" not in ca.certificate.read_text()
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-nameopt", "utf8", "-in", str(ca.pem)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for part in ("Schule \u00d6st", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign"):
        assert part in shown
    check_bump_ca(ca.pem)


def test_it_is_valid_at_once_and_for_the_days_asked(tmp_path: Path) -> None:
    facts = read_certificate(make(tmp_path, days=30).pem)
    assert (facts.not_before, facts.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=30))
    assert (facts.subject, facts.issuer, facts.is_ca, facts.key) == (
        "CN=Test CA",
        "CN=Test CA",
        True,
        "EC 256",
    )
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", facts.sha256)


@pytest.mark.parametrize("stays", ["bump.pem", "bump.crt"])
def test_a_ca_is_never_written_over(stays: str, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir(mode=0o700)
    (tmp_path / "ca" / stays).write_text("precious")
    with pytest.raises(IcapdError, match=rf"^\S+/{stays}: exists, and a CA is never written over"):
        make(tmp_path)
    assert [path.name for path in (tmp_path / "ca").iterdir()] == [stays]
    assert (tmp_path / "ca" / stays).read_text() == "precious"


def test_not_even_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir(mode=0o700)
    (tmp_path / "ca" / "bump.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IcapdError, match="exists"):
        make(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_an_existing_directory_keeps_its_mode_but_may_not_be_open_to_writers(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca").chmod(0o755)
    make(tmp_path)
    assert mode(tmp_path / "ca") == "0755"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(IcapdError, match="not a directory that only its owner can write to"):
        make_bump_ca(tmp_path / "open", name="x", now=NOW, key="ec")
    assert not list((tmp_path / "open").iterdir())


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_names_no_certificate_can_hold_are_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(IcapdError, match="1 to 64 characters"):
        make_bump_ca(tmp_path / "ca", name=name, now=NOW, key="ec")
    assert not (tmp_path / "ca").exists()


def test_a_server_certificate_serves_its_names_under_its_issuer(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = make_bump_ca(tmp_path / "ca", name="Origins", now=now, days=2, key="ec")
    made = make_server_certificate(
        tmp_path / "server", names=["www.test", "*.sub.test", "127.0.0.1", "::1"], now=now, issuer=ca
    )
    assert (mode(made.certificate), mode(made.key)) == ("0444", "0400")
    facts = read_certificate(made.certificate)
    assert (facts.subject, facts.issuer, facts.is_ca) == ("CN=www.test", "CN=Origins", False)
    for name in ("www.test", "a.sub.test", "127.0.0.1", "::1"):
        assert handshake(made.certificate, made.key, ca.certificate, name) is None
    assert "mismatch" in str(handshake(made.certificate, made.key, ca.certificate, "other.test"))


def handshake(certificate: Path, key: Path, trusted: Path, name: str) -> ssl.SSLError | None:
    """Let a strict client and a server with `certificate` meet in memory; return what the client objects to."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for end in ends * 4:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    return None


def test_a_server_certificate_needs_no_issuer_and_is_never_written_over(tmp_path: Path) -> None:
    made = make_server_certificate(tmp_path, names=["icap.test"], now=datetime.now(UTC))
    assert handshake(made.certificate, made.key, made.certificate, "icap.test") is None
    with pytest.raises(IcapdError, match=r"icap.test.key: exists"):
        make_server_certificate(tmp_path, names=["icap.test"], now=NOW)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        ("", "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key"),
    ],
)
def test_what_is_no_ca_is_one_line(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bump.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(IcapdError, match=rf"^{path}: {message}[^\n]*$"):
        check_bump_ca(path)


def test_a_key_without_its_certificate_or_with_another_is_found(tmp_path: Path) -> None:
    ca, other = make(tmp_path), make_bump_ca(tmp_path / "b", name="Other", now=NOW, key="ec")
    key = ca.pem.read_text().removeprefix(ca.certificate.read_text())
    mixed = tmp_path / "mixed.pem"
    mixed.write_text(key)
    with pytest.raises(IcapdError, match="holds no certificate"):
        check_bump_ca(mixed)
    mixed.write_text(other.certificate.read_text() + key)
    with pytest.raises(IcapdError, match="its key belongs to another certificate"):
        check_bump_ca(mixed)
    server = make_server_certificate(tmp_path / "s", names=["a.test"], now=NOW)
    mixed.write_text(server.certificate.read_text() + server.key.read_text())
    with pytest.raises(IcapdError, match="its certificate is not a CA's"):
        check_bump_ca(mixed)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_unreadable_key_is_one_line(tmp_path: Path) -> None:
    ca = make(tmp_path)
    for directory in (tmp_path, *tmp_path.parents[:3]):
        if directory.stat().st_uid == 0 and directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o055)
    code = (
        "import os, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\nimport icapd.pki\nfrom icapd.errors import IcapdError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"try: icapd.pki.check_bump_ca(Path({str(ca.pem)!r}))\n"
        "except IcapdError as error: print(error)\n"
    )
    done = subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("needs icapd's libraries outside of the virtual environment")
    assert done.stdout == f"{ca.pem}: Permission denied\n"


@needs_certgen
def test_the_certificate_database_is_squids_alone(tmp_path: Path) -> None:
    make_certgen_db(tmp_path / "run" / "ssl_db")
    paths = [tmp_path / "run" / "ssl_db", *(tmp_path / "run" / "ssl_db").rglob("*")]
    assert len(paths) > 2
    assert {mode(path) for path in paths if path.is_dir()} == {"0700"}
    assert {mode(path) for path in paths if path.is_file()} == {"0600"}
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in paths} == {pwd.getpwnam("proxy").pw_uid}
    with pytest.raises(IcapdError, match="ssl_db: exists"):
        make_certgen_db(tmp_path / "run" / "ssl_db")


def test_certgen_missing_or_failing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(IcapdError, match=r"^/nonexistent: No such file or directory; is Squid"):
        make_certgen_db(tmp_path / "db", certgen=Path("/nonexistent"))
    with pytest.raises(IcapdError, match="could not make .*/db: status 1$"):
        make_certgen_db(tmp_path / "db", certgen=Path("/bin/false"))
