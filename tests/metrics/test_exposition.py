"""The text: what promtool has nothing against, and OpenMetrics."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from icapd.metrics.exposition import exposition
from icapd.metrics.samples import samples_of
from tests.metrics.shots import full

PROMTOOL = shutil.which("promtool")
LIST = r'icapd_list_modified_timestamp_seconds{list="ads",file="/lists/a \"b\"\\{} .txt"} 1799996400'


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")
def test_promtool_has_nothing_against_it() -> None:
    text = exposition(samples_of(full()))
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_labels_are_escaped_and_metrics_of_no_sample_left_out() -> None:
    found = samples_of(full())
    lines = exposition(found).splitlines()
    assert LIST in lines
    assert "icapd_draining 0" in lines
    assert 'icapd_scan_duration_seconds_bucket{le="+Inf"} 0' in lines
    del found["icapd_draining"]
    assert "icapd_draining" not in exposition(found)


def test_openmetrics() -> None:
    lines = exposition(samples_of(full()), open_metrics=True).splitlines()
    assert lines[-1] == "# EOF"
    assert LIST in lines
    assert "# TYPE icapd_transactions counter" in lines
    assert 'icapd_transactions_total{point="reqmod",action="allow"} 0' in lines
    assert "# TYPE icapd_scan_duration_seconds histogram" in lines
