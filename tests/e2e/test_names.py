"""The CONNECT's host, the SNI and the URL's host all count: a bypass needs them to agree."""

from icapd.demo.exchange import Fetch


def test_a_bypass_rule_is_not_reached_through_another_tunnel(fetch: Fetch) -> None:
    """The tunnel is opened to one site, and SNI and Host name another, which a bypass rule exempts."""
    through = "updates.lab.test:$https:open.lab.test:$https"
    exchange = fetch("https://updates.lab.test:$https/", "--connect-to", fetch.lab.site.fill(through))
    connect = exchange.record(method="CONNECT")
    assert connect.url.startswith("open.lab.test:")
    inside = exchange.record("reqmod", method="GET")
    assert (inside.action, inside.rule) == ("block", "blocked site")
    assert exchange.seen.status == 403


def test_the_same_names_are_bypassed(fetch: Fetch) -> None:
    exchange = fetch("https://updates.lab.test:$https/")
    assert exchange.record("reqmod", method="GET").action == "bypass"
    assert exchange.seen.status == 200
