"""A response that pauses, as an event stream does, is answered from its head and reaches the client as it comes."""

import pytest

from icapd.demo.exchange import Fetch

URLS = ("http://open.lab.test:$http", "https://open.lab.test:$https")
PAUSE = 6  # s; more than the two that icapd waits for a preview to go on


@pytest.mark.parametrize("url", URLS)
def test_a_pausing_response_arrives_whole(fetch: Fetch, url: str) -> None:
    exchange = fetch(f"{url}/pauses/{PAUSE}")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200), exchange.seen.error
    assert exchange.seen.body == b"data: before\n\ndata: after\n\n"
    assert exchange.record("respmod").action == "allow"
