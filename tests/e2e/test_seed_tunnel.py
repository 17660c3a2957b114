"""The seed document, "processing of default encrypted connections": a proxy port without ssl-bump."""

from icapd.demo.contacts import Accepted, HelloReceived, RequestReceived
from icapd.demo.exchange import Fetch
from icapd.demo.origin import pattern


def test_1_the_client_sends_connect(fetch: Fetch) -> None:
    exchange = fetch("https://open.lab.test:$https/", port="plain")
    assert exchange.seen.connect == 200
    assert exchange.record(method="CONNECT").url.endswith(exchange.lab.site.fill("open.lab.test:$https"))


def test_2_access_rules_are_asked_about_the_connect(fetch: Fetch) -> None:
    exchange = fetch("https://blocked.lab.test:$https/", port="plain")
    record = exchange.record(method="CONNECT")
    assert (record.action, record.rule, record.all["stage"]) == ("block", "blocked site", "access")


def test_3_block_ends_the_connection(fetch: Fetch) -> None:
    exchange = fetch("https://blocked.lab.test:$https/", port="plain")
    assert exchange.seen.exit != 0
    assert exchange.seen.connect != 200
    assert exchange.seen.body == b""
    assert exchange.contacts == ()


def test_3_redirect_ends_the_connection(fetch: Fetch) -> None:
    exchange = fetch("https://moved.lab.test:$https/", "--location", port="plain")
    assert exchange.seen.exit != 0
    assert exchange.seen.connect != 200
    assert exchange.record(method="CONNECT").action == "redirect"
    assert exchange.contacts == ()


def test_4_allow_hands_the_connect_on(fetch: Fetch) -> None:
    """Scanning the CONNECT's host by protection comes with issue 4; today allow lets it go on."""
    exchange = fetch("https://open.lab.test:$https/", port="plain")
    record = exchange.record(method="CONNECT")
    assert (record.action, record.rule) == ("allow", None)


def test_5_the_encrypted_channel_is_established_between_client_and_origin(fetch: Fetch) -> None:
    """The client trusts only the origin's CA, so the origin's own certificate is what it got."""
    exchange = fetch("https://open.lab.test:$https/", port="plain", trust="origin")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert [type(contact) for contact in exchange.contacts] == [Accepted, HelloReceived, RequestReceived]
    assert exchange.contacts[1] == HelloReceived("open.lab.test")


def test_6_messages_inside_are_not_seen(fetch: Fetch) -> None:
    exchange = fetch("https://open.lab.test:$https/secret-path", port="plain")
    assert exchange.requests[0].target == "/secret-path"
    assert exchange.record(method="CONNECT") is not None
    assert [record.method for record in exchange.records()] == ["CONNECT"]
    assert b"secret-path" not in exchange.lab.decisions.path.read_bytes()


def test_7_the_response_inside_is_not_seen(fetch: Fetch) -> None:
    exchange = fetch("https://open.lab.test:$https/bytes/70000", port="plain")
    assert exchange.seen.body == pattern(70000)
    assert exchange.records("respmod") == []


def test_8_the_channel_is_encrypted(fetch: Fetch) -> None:
    """To a client that trusts nobody but another CA the channel does not open."""
    exchange = fetch("https://open.lab.test:$https/", port="plain", trust="bump")
    assert exchange.seen.exit == 60
    assert exchange.requests == ()
