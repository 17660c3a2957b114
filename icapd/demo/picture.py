"""A denied CONNECT as a person meets it: in a real browser, with a picture of what it shows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.demo.browser import Browser
from icapd.demo.plan import BUMP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.demo.lab import Lab

_URL = "https://blocked.demo.test:$https/"
_RULE = "no gambling"


def take_picture(lab: Lab, file: Path) -> tuple[str, ...]:
    """Open a site whose CONNECT is denied, write what is seen to `file` (PNG), return what is wrong.

    Raises IcapdError if the browser does not start or does not answer.
    """
    contacts = lab.contacts.mark()
    with (
        tempfile.TemporaryDirectory(prefix="icapd-chromium-", ignore_cleanup_errors=True) as home,
        Browser(Path(home), proxy=lab.site.proxy(BUMP), trust=lab.site.authority(BUMP)) as browser,
    ):
        shown = browser.open(lab.site.fill(_URL))
        text = str(browser.evaluate("document.body.innerText"))
        browser.screenshot(file)
    facts = (
        ("status", 403, shown.status),
        ("security", "secure", shown.security),
        ("origin contacted", False, bool(lab.contacts.since(contacts))),
        ("rule on the page", True, _RULE in text),
    )
    return tuple(_wrong(facts))


def _wrong(facts: tuple[tuple[str, object, object], ...]) -> Iterator[str]:
    for name, expected, got in facts:
        if expected != got:
            yield f"{name}: expected {expected}, was {got}"
