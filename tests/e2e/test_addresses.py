"""A name that leads to a forbidden address: known when the response comes, and blocked then."""

import pytest

from icapd.demo.exchange import Fetch


@pytest.mark.parametrize("url", ["http://open.lab.test:$http/", "https://open.lab.test:$https/"])
def test_the_response_of_a_forbidden_address_is_blocked(fetch: Fetch, url: str) -> None:
    exchange = fetch(url, "-X", "PATCH")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 403), exchange.seen.error
    assert exchange.record("reqmod", method="PATCH").action == "allow"
    record = exchange.record("respmod")
    assert (record.action, record.rule) == ("block", "leads inside")
    assert exchange.requests  # by then the site had been asked
