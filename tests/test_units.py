"""deploy/systemd as systemd itself reads it: units that hold, a score that stays, users, folders, rotation."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from icapd.config import load_config
from icapd.options import Listen
from tests.server.working import Load, until
from tests.serving import serving

UNITS = Path(__file__).parents[1] / "deploy" / "systemd"
DROP_INS = sorted((UNITS / "drop-ins").glob("*.conf"))
# Tenths of `systemd-analyze security`; the drop-ins that open something may cost this much.
MOST = {"network-of-children": 16}
SCORE = 13

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def unit(text: str) -> configparser.RawConfigParser:
    """Read a unit file's sections; of a key that is there twice, the last."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def service() -> str:
    return (UNITS / "icapd.service").read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with programs that are here, so that nothing but they can be at fault."""
    text = re.sub(r"(?m)^(Exec\w+)=/usr/bin/icapd", r"\1=/bin/true", service())
    (tmp_path / "icapd.service").write_text(re.sub(r"(?m)^Documentation=.*\n", "", text))
    text = (UNITS / "icapd.socket").read_text()
    (tmp_path / "icapd.socket").write_text(re.sub(r"(?m)^Documentation=.*\n", "", text))
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_systemd
def test_systemd_finds_no_fault_in_the_units(installed: Path) -> None:
    done = analyze(
        "verify", str(installed / "icapd.service"), str(installed / "icapd.socket"), folder=installed
    )
    assert "icapd" not in done.stderr + done.stdout
    assert done.returncode == 0


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path.stem if path else "none")
def test_the_score_of_its_exposure_stays(installed: Path, drop_in: Path | None) -> None:
    most = SCORE
    if drop_in is not None:
        (installed / "icapd.service.d").mkdir()
        shutil.copy(drop_in, installed / "icapd.service.d")
        most = MOST.get(drop_in.stem, SCORE)
    file = str(installed / "icapd.service")
    done = analyze("security", "--offline=yes", f"--threshold={most}", "--no-pager", file, folder=installed)
    print(done.stdout.rstrip().rpartition("\n")[2])
    assert done.returncode == 0, done.stdout


def test_the_units_and_the_configuration_fit_together(tmp_path: Path) -> None:
    """The socket's name, the port Squid asks, the time a drain takes, the folders."""
    (tmp_path / "icapd.yaml").write_text('listen: ["systemd:icap"]\npolicy: p\n')
    config = load_config(tmp_path / "icapd.yaml")
    socket, of_service = unit((UNITS / "icapd.socket").read_text()), unit(service())
    assert config.listen == (
        Listen("icap", "127.0.0.1", 1344, "systemd:icap", socket["Socket"]["FileDescriptorName"]),
    )
    assert config.squid.icap == f"icap://{socket['Socket']['ListenStream']}"
    assert int(of_service["Service"]["TimeoutStopSec"]) > config.limits.drain + 10
    assert "squid.service" in of_service["Unit"]["Before"]
    assert of_service["Service"]["Type"] == "notify"
    reloads = re.findall(r"^ExecReload=(.*)$", service(), re.MULTILINE)
    assert reloads == ["/usr/bin/icapd check --quiet --no-squid", "/bin/sh -c 'kill -HUP $MAINPID'"]


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.stem)
def test_a_drop_in_says_where_it_goes_and_what_it_is_for(drop_in: Path) -> None:
    text = drop_in.read_text()
    assert text.startswith("# ")
    assert f"/etc/systemd/system/icapd.service.d/{drop_in.name}" in text
    assert "Service" in unit(text).sections()


def test_what_the_drop_ins_say_of_icapd_yaml_loads(tmp_path: Path) -> None:
    text = (
        'listen: ["systemd:icap", "systemd+icaps:icaps"]\npolicy: p\n'
        "tls: {certificate: credential:tls-certificate, key: credential:tls-key}\n"
        "users:\n  ldap: {url: ldaps://dc, user_base: dc=a, bind_dn: cn=a, password_file: credential:ldap-password}\n"
    )
    (tmp_path / "icapd.yaml").write_text(text)
    assert len(load_config(tmp_path / "icapd.yaml").listen) == 2
    shown = "".join(path.read_text() for path in DROP_INS)
    for name in re.findall(r"credential:([\w-]+)", text):
        assert f"LoadCredential={name}:/etc/icapd/credentials/{name}\n" in shown


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to write as others")
def test_the_user_and_the_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for _ in range(2):
        users = ["systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.conf")]
        done = subprocess.run(users, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    accounts = (tmp_path / "etc" / "passwd").read_text().splitlines()
    [account] = [line for line in accounts if line.startswith("icapd:")]
    assert account.endswith(":ICAP web filter:/nonexistent:/usr/sbin/nologin")
    folders = ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(UNITS / "tmpfiles.conf")]
    done = subprocess.run(folders, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc" / "icapd" / "credentials").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_logrotate_itself_loses_nothing_under_load(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    state = ["logrotate", "--state", str(tmp_path / "state"), "--force"]
    text = (UNITS / "logrotate.conf").read_text()
    text = re.sub(r"(?m)^ *(su|create|compress|delaycompress)\b.*\n", "", text)
    with serving(tmp_path, options={"decisions": "logs/decisions.log"}) as served:
        told = re.sub(r"(?m)^ *\[ ! -d .*$", f"kill -USR1 {served.pid}", text.split("# To copy")[0])
        assert "kill -USR1" in told
        (tmp_path / "rotate.conf").write_text(told.replace("/var/log/icapd", str(logs)))
        (tmp_path / "rotate.conf").chmod(0o644)
        with Load(served.icap, clients=4, pause=0.0005) as load:
            for count in range(1, 6):
                until(lambda: (logs / "decisions.log").stat().st_size > 0)  # what is empty is not rotated
                done = subprocess.run(
                    [*state, str(tmp_path / "rotate.conf")], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr
                until((logs / "decisions.log").exists)
                assert len(list(logs.glob("decisions.log.*"))) == count
    lines = [line for file in logs.glob("decisions.log*") for line in file.read_text().splitlines()]
    print(f"{len(load.answered)} requests over 5 runs of logrotate")
    assert load.failed == []
    records = [json.loads(line) for line in lines]
    assert sorted(record["url"] for record in records if "event" not in record) == sorted(load.answered)
