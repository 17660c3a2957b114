"""SIGTERM while fifty scans are slow: all are answered, none begins anew, nothing is lost."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.asking import Asking, answers, chunks, reqmod
from tests.server.working import lines
from tests.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

SCANS = 50
OPTIONS: dict[str, Any] = {
    "adapters": [{"pyicap": {"handler": "tests.faults.slow_scanner:Slow", "service": "scan"}}],
    "limits": {"drain": "30"},
}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_slow_scans_are_waited_for(tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, options={**OPTIONS, "workers": workers}) as served:
        peers = [Asking(served.icap) for _ in range(SCANS)]
        for number, peer in enumerate(peers):
            url = f"http://a.example/{number}"
            peer.socket.sendall(reqmod(url, "POST", body=chunks(b"body %d" % number)))
        time.sleep(0.5)
        served.child.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(OSError, match="refused"):
            Asking(served.icap)
        for peer in peers:
            (answer,) = answers(peer.rest(), "REQMOD")
            assert answer.status == 204
            peer.socket.close()
        assert served.child.process.wait(15) == 0
        assert "Traceback" not in served.child.output()
    assert sorted(line["url"] for line in lines(tmp_path)) == sorted(
        f"http://a.example/{number}" for number in range(SCANS)
    )
    assert {line["scan"] for line in lines(tmp_path)} == {"scanned"}
