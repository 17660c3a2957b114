"""What a person sees: headless Chromium behind the proxy, trusting the bump CA.

ICAPD_SCREENSHOTS=DIR keeps the pictures.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from icapd.demo.browser import Browser, Shown, browser_programs
from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab
from icapd.demo.plan import BUMP

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="needs chromium and certutil (Debian: libnss3-tools)"
)
# The least contrast of any text with what is behind it (WCAG 2, relative luminance).
CONTRAST = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = color => { const [r, g, b] = rgb(color).map(v => v / 255)
      .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const back = node => { for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (rgb(color)[3] !== 0) return color } return 'rgb(255, 255, 255)' };
  return Math.min(...[...document.querySelectorAll('main *')].filter(e => e.innerText).map(e => {
    const a = light(getComputedStyle(e).color), b = light(back(e));
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) })) })()"""
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FOCUSABLE = "document.querySelectorAll('a[href], button, input, select, textarea, [tabindex]').length"


@pytest.fixture(scope="module")
def browser(lab: Lab) -> Iterator[Browser]:
    site = lab.site
    with (
        tempfile.TemporaryDirectory(prefix="icapd-chromium-", ignore_cleanup_errors=True) as home,
        Browser(Path(home), proxy=site.proxy(BUMP), trust=site.authority(BUMP)) as browser,
    ):
        yield browser


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    kept = Path(os.environ.get("ICAPD_SCREENSHOTS") or tmp_path)
    kept.mkdir(exist_ok=True, parents=True)
    return kept


@pytest.mark.parametrize(
    "url",
    [
        "http://blocked.lab.test:$http/some/page",
        "https://blocked.lab.test:$https/some/page",
        "https://paths.lab.test:$https/secret/plan.pdf",
        "http://blocked.lab.dev:$https/hsts",
    ],
    ids=["http", "connect-denied", "url-in-tunnel", "hsts"],
)
def test_the_page_is_shown_without_a_warning_and_made_for_everybody(
    fetch: Fetch, browser: Browser, url: str, pictures: Path, request: pytest.FixtureRequest
) -> None:
    contacts = fetch.lab.contacts.mark()
    shown = browser.open(fetch.lab.site.fill(url))
    assert (shown.status, shown.error) == (403, "")
    name = request.node.callspec.id
    if name != "http":
        assert shown.url.startswith("https://")  # .dev: the browser asks for nothing else
        assert shown.security == "secure"
        assert shown.issuer.startswith("icapd demo")
    assert fetch.lab.contacts.since(contacts) == ()
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert "blocked" in browser.evaluate("document.title")
    tree = browser.accessibility()
    assert ("heading", "This page is blocked") in tree
    assert "main" in {role for role, _ in tree}
    assert any("Reference" in text for _, text in tree)
    assert browser.evaluate(FOCUSABLE) == 0  # nothing a keyboard could miss
    for scheme in ("light", "dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=media)
        assert browser.evaluate(CONTRAST) >= 4.5
        assert browser.screenshot(pictures / f"{name}-{scheme}.png").stat().st_size > 5_000
    browser.call("Emulation.setEmulatedMedia", features=[])
    narrow = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **narrow)
    assert not browser.evaluate(WIDE)
    browser.screenshot(pictures / f"{name}-narrow.png")
    browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("url", ["http://moved.lab.test:$http/x", "https://moved.lab.test:$https/"])
def test_a_redirect_is_followed(fetch: Fetch, browser: Browser, url: str, pictures: Path) -> None:
    shown = browser.open(fetch.lab.site.fill(url))
    assert (shown.status, shown.security, shown.error) == (200, "secure", "")
    assert shown.url.startswith("https://help.lab.test:")
    assert "moved%20site" in shown.url
    assert "From the origin itself" in browser.evaluate("document.body.innerText")
    browser.screenshot(pictures / "redirected.png")


PARTS = """<!doctype html><html lang=en><title>Shop</title>
<link rel=stylesheet href="$there/secret/a"><style>body{font:1rem sans-serif}
@font-face{font-family:f;src:url($there/secret/f.woff2)}
.row{display:flex;gap:1rem;margin:1rem;padding:1rem;background:#eef;font-family:f,sans-serif}</style>
<h1>The shop</h1><div class=row><p id=left>Left</p><img id=img src="$there/secret/ad"><p>Right</p></div>
<iframe id=frame title=advert src="$there/secret/ad.html" width=420 height=80></iframe>
<video src="$there/secret/film" width=200 height=80 controls></video>
<script>window.fell = []; window.ran = []</script>
<script src="$there/secret/ads" onerror="fell.push('script')" onload="ran.push('script')"></script>
<p>All the rest of the page is here.</p>"""
ASK = """fetch('$there/secret/api', $options).then(
  async answer => [answer.status, answer.headers.get('content-type'), await answer.text()],
  error => ['failed', String(error)])"""
SOCKET = """new Promise(done => { const socket = new WebSocket('$there/secret/socket'.replace('http', 'ws'));
  socket.onopen = () => done('open'); socket.onerror = () => done('error') })"""


def reached(lab: Lab, mark: int) -> list[str]:
    """What of the blocked paths was asked of an origin."""
    targets = [request.target for request in lab.contacts.requests(mark)]
    return [target for target in targets if target.startswith("/secret")]


def shop(lab: Lab, browser: Browser, here: str, there: str) -> Shown:
    page = lab.site.fill(PARTS.replace("$there", there))
    return browser.open(lab.site.fill(f"{here}/html?{quote(page)}"))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("site", ["open", "paths"])
def test_a_page_with_blocked_parts_keeps_its_layout(
    lab: Lab, browser: Browser, scheme: str, site: str, pictures: Path
) -> None:
    there = f"{scheme}://paths.lab.test:${scheme}"
    contacts = lab.contacts.mark()
    assert shop(lab, browser, f"{scheme}://{site}.lab.test:${scheme}", there).status == 200
    assert reached(lab, contacts) == []
    assert browser.evaluate("[img.complete, img.naturalWidth, img.width]") == [True, 1, 1]
    assert browser.evaluate("[fell, ran]") == [["script"], []]
    assert browser.evaluate("frame.contentDocument") is None  # shown, but out of reach of the site's scripts
    assert browser.evaluate("getComputedStyle(document.body).fontSize") == "16px"
    browser.screenshot(pictures / f"parts-{scheme}-{site}.png")
    kinds = {
        event["params"]["type"]: (
            event["params"]["response"]["status"],
            event["params"]["response"]["mimeType"],
        )
        for event in browser.events
        if event.get("method") == "Network.responseReceived"
        and "/secret/" in event["params"]["response"]["url"]
        and "/html?" not in event["params"]["response"]["url"]
    }
    assert kinds["Image"] == (403, "image/gif")
    assert kinds["Stylesheet"] == (403, "text/css")
    if scheme == "https":
        assert kinds["Script"] == (403, "text/javascript")
    assert kinds["Document"] == (403, "text/html")  # in the frame


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("site", ["open", "paths"])
@pytest.mark.parametrize(
    "options",
    [
        "{}",
        "{headers: {accept: 'application/json'}}",
        "{method: 'DELETE', headers: {'x-mine': '1', 'content-type': 'application/json'}}",
    ],
    ids=["plain", "json", "preflight"],
)
def test_a_script_sees_the_403_also_on_another_site(
    lab: Lab, browser: Browser, scheme: str, site: str, options: str
) -> None:
    browser.open(lab.site.fill(f"{scheme}://{site}.lab.test:${scheme}/"))
    contacts = lab.contacts.mark()
    script = ASK.replace("$there", f"{scheme}://paths.lab.test:${scheme}").replace("$options", options)
    status, kind, body = browser.evaluate(lab.site.fill(script))
    assert (status, kind) == (403, "application/json")
    assert body.startswith('{"blocked":true,"reference":"')
    assert reached(lab, contacts) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_socket_and_a_beacon_end_quietly(lab: Lab, browser: Browser, scheme: str) -> None:
    there = f"{scheme}://paths.lab.test:${scheme}"
    browser.open(lab.site.fill(there + "/"))
    contacts = lab.contacts.mark()
    assert browser.evaluate(lab.site.fill(SOCKET.replace("$there", there))) == "error"
    assert browser.evaluate(lab.site.fill(f"navigator.sendBeacon('{there}/secret/ping', 'x')")) is True
    assert reached(lab, contacts) == []
