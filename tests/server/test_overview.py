"""What all processes of a real icapd tell together, and go on telling when some of them die."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import make_certificate
from tests.clam import CLAMD, clam_running, eicar
from tests.server.asking import Asking, chunks, reqmod, respmod
from tests.server.measuring import METRICS, get, metrics, port_of, ready
from tests.server.working import Load, kill, pids, told, until, working

if TYPE_CHECKING:
    from pathlib import Path

PROMTOOL = shutil.which("promtool")
ALLOWED = 'icapd_transactions_total{point="reqmod",action="allow"}'
BLOCKED = 'icapd_transactions_total{point="reqmod",action="block"}'
POLICY = {"access": [{"name": "bad", "when": {"host": ["bad.example"]}, "action": "block"}]}


def is_counter(name: str) -> bool:
    return name.partition("{")[0].endswith("_total") or "_bucket" in name


@pytest.mark.parametrize("workers", [1, 2])
def test_every_request_is_counted_once(tmp_path: Path, workers: int) -> None:
    with working(tmp_path, workers=workers, policy=POLICY, **METRICS) as served:
        port = port_of(served)
        clients = [Asking(served.icap) for _ in range(4)]
        for client in clients:
            for _ in range(25):
                assert client.ask(reqmod()).status == 204
            for _ in range(5):
                assert client.ask(reqmod("http://bad.example/", http=("Host: bad.example",))).status == 200
        until(lambda: metrics(port)[BLOCKED] == 20)
        found = metrics(port)
        assert found[ALLOWED] == 100
        assert found['icapd_responses_total{status="204"}'] == 100
        assert found['icapd_responses_total{status="200"}'] == 20
        assert found["icapd_connections_total"] == found["icapd_open_connections"] == 4
        assert sum(v for n, v in found.items() if n.startswith("icapd_worker_requests_total")) == 120
        assert sum(v for n, v in found.items() if n.startswith("icapd_worker_connections")) == 4
        assert found["icapd_workers"] == found["icapd_workers_ready"] == workers
        assert found['icapd_process_resident_memory_bytes{process="main"}'] > 1 << 20
        assert ('icapd_process_open_fds{process="worker 1"}' in found) is (workers == 2)
        assert time.time() - 100 < found["icapd_start_time_seconds"] < time.time()  # noqa: TID251
        for client in clients:
            client.__exit__()
        if PROMTOOL is not None:
            check = [PROMTOOL, "check", "metrics"]
            text = get(port, "/metrics")[2]
            done = subprocess.run(check, input=text, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_counters_never_go_back_when_workers_die(tmp_path: Path) -> None:
    with working(tmp_path, **METRICS) as served:
        port = port_of(served)
        before = metrics(port)
        with Load(served.icap, clients=4) as load:
            for death in range(2):
                time.sleep(1.2)
                kill(pids(tmp_path)[death])
                for _ in range(10):
                    now = metrics(port)
                    for name, value in before.items():
                        if is_counter(name) and "cpu" not in name:
                            assert now[name] >= value, name
                    before = now
                    time.sleep(0.05)
                until(lambda: all(pids(tmp_path)))
            time.sleep(0.5)
        until(lambda: metrics(port)["icapd_open_connections"] == 0)
        time.sleep(1)
        found = metrics(port)
        assert [found[f'icapd_worker_restarts_total{{worker="{n}"}}'] for n in range(2)] == [1, 1]
        # what a killed worker counted since the clock's last tick is lost, and nothing else
        assert len(load.answered) * 0.5 < found[ALLOWED] <= len(load.answered) + len(load.failed)
        assert ready(port) == (200, ready(port)[1])


def test_readiness_tells_of_reloads_lists_and_certificates(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "ads.txt").write_text("ads.example\n")
    policy: dict[str, Any] = {"lists": {"ads": {"domains": ["ads.txt"]}}, "access": []}
    options: dict[str, Any] = {
        "listen": ["icap://127.0.0.1:0", "icaps://127.0.0.1:0"],
        "tls": {"certificate": str(certificate), "key": str(key)},
    }
    with working(tmp_path, policy=policy, **options, **METRICS) as served:
        port = port_of(served)
        status, was = ready(port)
        assert (status, was["reload"]["result"], was["degraded"]) == (200, "none", [])
        assert [(one["list"], one["file"]) for one in was["lists"]] == [("ads", str(tmp_path / "ads.txt"))]
        assert 0 <= was["lists"][0]["age"] < 100
        (tmp_path / "policy.yaml").write_text("access: [{}]")
        assert not told(tmp_path, "reload")["ok"]
        time.sleep(0.3)
        status, refused = ready(port)
        assert (status, refused["reload"]["result"]) == (200, "refused")
        assert refused["degraded"] == ["the last reload was refused"]
        assert refused["policy"] == was["policy"]
        assert metrics(port)["icapd_last_reload_success"] == 0
        (tmp_path / "policy.yaml").write_text(json.dumps(POLICY))
        assert told(tmp_path, "reload")["ok"]
        until(lambda: ready(port)[1]["lists"] == [])
        status, adopted = ready(port)
        assert (adopted["reload"]["result"], adopted["degraded"]) == ("adopted", [])
        assert adopted["policy"] != was["policy"]
        found = metrics(port)
        assert found['icapd_reloads_total{result="adopted"}'] == 1
        assert found['icapd_reloads_total{result="refused"}'] == 1
        assert found["icapd_last_reload_success"] == 1
        assert 0 < found["icapd_last_reload_duration_seconds"] < 60
        ends = found['icapd_certificate_expiry_timestamp_seconds{certificate="icaps"}']
        assert 80_000 < ends - time.time() <= 86_400  # noqa: TID251


@pytest.mark.parametrize("workers", [1, 2])
def test_draining_is_not_ready(tmp_path: Path, workers: int) -> None:
    with working(tmp_path, workers=workers, limits={"drain": "20"}, **METRICS) as served:
        port = port_of(served)
        with Asking(served.icap) as client:
            client.ask(reqmod())
            client.socket.sendall(reqmod()[:30])
            served.child.process.send_signal(signal.SIGTERM)
            until(lambda: ready(port)[0] == 503)
            assert ready(port)[1]["problems"] == ["draining"]
            assert get(port, "/healthz")[0] == 200
            assert metrics(port)["icapd_ready"] == 0


@pytest.mark.skipif(CLAMD is None, reason="needs clamd")
@pytest.mark.parametrize("workers", [1, 2])
def test_scanners_and_a_clamd_that_stops(tmp_path: Path, workers: int) -> None:
    with clam_running(tmp_path / "clam") as clam:
        adapters = [{"clamd": {"socket": str(clam.socket), "on_error": "open", "timeout": 5}}]
        with working(tmp_path, workers=workers, adapters=adapters, **METRICS) as served:
            port = port_of(served)
            until(lambda: [one["up"] for one in ready(port)[1]["scanners"]] == [True])
            scanner = ready(port)[1]["scanners"][0]
            assert scanner["version"].startswith("ClamAV ")
            assert scanner["on_error"] == "open"
            lines = ("Allow: 204",)
            with Asking(served.icap) as client:
                assert client.ask(respmod(lines=lines, body=chunks(b"clean"))).status == 204
                assert client.ask(respmod(lines=lines, body=chunks(eicar()))).status == 200
            asked = 'icapd_scanner_scans_total{scanner="clamd",result="found"}'
            until(lambda: metrics(port).get(asked) == 1)
            found = metrics(port)
            assert found['icapd_scanner_scans_total{scanner="clamd",result="clean"}'] == 1
            assert found['icapd_scans_total{result="found",cached="no"}'] == 1
            assert found['icapd_findings_total{kind="malware"}'] == 1
            assert found["icapd_scan_duration_seconds_count"] == 2
            assert found["icapd_verdict_cache_misses_total"] == 2
            until(lambda: metrics(port)['icapd_content_children{state="free"}'] > 0)
            clam.stop()
            with Asking(served.icap) as client:
                for number in range(4):
                    client.ask(respmod(lines=lines, body=chunks(b"other %d" % number)))
            until(lambda: [one["up"] for one in ready(port)[1]["scanners"]] == [False])
            status, down = ready(port)
            assert status == 200
            assert down["degraded"][0].startswith("scanner clamd is down (open): clamd cannot be reached")
            name = 'icapd_scanner_up{scanner="clamd",kind="clamd",on_error="open"}'
            until(lambda: metrics(port).get(name) == 0)
