"""What a person sees: headless Chromium behind the proxy, trusting the bump CA."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from icapd.demo.exchange import Fetch

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=900,600", "--virtual-time-budget=3000",
)  # fmt: skip
pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("certutil") is None,
    reason="needs chromium and certutil (Debian: libnss3-tools)",
)
Open = Callable[[str], str]


@pytest.fixture
def browse(fetch: Fetch) -> Iterator[Open]:
    """browse(url): the page's DOM after it has loaded, as text."""
    site = fetch.lab.site
    with tempfile.TemporaryDirectory(prefix="icapd-chromium-", ignore_cleanup_errors=True) as home:
        store = Path(home, ".pki", "nssdb")
        store.mkdir(parents=True)
        certutil = ["certutil", "-d", f"sql:{store}"]
        subprocess.run([*certutil, "-N", "--empty-password"], check=True)
        add = ["-A", "-t", "C,,", "-n", "icapd", "-i", str(site.authority("bump"))]
        subprocess.run([*certutil, *add], check=True)

        def browse(url: str) -> str:
            screenshot = os.environ.get("ICAPD_SCREENSHOT")
            command = [
                "chromium",
                *FLAGS,
                f"--user-data-dir={home}/profile",
                f"--proxy-server={site.proxy('bump')}",
            ]
            command += [f"--screenshot={screenshot}"] if screenshot else ["--dump-dom"]
            with subprocess.Popen(
                [*command, site.fill(url)],
                env=os.environ | {"HOME": home},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            ) as browser:
                try:
                    shown, _ = browser.communicate(timeout=60)
                finally:  # with all that it started, which would go on asking
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(browser.pid, signal.SIGKILL)
            assert browser.returncode == 0
            return shown

        yield browse


def test_a_blocked_https_site_shows_the_page_and_is_not_contacted(fetch: Fetch, browse: Open) -> None:
    contacts = fetch.lab.contacts.mark()
    dom = browse("https://blocked.lab.test:$https/some/page")
    assert "blocked site" in dom
    assert fetch.lab.contacts.since(contacts) == ()


def test_a_redirected_https_site_leads_to_the_target(browse: Open) -> None:
    assert "help.lab.test" in browse("https://moved.lab.test:$https/")
