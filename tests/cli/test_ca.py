from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.pki import CERTGEN, make_bump_ca, make_root, read_certificate

needs_certgen = pytest.mark.skipif(not CERTGEN.exists(), reason="needs squid-openssl")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "icapd.yaml").write_text(
        "listen: [icap://127.0.0.1:1344]\npolicy: policy.yaml\nsquid: {ssl_db: db}\n"
    )
    return tmp_path


def run(directory: Path, command: str, *options: str) -> int:
    return main(["ca", command, "-c", str(directory / "icapd.yaml"), *options])


def create(directory: Path, *options: str) -> int:
    return run(directory, "create", "--key", "ec", *options)


@needs_certgen
def test_create_makes_ca_and_database_once(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(directory) == 0
    made = [Path(line) for line in capsys.readouterr().out.splitlines()[:3]]
    assert made == [directory / "ca/bump.pem", directory / "ca/bump.crt", directory / "db"]
    assert [f"{path.stat().st_mode & 0o777:o}" for path in made] == ["400", "444", "700"]
    before = made[0].read_bytes()
    assert create(directory) == 1
    assert capsys.readouterr().err == (
        f"icapd: {made[0]}: exists, and a CA is never written over; nothing done\n"
    )
    assert made[0].read_bytes() == before


@needs_certgen
def test_create_adds_a_missing_database_but_no_ca_to_a_database(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create(directory) == 0
    before = (directory / "ca/bump.pem").read_bytes()
    for path in sorted((directory / "db").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (directory / "db").rmdir()
    assert create(directory) == 0
    assert "bump.pem (kept)" in capsys.readouterr().out
    assert (directory / "ca/bump.pem").read_bytes() == before
    (directory / "ca/bump.pem").unlink()
    assert create(directory) == 1
    assert "remove it, it is another CA's" in capsys.readouterr().err
    assert not (directory / "ca/bump.pem").exists()


def test_show_tells_name_dates_fingerprint_and_how_to_trust_it(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(directory)
    assert run(directory, "show") == 0
    out = capsys.readouterr().out
    for part in ("subject      CN=Filter of Test", "key          EC 256", "not after    ", "SHA-256      "):
        assert part in out
    for system in ("Debian", "Windows", "macOS", "Firefox", "Chromium"):
        assert system in out
    assert run(directory, "show", "--pem") == 0
    out = capsys.readouterr().out
    assert out == (directory / "ca/bump.crt").read_text()
    assert "PRIVATE" not in out


def make(directory: Path, days: int = 100) -> None:
    make_bump_ca(directory / "ca", name="Filter of Test", now=datetime.now(UTC), days=days, key="ec")


def test_show_finds_an_expired_ca_and_an_open_key(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(directory, days=0)
    (directory / "ca/bump.pem").chmod(0o644)
    assert run(directory, "show") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("expired; `icapd ca renew`, then `icapd ca switch`")
    assert second.endswith("others can read the key; chmod 0400 it, or make another CA if they have")


@needs_certgen
def test_an_intermediate_is_made_with_its_root(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(directory, "--intermediate", "--permit", "example.com", "--permit", "example.org") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{directory}/ca/bump-root.pem (root: needed to renew only;")
    root, inner = (read_certificate(directory / f"ca/{name}") for name in ("bump-root.pem", "bump.pem"))
    assert (inner.issuer, inner.permit) == (root.subject, ("example.com", "example.org"))
    assert (inner.not_after - datetime.now(UTC)).days in {364, 365}
    assert (directory / "ca/bump.crt").read_text() == root.pem
    assert run(directory, "show") == 0
    out = capsys.readouterr().out
    assert "signs for    example.com, example.org" in out
    assert "signed by, and trusted by clients as:" in out
    # its successor needs nothing of the clients, and keeps its bounds
    assert run(directory, "renew", "--key", "ec") == 0
    assert "clients trust its root already" in capsys.readouterr().out
    assert run(directory, "switch") == 0
    after = read_certificate(directory / "ca/bump.pem")
    assert (after.issuer, after.permit) == (root.subject, inner.permit)
    assert after.sha256 != inner.sha256
    assert (directory / "ca/bump.crt").read_text() == root.pem


@needs_certgen
def test_an_intermediate_under_a_root_of_ones_own(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_root(directory / "firm/firm.pem", name="Firm", now=datetime.now(UTC), key="ec")
    assert create(directory, "--root", str(root.pem)) == 0
    assert read_certificate(directory / "ca/bump.pem").issuer == "CN=Firm"
    assert not (directory / "ca/bump-root.pem").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--intermediate", "--days", "366"), "an intermediate is for 365 days at most, not 366"),
        (("--root", "/nonexistent.pem"), "/nonexistent.pem: No such file or directory"),
        (("--permit", "b\u00fccher.example"), "not all are domains in ASCII"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    directory: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert create(directory, *options) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (directory / "ca/bump.pem").exists()
    assert not (directory / "db").exists()


@needs_certgen
def test_a_successor_is_made_beside_exported_with_it_and_switched_to(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create(directory, "--days", "80") == 0
    old = read_certificate(directory / "ca/bump.pem")
    capsys.readouterr()
    assert run(directory, "show") == 0
    assert "days; `icapd ca renew` now" in capsys.readouterr().err
    assert run(directory, "renew", "--key", "ec") == 0
    assert "when they trust it: icapd ca switch" in capsys.readouterr().out.lower()
    assert read_certificate(directory / "ca/bump.pem").sha256 == old.sha256
    new = read_certificate(directory / "ca/bump-next.pem")
    assert run(directory, "export") == 0
    assert capsys.readouterr().out == old.pem + new.pem
    assert run(directory, "show") == 0
    assert "when all clients trust its successor" in capsys.readouterr().err
    assert run(directory, "renew", "--key", "ec") == 1
    assert "bump-next.pem: exists" in capsys.readouterr().err
    (directory / "db/mark").touch()
    assert run(directory, "switch") == 0
    out = capsys.readouterr().out
    until = f"{old.not_after:%Y-%m-%d}"
    assert f"{directory}/ca/bump-until-{until}.pem (kept)" in out
    assert f"{directory}/db-until-{until} (kept)" in out
    assert read_certificate(directory / "ca/bump.pem").sha256 == new.sha256
    assert read_certificate(directory / f"ca/bump-until-{until}.pem").sha256 == old.sha256
    assert (directory / f"db-until-{until}/mark").exists()
    assert not (directory / "db/mark").exists()
    assert run(directory, "switch") == 1
    assert "bump-next.pem: No such file" in capsys.readouterr().err


def test_export_writes_a_new_file_in_each_form(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(directory)
    for form, begins in (
        ("pem", b"-----BEGIN CERTIFICATE-----"),
        ("der", b"0\x82"),
        ("mobileconfig", b"<?xml"),
        ("install", b"<!doctype html>"),
    ):
        out = directory / f"trust.{form}"
        assert run(directory, "export", "--format", form, "--out", str(out)) == 0
        assert capsys.readouterr().out == f"{out}\n"
        data = out.read_bytes()
        assert data.startswith(begins)
        assert b"PRIVATE" not in data
        assert run(directory, "export", "--format", form, "--out", str(out)) == 1
        assert "exists" in capsys.readouterr().err
    assert run(directory, "export") == 0
    assert capsys.readouterr().out == (directory / "ca/bump.crt").read_text()


@pytest.mark.parametrize(
    ("squid", "message"),
    [
        ("{ssl_db: db, certgen: /nonexistent}", "/nonexistent: No such file or directory; is Squid"),
        ("{ssl_db: db, ca: ca/bump.crt}", "a CA made by icapd is called *.pem"),
        ("{ssl_db: db, ca: icapd.yaml/bump.pem}", "icapd.yaml"),
    ],
)
def test_what_goes_wrong_is_one_line(
    squid: str, message: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (directory / "icapd.yaml").read_text().replace("{ssl_db: db}", squid)
    (directory / "icapd.yaml").write_text(text)
    assert create(directory) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_missing_ca_is_one_line(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(directory, "show") == 1
    assert capsys.readouterr().err == f"icapd: {directory}/ca/bump.pem: No such file or directory\n"
