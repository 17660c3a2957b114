"""An icapd whose metrics are asked for, as Prometheus would."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.serving import Served

METRICS: dict[str, Any] = {"metrics": "127.0.0.1:0"}
_PORT = re.compile(r"metrics at http://127\.0\.0\.1:(\d+)/metrics")
_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")


def port_of(served: Served) -> int:
    found = _PORT.search(served.child.output())
    assert found is not None
    return int(found[1])


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Status, type and text of an answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request(method, path, headers=headers)
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    return answer.status, answer.headers["Content-Type"], text


def metrics(port: int) -> dict[str, float]:
    """The samples by name and labels, as they are written."""
    status, _, text = get(port, "/metrics")
    assert status == 200
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match is not None
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def ready(port: int) -> tuple[int, dict[str, Any]]:
    status, kind, text = get(port, "/readyz")
    assert kind == "application/json"
    return status, json.loads(text)
