"""Bodies that are read whole before their end goes out, through a Squid that stalls (Bug 5352)."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.demo.complaints import complaints
from icapd.demo.exchange import Fetch
from icapd.demo.lab import Lab, squid_program
from icapd.demo.origin import pattern
from icapd.demo.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = (5_000, 65_000, 300_000, 3_000_123)  # sizes of what the list holds
POLICY = """\
lists:
  bad: {sha256: [bad.sha256], threat: malware}
tls:
  - {name: rest, action: bump}
"""
OPTIONS = """\
delivery: {hold: 32k}
content: {max_body: 110000000}
"""
_NO_LAST_CHUNK = 18  # curl's CURLE_PARTIAL_FILE
URLS = ("http://open.lab.test:$http", "https://open.lab.test:$https")
SIZES = (0, 1, 1024, 1025, 59_999, 60_001, 65_535, 65_536, 65_537, 66_000, 131_072, 300_001, 3_000_000)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    directory = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    directory.chmod(0o755)
    (directory / "bad.sha256").write_text("".join(f"{digest(pattern(size))}\n" for size in BAD))
    plan = Plan(policy=POLICY, names=("open.lab.test",), options=OPTIONS)
    with Lab(directory, plan, squid=squid_program()) as lab:
        yield lab
    assert complaints(lab.site.logs / "cache.log") == []
    if not os.environ.get("ICAPD_KEEP_LAB"):
        shutil.rmtree(directory)


@pytest.fixture
def fetch(lab: Lab) -> Fetch:
    return Fetch(lab)


@pytest.mark.parametrize("kind", ["bytes", "chunked", "slow"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("url", URLS)
def test_a_download_passes_whole(fetch: Fetch, url: str, size: int, kind: str) -> None:
    exchange = fetch(f"{url}/{kind}/{size}", "--max-time", "20")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert digest(exchange.seen.body) == digest(pattern(size))
    assert exchange.record("respmod").action == "allow"


@pytest.mark.parametrize("kind", ["bytes", "chunked"])
def test_fast_downloads_again_and_again(fetch: Fetch, kind: str) -> None:
    for size in (65_535, 65_536, 65_537, 300_001) * 5:
        exchange = fetch(f"{URLS[0]}/{kind}/{size}", "--max-time", "10")
        assert exchange.seen.status == 200, (size, exchange.seen.error)
        assert exchange.seen.body == pattern(size)
        # On a busy machine Squid 5.7 leaves out the last-chunk of one in three thousand of them, with the whole body
        # sent, although icapd has ended it (measured: 2,629 bodies ended by icapd, none cut, one so at the client).
        assert exchange.seen.exit in ({0} if kind == "bytes" else {0, _NO_LAST_CHUNK}), exchange.seen.error
        if exchange.seen.exit:
            assert exchange.record("respmod").action == "allow"


@pytest.mark.parametrize("url", URLS)
def test_a_download_of_100_mb(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/bytes/100000000", "--max-time", "60")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert digest(exchange.seen.body) == digest(pattern(100_000_000))


# Squid 5.7 drops many an upload of tens of MB that comes at loopback's speed, with ICAP off as well.
UPLOADS = [(url, size) for url in URLS for size in (0, 1024, 65_537, 3_000_000)]


@pytest.mark.parametrize(("url", "size"), UPLOADS)
def test_an_upload_passes_whole(fetch: Fetch, tmp_path: Path, url: str, size: int) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(pattern(size))
    exchange = fetch(f"{url}/status/200", "-X", "POST", "--data-binary", f"@{upload}", "--max-time", "60")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert digest(exchange.requests[0].body) == digest(pattern(size))


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("size", BAD)
def test_a_bad_upload_gets_the_page_and_does_not_leave(
    fetch: Fetch, tmp_path: Path, url: str, size: int
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(pattern(size))
    exchange = fetch(f"{url}/echo", "-X", "POST", "--data-binary", f"@{upload}")
    assert exchange.seen.status == 403
    assert exchange.requests == ()
    assert exchange.record(method="POST").action == "block"


@pytest.mark.parametrize("url", URLS)
def test_a_bad_short_download_gets_the_page(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/bytes/5000")
    assert exchange.seen.status == 403
    assert exchange.record("respmod").action == "block"


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("size", [65_000, 300_000, 3_000_123])
def test_a_bad_long_download_is_cut_and_explained(fetch: Fetch, url: str, size: int) -> None:
    exchange = fetch(f"{url}/bytes/{size}", "--max-time", "20")
    assert exchange.seen.exit == 18, exchange.seen.error
    assert pattern(size).startswith(exchange.seen.body)
    assert len(exchange.seen.body) <= size - 32 * 1024
    record = exchange.record("respmod")
    assert record.action == "block"
    opens = ("-H", "Sec-Fetch-Mode: navigate", "-H", "Sec-Fetch-Dest: document")
    page = fetch(f"{url}/next", *opens)
    assert page.seen.status == 403
    assert "stopped" in page.seen.text
    assert fetch(f"{url}/next", *opens).seen.status == 200
    again = fetch(f"{url}/bytes/{size}", "--max-time", "20")
    assert again.seen.status == 403
    assert again.requests == ()
