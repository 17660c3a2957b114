"""What stands around the metrics: alerts, the dashboard, the page; held against a real icapd, promtool and Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icapd.demo.child import Child, free_ports
from icapd.metrics.families import FAMILIES
from tests import dashboard, metrics_page
from tests.certificates import make_certificate
from tests.clam import CLAMD
from tests.server.asking import Asking, chunks, reqmod, respmod
from tests.server.measuring import METRICS, get, metrics, port_of
from tests.server.working import told, until, working

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clam import Clam

ROOT = Path(__file__).parents[1]
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")
_NAME = re.compile(r"\bicapd_[a-z_]+")
_SERIES = re.compile(r"_(bucket|sum|count)$")


def names_in(text: str) -> set[str]:
    """Metrics that queries name; labels of icapd's own begin otherwise."""
    return {_SERIES.sub("", name) for name in _NAME.findall(re.sub(r"instance:icapd_\w+:\w+", "", text))}


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_and_their_tests() -> None:
    promtool("check", "rules", ALERTS)
    promtool("check", "config", ROOT / "deploy" / "prometheus" / "scrape.yml")
    promtool("test", "rules", ROOT / "tests" / "prometheus" / "alerts.yml")


def test_each_alert_has_its_tests() -> None:
    alerts = re.findall(r"alert: (\w+)", ALERTS.read_text())
    tested = (ROOT / "tests" / "prometheus" / "alerts.yml").read_text()
    for alert in alerts:
        assert f"name: {alert} fires" in tested
        assert f"name: {alert} does not" in tested


def test_the_page_has_all_metrics() -> None:
    assert metrics_page.PAGE.read_text() == metrics_page.page()


def test_the_dashboard_is_as_it_is_made_and_well_formed() -> None:
    text = dashboard.FILE.read_text()
    assert text == dashboard.dashboard()
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, clam: Clam) -> Iterator[int]:
    """An icapd that has something to tell of everything, and where it tells it."""
    directory = tmp_path_factory.mktemp("everything")
    certificate, key = make_certificate(directory)
    (directory / "ads.txt").write_text("ads.example\n")
    policy: dict[str, Any] = {
        "lists": {"ads": {"domains": ["ads.txt"]}},
        "access": [{"name": "ads", "when": {"list": ["ads"]}, "action": "block"}],
    }
    options: dict[str, Any] = {
        "listen": ["icap://127.0.0.1:0", "icaps://127.0.0.1:0"],
        "tls": {"certificate": str(certificate), "key": str(key)},
        "adapters": [{"clamd": {"socket": str(clam.socket)}}],
        "events": {"store": "auto"},
        **METRICS,
    }
    with working(directory, policy=policy, **options) as served:
        with Asking(served.icap) as client:
            client.ask(reqmod())
            client.ask(reqmod("http://ads.example/", http=("Host: ads.example",)))
            client.ask(respmod(lines=("Allow: 204",), body=chunks(b"clean")))
        assert told(directory, "reload")["ok"]
        until(lambda: metrics(port_of(served)).get('icapd_scans_total{result="clean",cached="no"}') == 1)
        until(lambda: any("icapd_collector_lag_seconds" in name for name in metrics(port_of(served))))
        until(lambda: any("icapd_scanner_scans_total" in name for name in metrics(port_of(served))))
        yield port_of(served)


@pytest.mark.skipif(CLAMD is None, reason="needs clamd")
def test_what_dashboard_and_alerts_ask_for_is_told(port: int) -> None:
    found = {_SERIES.sub("", name.partition("{")[0]) for name in metrics(port)}
    assert found == {family.name for family in FAMILIES}
    asked = names_in("\n".join(dashboard.queries())) | names_in(ALERTS.read_text())
    assert asked <= found
    assert len(asked) > len(found) * 0.75


@needs_promtool
@pytest.mark.skipif(CLAMD is None, reason="needs clamd")
def test_promtool_has_nothing_against_what_is_told(port: int) -> None:
    text = get(port, "/metrics")[2]
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(PROMETHEUS is None or CLAMD is None, reason="needs prometheus and clamd")
def test_a_real_prometheus_scrapes_it_and_answers_every_query(port: int, tmp_path: Path) -> None:
    """It asks for OpenMetrics, so both texts have met a parser that is not ours."""
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    config = (ROOT / "deploy" / "prometheus" / "scrape.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(config.replace(":9136", f":{port}").replace("15s", "1s"))
    (web,) = free_ports(1)
    command = [
        str(PROMETHEUS),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{web}",
    ]
    child = Child.start("prometheus", command, tmp_path / "prometheus.log")

    def ask(query: str) -> list[Any]:
        status, _, text = get(web, "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        answer = json.loads(text)
        assert (status, answer["status"]) == (200, "success"), f"{query}: {text}"
        found: list[Any] = answer["data"]["result"]
        return found

    def is_up() -> bool:
        try:
            return [one["value"][1] for one in ask('up{job="icapd"}')] == ["1"]
        except (OSError, AssertionError, ValueError):
            return False

    try:
        until(is_up, 60.0)
        until(lambda: bool(ask("rate(icapd_transactions_total[1m])")), 30.0)
        assert [one["value"][1] for one in ask("sum(icapd_transactions_total)")] == ["3"]
        time.sleep(1)
        silent = []
        for query in dashboard.queries():
            text = query.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m")
            if not ask(text):
                silent.append(text)
        # shares of what does not happen meanwhile, and quantiles of it, are nothing
        assert all("> 0)" in text for text in silent), silent
    finally:
        child.stop()
