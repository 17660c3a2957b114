"""Golden fragments: icapd.yaml above the dashes, icapd.conf below; each is also read by the real Squid.

DIR stands for the directory of icapd.yaml, VERSION for icapd's. To accept a changed fragment after
reading the difference: ICAPD_GOLDEN=write pytest tests/squid/test_conf.py
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import icapd
from icapd.config import Config, SquidPort, load_config
from icapd.errors import ConfigError
from icapd.pki import make_bump_ca
from icapd.squid import parse_check, render_conf, squid_version, write_fragments
from tests.squid.lab import SQUID

CASES = sorted((Path(__file__).parents[1] / "golden" / "squid").glob("*.case"))
LINE = "----------\n"
DEBIAN = Path("/etc/squid/squid.conf")
needs_squid = pytest.mark.skipif(not Path(SQUID).exists(), reason="needs squid-openssl")
AROUND = """\
pid_filename none
access_log none
cache_log /dev/null
include {fragment}
"""


@pytest.fixture(params=CASES, ids=lambda case: case.stem)
def case(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def render(directory: Path, text: str) -> str:
    (directory / "icapd.yaml").write_text(text)
    return render_conf(load_config(directory / "icapd.yaml"), directory / "errors")


def test_the_fragment_is_the_golden_one(case: Path, tmp_path: Path) -> None:
    given, line, expected = case.read_text().partition(LINE)
    (tmp_path / "icapd.yaml").write_text(given)
    fragment, *_ = write_fragments(load_config(tmp_path / "icapd.yaml"), tmp_path / "out")
    text = fragment.read_text().replace(str(tmp_path), "DIR")
    text = text.replace(f"icapd {icapd.__version__}", "icapd VERSION")
    if os.environ.get("ICAPD_GOLDEN") == "write":
        case.write_text(given + line + text)
        expected = text
    assert text == expected


def complaints(conf: Path) -> list[str]:
    """What the Squid that is here complains of, but for options that only newer ones have."""
    newer = () if int(squid_version(SQUID).split(".")[0]) >= 6 else ("cache_log_message",)
    return [line for line in parse_check(conf, SQUID) if not any(option in line for option in newer)]


def whole(case: Path, directory: Path) -> Path:
    """Write the golden fragment, and what it refers to, into `directory`."""
    given, _, expected = case.read_text().partition(LINE)
    for stem in ("bump", "other"):
        make_bump_ca(directory / "ca", name=stem, now=datetime.now(UTC), days=1, key="ec", stem=stem)
    (directory / "pages").mkdir()
    (directory / "icapd.yaml").write_text(given)
    fragment, *_ = write_fragments(load_config(directory / "icapd.yaml"), directory / "out")
    fragment.write_text(expected.replace("DIR", str(directory)))
    return fragment


@needs_squid
def test_squid_takes_it_as_a_whole_configuration(case: Path, tmp_path: Path) -> None:
    (tmp_path / "squid.conf").write_text(AROUND.format(fragment=whole(case, tmp_path)))
    assert complaints(tmp_path / "squid.conf") == []


@needs_squid
@pytest.mark.skipif(
    not DEBIAN.exists() or "conf.d/*.conf" not in DEBIAN.read_text(), reason="needs Debian's squid.conf"
)
def test_squid_takes_it_where_debian_includes_it(case: Path, tmp_path: Path) -> None:
    fragment = whole(case, tmp_path)
    text = re.sub(r"(?m)^include /etc/squid/conf.d/\*.conf$", f"include {fragment}", DEBIAN.read_text())
    text = re.sub(r"(?m)^http_port 3128$", "", text)
    assert str(fragment) in text
    (tmp_path / "squid.conf").write_text(text)
    assert complaints(tmp_path / "squid.conf") == []


SMALLEST = "listen: [icap://127.0.0.1:1344]\npolicy: policy.yaml\n"


@pytest.mark.parametrize(
    ("squid", "message"),
    [
        (
            "version: 4.13",
            "squid: Squid 4.13 cannot carry a page into a tunnel; icapd writes for 5.7 and newer",
        ),
        ("clients: []", "squid: clients: empty, so nobody could use Squid"),
        ("icap: icap://127.0.0.1:0", "port that icapd will be given; name one"),
        ("ca: 'a$b.pem'", "squid.conf cannot hold '\\$'"),
        ("certgen: 'a`b'", "squid.conf cannot hold '`'"),
        ("ssl_db: 'a(b)'", r"squid.conf cannot hold '\('"),
        ("error_directory: a%b", "squid.conf cannot hold '%'"),
    ],
)
def test_what_squid_conf_cannot_hold_is_one_clear_line(squid: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "icapd.yaml").write_text(f"{SMALLEST}squid: {{{squid}}}\n")
    config = load_config(tmp_path / "icapd.yaml")
    with pytest.raises(ConfigError, match=message) as caught:
        render_conf(config, config.squid.error_directory or tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/icapd.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["a b", "a\nb", "a\tb", 'a"b', "a'b", "a#b", "a\\b", "a\x7fb", "a;b", "a{b"]
)
@pytest.mark.parametrize("option", ["ca", "certgen", "ssl_db", "origin_ca"])
def test_no_value_becomes_a_second_token_whatever_config_lets_through(
    option: str, value: str, tmp_path: Path
) -> None:
    render(tmp_path, SMALLEST)
    config = load_config(tmp_path / "icapd.yaml")
    settings = config.squid.model_copy(update={option: Path(value)})
    with pytest.raises(ConfigError, match=f"squid: {option} .* squid.conf cannot hold"):
        render_conf(config.model_copy(update={"squid": settings}), tmp_path)


def with_ports(config: Config, *ports: SquidPort) -> str:
    settings = config.squid.model_copy(update={"ports": ports})
    return render_conf(config.model_copy(update={"squid": settings}), Path("/errors"))


def test_only_what_the_ports_need_is_written(tmp_path: Path) -> None:
    render(tmp_path, SMALLEST)
    config = load_config(tmp_path / "icapd.yaml")
    plain = with_ports(config, SquidPort(address="[::1]:3128", bump=False))
    assert "ssl_bump " not in plain.replace("# Ports without ssl-bump have no ssl_bump rules", "")
    assert "sslcrtd" not in plain
    assert "acl icapd_plain localport 3128\n" in plain
    both = with_ports(config, SquidPort(address="3128", bump=True), SquidPort(address="3129", bump=False))
    assert "acl icapd_plain localport 3129\n" in both
    assert both.splitlines().count("ssl_bump bump all") == 1


def test_forged_marks_are_judged_before_any_other_access_line(tmp_path: Path) -> None:
    text = render(tmp_path, SMALLEST)
    access = [line for line in text.splitlines() if line.startswith("http_access ")]
    assert access[0] == "http_access deny icapd_forged"
    assert access[-1] == "http_access deny all"
    assert sum(line.startswith("http_access allow") for line in access) == 1
