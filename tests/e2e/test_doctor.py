"""`icapd doctor` on a lab that is well, and each probe on one that is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import icapd.demo.lab
from icapd.config import Config, load_config
from icapd.demo.lab import Lab, squid_program
from icapd.demo.plan import Plan, ProxyPort
from icapd.demo.site import Site, write_site
from icapd.doctor import Bench, Outcome, Where, bodies, examine, setup
from icapd.doctor.bodies import Eicar, Large
from icapd.doctor.icap import Options
from icapd.doctor.pages import Asked, Headers, Page, TunnelPage, TunnelRedirect
from icapd.doctor.safety import Admin, Forged, Loopback, WebSocket
from icapd.doctor.setup import Authority, Clock, Configuration, Database, Fragment, Version
from icapd.options import AdapterEntry
from icapd.pki import make_bump_ca
from tests.e2e.conftest import PASSWORDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from icapd.doctor.model import Probe
    from tests.clam import Clam

PLAN = Plan(
    policy="access: []\n",
    names=("open.lab.test",),
    # The doctor's names are nowhere; Squid shall not wait for a name server that is not there either.
    squid_lines="dns_timeout 200 milliseconds\ndns_retransmit_interval 100 milliseconds\n",
    options="control: run/control.sock\n",
)
BROKEN = (  # lines that the fragment loses
    "http_access deny icapd_forged",
    "adaptation_meta X-Icapd-Fragment 1 all",
    "http_access deny to_localhost !icapd_origins",
    "http_access deny manager",
    "adaptation_access icapd_resp allow all",
)


@contextmanager
def lab_of(plan: Plan, edit: Callable[[Site], object] = bool) -> Iterator[Lab]:
    """A lab whose files `edit` may change before its programs start."""
    directory = Path(tempfile.mkdtemp(prefix="icapd-doctor-"))

    def written(site: Site, context: ssl.SSLContext) -> None:
        write_site(site, context)
        edit(site)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(icapd.demo.lab, "write_site", written)
        try:
            with Lab(directory, plan, squid=squid_program()) as lab:
                yield lab
        finally:
            shutil.rmtree(directory)


def where(lab: Lab, credentials: str = "", **squid: object) -> Where:
    """`lab`, with options of `squid:` that are not so."""
    config = load_config(lab.site.config)
    config = config.model_copy(update={"squid": config.squid.model_copy(update=squid)})
    return Where(config, squid_program(), lab.site.squid_conf, credentials)


def look(probe: Probe, place: Where) -> Outcome:
    with Bench(place) as bench:
        assert bench.no_token == ""
        return probe.look(bench)


@pytest.fixture(scope="module")
def well(clam: Clam) -> Iterator[Lab]:
    plan = replace(PLAN, options=f"{PLAN.options}adapters: [{{clamd: {{socket: {clam.socket}}}}}]\n")
    with lab_of(plan) as lab:
        yield lab


@pytest.fixture(scope="module")
def ill() -> Iterator[Lab]:
    def edit(site: Site) -> None:
        fragment = site.directory / "squid" / "icapd.conf"
        lines = fragment.read_text().splitlines(keepends=True)
        kept = [line for line in lines if " ".join(line.split()) not in BROKEN]
        assert len(lines) - len(kept) == len(BROKEN)
        fragment.write_text("".join(kept) + "http_upgrade_request_protocols websocket allow all\n")

    with lab_of(PLAN, edit) as lab:
        yield lab


def doctor(lab: Lab, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "icapd", "doctor", "-c", str(lab.site.config)]
    command += ["--squid-conf", str(lab.site.squid_conf), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_lab_that_is_well_has_a_line_for_each_probe_and_no_fault(well: Lab) -> None:
    before = {path: path.read_bytes() for path in well.site.directory.glob("*.*")}
    done = doctor(well)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    # The lab's CA is for 30 days, and is told so.
    assert [line.split()[0] for line in lines if line.split()[1] != "CA"] == ["ok"] * 20, done.stdout
    assert done.returncode == 1
    assert done.stderr == ""
    assert "EICAR                 blocked" in done.stdout
    assert "come whole, through the scan" in done.stdout
    assert {path: path.read_bytes() for path in well.site.directory.glob("*.*")} == before


def test_the_same_as_one_object(well: Lab) -> None:
    told = json.loads(doctor(well, "--json").stdout)
    assert told["status"] == 1
    assert {result["level"] for result in told["results"]} == {"ok", "warning"}
    assert all(set(result) == {"name", "did", "level", "text", "mend"} for result in told["results"])
    assert all(bool(result["mend"]) == (result["level"] != "ok") for result in told["results"])


@pytest.mark.parametrize(
    ("probe", "level", "text"),
    [
        (Forged(), "fault", "Squid takes X-Icapd-Verdict from a client"),
        (Headers(), "fault", "does not use icapd's fragment"),
        (TunnelPage(), "fault", "CONNECT is answered 403"),
        (TunnelRedirect(), "fault", "CONNECT is answered 302"),
        (Loopback(), "fault", "any client reaches 127.0.0.1 of Squid's machine"),
        (Admin(), "warning", "it answers to this machine"),
        (Asked(), "fault", "Squid does not ask icapd about responses"),
        (WebSocket(), "warning", "Squid hands upgrades on"),
        (Fragment(), "warning", "is not what icapd.yaml says now"),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_what_a_damaged_fragment_lets_through_is_told(ill: Lab, probe: Probe, level: str, text: str) -> None:
    outcome = look(probe, where(ill))
    assert (outcome.level, text in outcome.text) == (level, True), outcome
    assert outcome.mend


def test_a_client_that_squid_does_not_name() -> None:
    def edit(site: Site) -> None:
        fragment = site.directory / "squid" / "icapd.conf"
        text = fragment.read_text().replace("adaptation_send_client_ip on", "adaptation_send_client_ip off")
        fragment.write_text(text)

    with lab_of(PLAN, edit) as lab:
        assert "no X-Client-IP" in look(Headers(), where(lab)).text


def test_users_whose_header_has_another_name() -> None:
    def edit(site: Site) -> None:
        passwords = site.directory / "passwords.sh"
        passwords.write_text(PASSWORDS)
        passwords.chmod(0o755)

    lines = (
        "auth_param basic program $directory/passwords.sh\nauth_param basic children 1 startup=1\n"
        "acl named proxy_auth REQUIRED\nhttp_access deny !named\nicap_client_username_header X-Who\n"
    )
    with lab_of(replace(PLAN, squid_lines=PLAN.squid_lines + lines), edit) as lab:
        assert look(Page(), where(lab)).text == "Squid asks for a name and a password"
        outcome = look(Headers(), where(lab, "alice:secret"))
        assert outcome.text == "Squid does not tell the user's name in X-Client-Username"
        assert look(Page(), where(lab, "alice:secret")).level == "ok"


def test_another_ca_than_squids_and_one_that_is_over(well: Lab, tmp_path: Path) -> None:
    other = make_bump_ca(tmp_path / "other", name="other", now=datetime.now(UTC), days=1000, key="ec")
    assert look(TunnelPage(), where(well, ca=other.pem)).text.startswith("certificate not trusted")
    assert look(Authority(), where(well, ca=other.pem)).level == "ok"
    old = make_bump_ca(tmp_path / "old", name="old", now=datetime(2020, 1, 1, tzinfo=UTC), days=1, key="ec")
    outcome = look(Authority(), where(well, ca=old.pem))
    assert (outcome.level, outcome.mend) == ("fault", "`icapd ca renew`, then `icapd ca switch`")


def test_squids_files(well: Lab, tmp_path: Path) -> None:
    assert look(Database(), where(well, ssl_db=tmp_path / "none")).level == "fault"
    (tmp_path / "db").mkdir(mode=0o755)
    assert "others can read it" in look(Database(), where(well, ssl_db=tmp_path / "db")).text
    conf = tmp_path / "squid.conf"
    conf.write_text("http_prt 3128\n")
    place = replace(where(well), squid_conf=conf)
    assert "unrecognized: 'http_prt'" in look(Configuration(), place).text
    assert "includes no file that icapd wrote" in look(Fragment(), place).text
    assert look(Configuration(), replace(place, squid=None)).level == "warning"


def test_a_squid_of_another_version_than_the_fragment_is_for(well: Lab) -> None:
    outcome = look(Version(), where(well, version="7.6"))
    assert outcome.level == "warning"
    assert "but icapd.yaml is for 7.6" in outcome.text


def test_a_clock_that_is_off(well: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    late = datetime.now(UTC) - timedelta(minutes=5)
    monkeypatch.setattr(setup, "options", lambda *_: Options(200, late))
    assert look(Clock(), where(well)).text.startswith("icapd's clock is off by 30")


def test_bodies_that_are_cut_and_not_scanned(well: Lab, ill: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    place = where(ill)
    adapters = (AdapterEntry.model_validate({"clamd": {}}),)
    config: Config = place.config.model_copy(update={"adapters": adapters})
    assert look(Eicar(), replace(place, config=config)).text == "it comes through clamd"
    monkeypatch.setattr(bodies, "large", lambda: b"more")
    assert look(Large(), where(well)).text == "1,000,000 of 1,000,000 bytes came: changed"


def test_without_icapd_or_squid_the_rest_is_not_looked_at() -> None:
    with lab_of(PLAN) as lab:
        lab.icapd.kill()
        results = {result.name: result for result in examine(where(lab))}
        assert results["icapd"].level == "fault"
        assert results["Squid"].level == "ok"
        assert results["block page"].text == "not looked at: icapd does not answer"
        assert results["loopback"].level == "ok"
        place = where(lab)
    results = {result.name: result for result in examine(place)}
    assert results["Squid"].level == "fault"
    assert results["loopback"].text == "not looked at: Squid does not answer"


def test_without_a_control_socket_the_rest_is_not_looked_at(well: Lab) -> None:
    place = where(well)
    config: Config = place.config.model_copy(update={"control": None})
    results = {result.name: result for result in examine(replace(place, config=config))}
    assert results["block page"].text.endswith("names no `control` socket")
    assert results["block page"].mend.startswith("control: PATH in icapd.yaml")
    assert results["loopback"].level == "ok"
    none = config.model_copy(update={"control": Path("/nonexistent")})
    results = {result.name: result for result in examine(replace(place, config=none))}
    assert "No such file" in results["block page"].text


def test_a_port_with_plain_connects_only() -> None:
    with lab_of(replace(PLAN, proxy_ports=(ProxyPort("plain", bump=False),))) as lab:
        levels = {result.name: result.level for result in examine(where(lab))}
        assert set(levels.values()) == {"ok"}, levels
