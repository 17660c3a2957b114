"""Bodies pass both ways unchanged, at the sizes where previews, buffers and 64 KB limits begin and end."""

import hashlib
from pathlib import Path

import pytest

from icapd.demo.exchange import Fetch
from icapd.demo.origin import pattern

SIZES = (0, 1, 1023, 1024, 1025, 65535, 65536, 65537, 3_000_000)
URLS = ("http://open.lab.test:$http", "https://open.lab.test:$https")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("url", URLS)
def test_response_down(fetch: Fetch, url: str, size: int) -> None:
    exchange = fetch(f"{url}/bytes/{size}")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert exchange.seen.header("Content-Length") == str(size)
    assert digest(exchange.seen.body) == digest(pattern(size))
    assert exchange.record("respmod").action == "allow"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("url", URLS)
def test_chunked_response_down(fetch: Fetch, url: str, size: int) -> None:
    exchange = fetch(f"{url}/chunked/{size}")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert digest(exchange.seen.body) == digest(pattern(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_request_up(fetch: Fetch, upload: Path, url: str, method: str, size: int) -> None:
    upload.write_bytes(pattern(size))
    exchange = fetch(f"{url}/echo", "-X", method, "--data-binary", f"@{upload}")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    [request] = exchange.requests
    assert request.method == method
    assert digest(request.body) == digest(pattern(size))
    assert digest(exchange.seen.body) == digest(pattern(size))
    assert exchange.record(method=method).action == "allow"


@pytest.mark.parametrize("size", [0, 1024, 65537, 3_000_000])
@pytest.mark.parametrize("url", URLS)
def test_chunked_request_up(fetch: Fetch, upload: Path, url: str, size: int) -> None:
    upload.write_bytes(pattern(size))
    exchange = fetch(f"{url}/echo", "--data-binary", f"@{upload}", "-H", "Transfer-Encoding: chunked")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert digest(exchange.requests[0].body) == digest(pattern(size))
    assert digest(exchange.seen.body) == digest(pattern(size))


@pytest.mark.parametrize("size", [0, 1024, 65537, 3_000_000])
@pytest.mark.parametrize("url", ["http://readonly.lab.test:$http", "https://readonly.lab.test:$https"])
def test_a_blocked_upload_gets_the_page_and_does_not_leave(
    fetch: Fetch, upload: Path, url: str, size: int
) -> None:
    upload.write_bytes(pattern(size))
    exchange = fetch(f"{url}/echo", "-X", "POST", "--data-binary", f"@{upload}")
    assert exchange.seen.status == 403
    assert "read only" in exchange.seen.text
    assert exchange.requests == ()


def test_a_response_that_is_cut_by_the_origin_is_cut_for_the_user(fetch: Fetch) -> None:
    exchange = fetch("http://open.lab.test:$http/early")
    assert exchange.seen.exit == 18
    assert pattern(200_000).startswith(exchange.seen.body)
    assert len(exchange.seen.body) <= 100_000
