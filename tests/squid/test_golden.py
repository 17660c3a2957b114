"""Golden fragments: icapd.yaml above the dashes, icapd.conf below; each is also read by the real Squid.

DIR stands for the directory of icapd.yaml, VERSION for icapd's. To accept a changed fragment after
reading the difference: ICAPD_GOLDEN=write pytest tests/squid/test_golden.py
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import icapd
from icapd.config import load_config
from icapd.pki import make_bump_ca
from icapd.squid import parse_check, write_fragments

CASES = sorted((Path(__file__).parents[1] / "golden" / "squid").glob("*.case"))
LINE = "----------\n"
SQUID = "/usr/sbin/squid"
needs_squid = pytest.mark.skipif(not Path(SQUID).exists(), reason="needs squid")
AROUND = """\
pid_filename none
access_log none
cache_log /dev/null
include {fragment}
"""


def write(directory: Path, text: str) -> Path:
    (directory / "pages").mkdir(exist_ok=True)
    (directory / "icapd.yaml").write_text(text)
    fragment, *_ = write_fragments(load_config(directory / "icapd.yaml"), directory / "out")
    return fragment


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_fragment_is_the_golden_one(case: Path, tmp_path: Path) -> None:
    given, line, expected = case.read_text().partition(LINE)
    text = write(tmp_path, given).read_text()
    text = text.replace(str(tmp_path), "DIR").replace(f"icapd {icapd.__version__}", "icapd VERSION")
    if os.environ.get("ICAPD_GOLDEN") == "write":
        case.write_text(given + line + text)
    else:
        assert text == expected


@needs_squid
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_squid_has_nothing_to_say_about_it(case: Path, tmp_path: Path) -> None:
    given, _, expected = case.read_text().partition(LINE)
    for stem in ("bump", "other"):
        now = datetime.now(UTC)
        make_bump_ca(tmp_path / "ca", name=stem, now=now, days=1, key="ec", stem=stem)
    fragment = write(tmp_path, given)
    fragment.write_text(expected.replace("DIR", str(tmp_path)))
    (tmp_path / "squid.conf").write_text(AROUND.format(fragment=fragment))
    assert parse_check(tmp_path / "squid.conf") == []


@needs_squid
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_it_fits_where_debian_includes_it(case: Path, tmp_path: Path) -> None:
    debian = Path("/etc/squid/squid.conf")
    if not debian.exists() or "conf.d/*.conf" not in debian.read_text():
        pytest.skip("needs Debian's squid.conf")
    given, _, _ = case.read_text().partition(LINE)
    for stem in ("bump", "other"):
        make_bump_ca(tmp_path / "ca", name=stem, now=datetime.now(UTC), days=1, key="ec", stem=stem)
    fragment = write(tmp_path, given)
    text = re.sub(r"(?m)^include /etc/squid/conf.d/\*.conf$", f"include {fragment}", debian.read_text())
    text = re.sub(r"(?m)^http_port 3128$", "", text)
    assert str(fragment) in text
    (tmp_path / "squid.conf").write_text(text)
    assert parse_check(tmp_path / "squid.conf") == []


@needs_squid
def test_faults_that_squid_exits_0_for_are_seen(tmp_path: Path) -> None:
    make_bump_ca(tmp_path / "ca", name="bump", now=datetime.now(UTC), days=1, key="ec")
    fragment = write(tmp_path, CASES[0].read_text().partition(LINE)[0])
    (tmp_path / "squid.conf").write_text(
        AROUND.format(fragment=fragment) + 'acl lost dstdomain "/nonexistent/list"\nhttp_access deny lost\n'
    )
    assert any("/nonexistent/list" in line for line in parse_check(tmp_path / "squid.conf"))


def test_pages_are_written_beside_it_and_readable(tmp_path: Path) -> None:
    fragment = write(tmp_path, CASES[0].read_text().partition(LINE)[0])
    page = fragment.parent / "errors" / "ERR_ICAPD_BLOCK"
    assert page.read_text() == "@Squid{%'{X-Icapd-Page}adapt::<last_h}"
    assert [path.stat().st_mode & 0o777 for path in (fragment, page)] == [0o644, 0o644]
    assert not list(fragment.parent.rglob(".*"))


def test_writing_again_mends_and_keeps_own_pages(tmp_path: Path) -> None:
    given = CASES[0].read_text().partition(LINE)[0]
    fragment = write(tmp_path, given)
    own = fragment.parent / "errors" / "ERR_DNS_FAIL"
    own.unlink(missing_ok=True)
    own.write_text("ours")
    dead = fragment.parent / "errors" / "ERR_READ_ERROR"
    dead.unlink(missing_ok=True)
    dead.symlink_to(tmp_path / "gone")
    before = fragment.read_text()
    fragment.write_text("broken")
    assert write(tmp_path, given).read_text() == before
    assert own.read_text() == "ours"
    if Path("/usr/share/squid/errors/templates/ERR_READ_ERROR").exists():
        assert dead.exists()


def test_no_case_is_lost() -> None:
    assert len(CASES) >= 3
