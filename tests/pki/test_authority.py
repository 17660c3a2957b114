"""The bump CA's life, and what is found about it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from icapd.errors import IcapdError
from icapd.pki import (
    CERTGEN,
    BumpCa,
    database_findings,
    findings,
    make_bump_ca,
    make_certgen_db,
    make_intermediate,
    make_root,
    make_server_certificate,
    next_of,
    read_certificate,
    renew,
    switch,
    trusted_of,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make(directory: Path, days: int = 1825, **options: object) -> BumpCa:
    return make_bump_ca(directory / "ca", name="Test", now=NOW, days=days, key="ec", **options)  # type: ignore[arg-type]


def under_root(directory: Path, days: int = 365) -> BumpCa:
    ca = BumpCa(directory / "ca/bump.pem", directory / "ca/bump.crt")
    root = make_root(ca.pem, name="Root", now=NOW, key="ec")
    return make_intermediate(ca, name="Inner", now=NOW, days=days, root=root.pem, key="ec")


def texts(ca: BumpCa, now: datetime) -> list[str]:
    return [f"{one.level}: {one.text.removeprefix(f'{ca.pem}: ')}" for one in findings(ca.pem, now)]


@pytest.mark.parametrize(
    ("left", "expected"), [(91, []), (89, ["warning: ends in 89 days"]), (0, ["error: expired"])]
)
def test_the_end_is_told_in_time_for_all_clients(tmp_path: Path, left: int, expected: list[str]) -> None:
    ca = make(tmp_path)
    found = texts(ca, NOW + timedelta(days=1825 - left))
    assert [text.partition(";")[0] for text in found] == expected


def test_under_a_root_a_month_is_enough(tmp_path: Path) -> None:
    ca = under_root(tmp_path)
    assert texts(ca, NOW + timedelta(days=365 - 31)) == []
    [text] = texts(ca, NOW + timedelta(days=365 - 29))
    assert "clients need nothing new" in text


def test_a_clock_that_is_behind_and_an_open_key(tmp_path: Path) -> None:
    ca = make(tmp_path)
    ca.pem.chmod(0o440)
    early, opened = texts(ca, NOW - timedelta(days=9))
    assert "is the clock right?" in early
    assert "others can read the key" in opened


def test_openssl_verifies_through_the_root_within_the_bounds(tmp_path: Path) -> None:
    ca = BumpCa(tmp_path / "ca/bump.pem", tmp_path / "ca/bump.crt")
    root = make_root(ca.pem, name="Root", now=NOW, key="ec")
    inner = make_intermediate(
        ca, name="Inner", now=NOW, days=365, root=root.pem, key="ec", permit=["example.com"]
    )
    for name, status in (("www.example.com", 0), ("www.example.org", 2), ("192.0.2.1", 2)):
        leaf = make_server_certificate(tmp_path / name, names=[name], now=NOW, days=30, issuer=inner)
        done = subprocess.run(
            ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", str(inner.certificate),
             "-untrusted", str(inner.pem), str(leaf.certificate)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert ("permitted subtree" in done.stderr or "excluded subtree" in done.stderr) is (status != 0)


def test_an_intermediate_ends_before_its_root(tmp_path: Path) -> None:
    root = make(tmp_path, days=100).pem
    ca = BumpCa(tmp_path / "in/bump.pem", tmp_path / "in/bump.crt")
    with pytest.raises(IcapdError, match="365 days at most, not 400"):
        make_intermediate(ca, name="Inner", now=NOW, days=400, root=root, key="ec")
    made = make_intermediate(ca, name="Inner", now=NOW, days=365, root=root, key="ec")
    assert read_certificate(made.pem).not_after == read_certificate(root).not_after


@pytest.mark.skipif(not CERTGEN.exists(), reason="needs squid-openssl")
def test_renewal_overlaps_and_destroys_nothing(tmp_path: Path) -> None:
    ca = make(tmp_path, permit=["example.com"])
    database = tmp_path / "db"
    make_certgen_db(database)
    before = {path.read_bytes() for path in (ca.pem, ca.certificate)}
    with pytest.raises(IcapdError, match=r"bump-next.pem: No such file"):
        switch(ca.pem, database, certgen=CERTGEN)
    made = renew(ca.pem, name="Next", now=NOW, days=900, key="ec", permit=())
    assert made == next_of(ca.pem)
    assert read_certificate(made.pem).permit == ("example.com",)
    assert {path.read_bytes() for path in (ca.pem, ca.certificate)} == before
    assert trusted_of(ca.pem) == (ca.certificate, made.certificate)
    with pytest.raises(IcapdError, match="no program that can be run"):
        switch(ca.pem, database, certgen=Path("/nonexistent"))
    assert {path.read_bytes() for path in (ca.pem, ca.certificate)} == before
    switch(ca.pem, database, certgen=CERTGEN)
    assert before <= {path.read_bytes() for path in (tmp_path / "ca").iterdir()}
    assert read_certificate(ca.pem).subject == "CN=Next"
    assert trusted_of(ca.pem) == (ca.certificate,)
    assert list(database_findings(database)) == []


def test_what_is_open_in_the_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "db/certs").mkdir(parents=True)
    (tmp_path / "db").chmod(0o755)
    (tmp_path / "db/certs").chmod(0o700)
    (tmp_path / "db/index.txt").touch()
    (tmp_path / "db/index.txt").chmod(0o644)
    found = [one.text.removeprefix(f"{tmp_path}/") for one in database_findings(tmp_path / "db")]
    assert found == [
        "db: others can read it (mode 0755); chmod 0700 it",
        "db/index.txt: others can read it (mode 0644); chmod 0600 it",
    ]
    assert list(database_findings(tmp_path / "none")) == []


READ = "import sys\ntry: print(open(sys.argv[1]).read(20))\nexcept OSError as error: print(error.errno)"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("opened", [0o700, 0o755], ids=["closed-directory", "open-directory"])
def test_the_user_that_icapd_runs_as_cannot_read_the_key(opened: int) -> None:
    with tempfile.TemporaryDirectory(prefix="icapd-ca-") as name:  # not pytest's own, which is closed itself
        Path(name).chmod(0o755)
        ca = make(Path(name))
        ca.pem.parent.chmod(opened)
        for path, said in (
            (ca.pem, "13"),
            (ca.certificate, "13" if opened == 0o700 else "-----BEGIN CERTIFICA"),
        ):
            done = subprocess.run(
                [sys.executable, "-I", "-c", READ, str(path)],
                capture_output=True, text=True, check=True, user=65534, group=65534, extra_groups=[],
            )  # fmt: skip
            assert done.stdout == f"{said}\n"
