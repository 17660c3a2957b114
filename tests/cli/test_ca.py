from __future__ import annotations

from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.pki import CERTGEN

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


def make(directory: Path, days: int = 10) -> None:
    from datetime import UTC, datetime

    from icapd.pki import make_bump_ca

    make_bump_ca(directory / "ca", name="Filter of Test", now=datetime.now(UTC), days=days, key="ec")


def test_show_finds_an_expired_ca_and_an_open_key(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(directory, days=0)
    (directory / "ca/bump.pem").chmod(0o644)
    assert run(directory, "show") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("expired; move it and the certificate database away, and make another")
    assert second.endswith("others can read the key; chmod 0400 it, or make another CA if they have")


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
