"""A real browser shows the page: it refuses nothing of it, and nothing is wider than a phone."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from icapd.demo.browser import browser_programs
from tests.reports.picture import sample_page

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(browser_programs() is None, reason="needs Chromium (deploy/prepare)")


def test_a_browser_shows_the_page_as_it_is(tmp_path: Path) -> None:
    """The frame is as wide as a phone; what it finds is in its title, which --dump-dom prints."""
    programs = browser_programs()
    assert programs is not None
    sample_page(tmp_path, count=500)
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<iframe src='report.html' style='border:0;width:400px;height:900px' onload=\"const d = this.contentDocument;"
        "const bar = d.querySelector('rect.blocked');"
        "document.title = ['shown', d.documentElement.scrollWidth - d.documentElement.clientWidth, getComputedStyle(bar).fill,"
        "getComputedStyle(d.querySelector('.wide')).display].join('|')\"></iframe>"
    )
    command = [
        programs[0], "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--v=0",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
        frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    found = re.search(r"<title>shown\|(\d+)\|(.*?)\|(\w+)</title>", done.stdout)
    assert found is not None, done.stdout[:500]
    assert found.groups() == ("0", "rgb(200, 64, 47)", "none")
    assert not re.search(r"Content.Security.Policy|Refused", done.stderr)
