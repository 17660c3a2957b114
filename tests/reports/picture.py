"""docs/images/report.png: a report of an invented week, as Chromium shows it. `python -m tests.reports.picture`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from icapd.demo.browser import browser_programs
from icapd.events.report import Period, make_report
from icapd.events.store import open_store
from icapd.policy import load_policy
from icapd.reports.page import as_page
from icapd.reports.setting import Setting, idle_rules
from tests.reports import sample

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "report.png"
RECORDS = 20_000


def sample_page(folder: Path, *, count: int = RECORDS) -> Path:
    """Write the page of a week of `count` records into `folder`."""
    (folder / "lists").mkdir()
    (folder / "lists" / "social.txt").write_text("social.example\n")
    (folder / "policy.yaml").write_text(sample.POLICY)
    with closing(open_store(folder / "events.db", readonly=False)) as store:
        store.add(sample.records(count), None)
        report = make_report(store.connection, Period(sample.WEEK, sample.END), 8)
    idle = tuple(rule for rule in idle_rules(load_policy(folder / "policy.yaml"), report))
    page = folder / "report.html"
    page.write_text(as_page(report, Setting("proxy.school.example", sample.END + 300, idle)), "utf-8")
    return page


def shoot(page: Path, picture: Path, *, width: int = 1200, height: int = 1180, dark: bool = False) -> None:
    """Take a picture of a page."""
    programs = browser_programs()
    if programs is None:
        sys.exit("Chromium is not installed")
    command = [
        programs[0], "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},{height}", f"--screenshot={picture}",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []), page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        shoot(sample_page(Path(made)), PICTURE)
