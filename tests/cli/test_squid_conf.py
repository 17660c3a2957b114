from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.pki import make_bump_ca

needs_squid = pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="needs squid-openssl")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "icapd.yaml").write_text(
        "listen: [icap://127.0.0.1:1344]\npolicy: policy.yaml\nsquid: {ssl_db: db, certgen: /bin/true}\n"
    )
    return tmp_path


def run(directory: Path, *options: str) -> int:
    return main(
        ["squid-conf", "-c", str(directory / "icapd.yaml"), "--out", str(directory / "out"), *options]
    )


def prepare(directory: Path) -> None:
    """Give it what Squid needs besides the fragment."""
    make_bump_ca(directory / "ca", name="x", now=datetime.now(UTC), key="ec")
    (directory / "db").mkdir()


def test_it_prints_what_it_wrote_and_the_line_for_squid_conf(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(directory)
    assert run(directory) == 0
    out, err = capsys.readouterr()
    files = [Path(line) for line in out.splitlines()[:2]]
    assert files == [directory / "out/icapd.conf", directory / "out/errors/ERR_ICAPD_BLOCK"]
    assert all(file.is_file() for file in files)
    assert out.splitlines()[-1] == f"include {directory}/out/icapd.conf"
    assert err == ""


def test_it_says_what_squid_will_miss_but_writes(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(directory) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"icapd: {directory}/ca/bump.pem: missing (the bump CA; `icapd ca create` makes one)",
        f"icapd: {directory}/db: missing (certificate database; `icapd ca create` makes it)",
    ]


@needs_squid
def test_checked_it_writes_only_what_squid_accepts(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(directory, "--check") == 1
    assert not (directory / "out").exists()
    prepare(directory)
    assert run(directory, "--check") == 0
    text = (directory / "icapd.yaml").read_text()
    bad = text.replace("{ssl_db: db, ", "{ssl_db: db, ports: [{address: 'nowhere.invalid:3128'}], ")
    (directory / "icapd.yaml").write_text(bad)
    before = (directory / "out/icapd.conf").read_text()
    capsys.readouterr()
    assert run(directory, "--check") == 1
    assert "Squid says: " in capsys.readouterr().err
    assert (directory / "out/icapd.conf").read_text() == before


@pytest.mark.parametrize("option", ["certgen", "origin_ca", "icap_ca"])
def test_what_squid_itself_would_not_miss_in_time_is_told(
    option: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(directory)
    text = (
        (directory / "icapd.yaml")
        .read_text()
        .replace("{ssl_db: db, certgen: /bin/true}", f"{{ssl_db: db, {option}: /nonexistent}}")
    )
    (directory / "icapd.yaml").write_text(text)
    assert run(directory, "--check") == 1
    assert capsys.readouterr().err.startswith("icapd: /nonexistent: ")


def test_a_missing_squid_is_one_line(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(directory)
    assert run(directory, "--check", "--squid", "/nonexistent") == 1
    assert capsys.readouterr().err.startswith("icapd: /nonexistent: No such file or directory; is Squid")
    assert not (directory / "out").exists()


def test_a_fragment_of_others_is_not_written_over_unless_forced(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(directory)
    (directory / "out").mkdir()
    theirs = directory / "out/icapd.conf"
    theirs.write_text("http_access allow all\n")
    assert run(directory) == 1
    assert capsys.readouterr().err == f"icapd: {theirs}: not written by icapd; --force writes over it\n"
    assert theirs.read_text() == "http_access allow all\n"
    assert run(directory, "--force") == 0
    assert theirs.read_text().startswith("# Written by icapd")


def test_an_unwritable_place_is_one_line(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(directory)
    (directory / "out").write_text("")
    assert run(directory) != 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_it_tells_where_pages_must_be_copied(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(directory)
    text = (
        (directory / "icapd.yaml")
        .read_text()
        .replace("{ssl_db: db, ", "{ssl_db: db, error_directory: pages, ")
    )
    (directory / "icapd.yaml").write_text(text)
    assert run(directory) == 0
    assert f"error pages in {directory}/pages: copy {directory}/out/errors there" in capsys.readouterr().out


def test_a_value_squid_conf_cannot_hold_is_a_configuration_error(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (directory / "icapd.yaml").read_text().replace("ssl_db: db", "ssl_db: 'd`b'")
    (directory / "icapd.yaml").write_text(text)
    assert run(directory) == 2
    assert "squid.conf cannot hold '`'" in capsys.readouterr().err
