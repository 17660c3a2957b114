from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.pki import make_bump_ca
from icapd.squid import check_fragment, parse_check, squid_version

needs_squid = pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="needs squid-openssl")
GOOD = "http_port 127.0.0.1:3128\npid_filename none\naccess_log none\ncache_log /dev/null\n"


@needs_squid
@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('acl lost dstdomain "/nonexistent/list"\nhttp_access deny lost\n', "/nonexistent/list"),
        ("icap_service_failure_limt -1\n", "unrecognized: 'icap_service_failure_limt'"),
        ("http_access deny nobody\n", "nobody"),
        ("http_port banana\n", "Bungled"),
    ],
)
def test_squids_complaints_are_found_whatever_its_exit_status(
    lines: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "squid.conf").write_text(GOOD + lines)
    assert any(complaint in line for line in parse_check(tmp_path / "squid.conf"))


@needs_squid
def test_a_good_configuration_has_none_even_if_it_speaks_of_errors(tmp_path: Path) -> None:
    (tmp_path / "squid.conf").write_text(
        GOOD + "acl WARNING dstdomain ERROR.example\nhttp_access deny WARNING\n"
    )
    assert parse_check(tmp_path / "squid.conf") == []


def test_a_missing_squid_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(IcapdError, match=r"^/nonexistent/squid: No such file .*squid-openssl\)\?$"):
        parse_check(tmp_path / "squid.conf", "/nonexistent/squid")


def test_a_bare_failure_is_told(tmp_path: Path) -> None:
    squid = tmp_path / "squid"
    squid.write_text("#!/bin/sh\necho something odd\nexit 3\n")
    squid.chmod(0o755)
    assert parse_check(tmp_path / "c", str(squid)) == ["squid -k parse ended with status 3: something odd"]


def test_that_the_machine_has_no_name_is_no_complaint(tmp_path: Path) -> None:
    squid = tmp_path / "squid"
    told = (
        "2026/01/01 00:00:00| WARNING: 'vm' rDNS test failed: (0) No error.\n"
        "2026/01/01 00:00:00| WARNING: Could not determine this machines public hostname. Please configure one.\n"
        "2026/01/01 00:00:00| WARNING: another\n"
    )
    squid.write_text(f"#!/bin/sh\ncat <<'END'\n{told}END\n")
    squid.chmod(0o755)
    assert parse_check(tmp_path / "c", str(squid)) == ["WARNING: another"]


@needs_squid
def test_the_fragment_is_checked_without_being_written(tmp_path: Path) -> None:
    (tmp_path / "icapd.yaml").write_text(
        "listen: [icap://127.0.0.1:1344]\npolicy: p\nsquid: {error_directory: later}\n"
    )
    config = load_config(tmp_path / "icapd.yaml")
    assert any("bump.pem" in line for line in check_fragment(config))
    make_bump_ca(tmp_path / "ca", name="x", now=datetime.now(UTC), key="ec")
    assert check_fragment(config) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca", "icapd.yaml"]


@needs_squid
def test_the_installed_squid_tells_its_version() -> None:
    assert tuple(map(int, squid_version().split("."))) >= (5, 7)


@pytest.mark.parametrize(("says", "fault"), [("exit 0", "no version of Squid"), (None, "No such file")])
def test_what_is_no_squid_has_no_version(says: str | None, fault: str, tmp_path: Path) -> None:
    squid = tmp_path / "squid"
    if says is not None:
        squid.write_text(f"#!/bin/sh\n{says}\n")
        squid.chmod(0o755)
    with pytest.raises(IcapdError, match=fault):
        squid_version(str(squid))
