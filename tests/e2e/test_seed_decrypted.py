"""The seed document, "encrypted connections with enabled decryption": a proxy port with ssl-bump."""

from icapd.demo.contacts import Accepted, HelloReceived, RequestReceived
from icapd.demo.exchange import Fetch
from icapd.demo.origin import pattern


def test_1_the_client_sends_connect(fetch: Fetch) -> None:
    exchange = fetch("https://open.lab.test:$https/")
    assert exchange.seen.connect == 200
    assert exchange.record(method="CONNECT") is not None


def test_2_access_rules_are_asked_about_the_connect(fetch: Fetch) -> None:
    exchange = fetch("https://blocked.lab.test:$https/")
    record = exchange.record(method="CONNECT")
    assert (record.action, record.rule, record.all["stage"]) == ("block", "blocked site", "access")


def test_3_block_denies_the_connect_and_the_request_inside_is_never_asked(fetch: Fetch) -> None:
    """The seed document ends the connection here; icapd goes further, see test_connect.py."""
    exchange = fetch("https://blocked.lab.test:$https/")
    assert exchange.record(method="CONNECT").action == "block"
    assert [record.method for record in exchange.records()] == ["CONNECT"]
    assert exchange.contacts == ()


def test_4_allow_hands_the_connect_on(fetch: Fetch) -> None:
    """Scanning the CONNECT's host by protection comes with issue 4; today allow lets it go on."""
    exchange = fetch("https://open.lab.test:$https/")
    assert exchange.record(method="CONNECT").action == "allow"


def test_5_two_encrypted_channels_are_established(fetch: Fetch) -> None:
    """One to the client under the bump CA, which is all it trusts; one to the origin, which saw a hello."""
    exchange = fetch("https://open.lab.test:$https/", trust="bump")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 200)
    assert [type(contact) for contact in exchange.contacts] == [Accepted, HelloReceived, RequestReceived]
    assert exchange.contacts[1] == HelloReceived("open.lab.test")


def test_5_the_proxy_refuses_an_origin_whose_certificate_it_does_not_trust(fetch: Fetch) -> None:
    """The name is not in the origin's certificate: the client gets Squid's error, the origin no request."""
    exchange = fetch("https://uncertified.lab.test:$https/")
    assert exchange.seen.status == 503
    assert exchange.requests == ()


def test_6_requests_inside_are_seen_whole(fetch: Fetch) -> None:
    exchange = fetch("https://open.lab.test:$https/inside?x=1", "-H", "X-Kept: yes")
    record = exchange.record(method="GET")
    assert record.url == exchange.url
    assert exchange.requests[0].header("X-Kept") == "yes"


def test_7_access_rules_are_asked_again_about_the_request_inside(fetch: Fetch) -> None:
    exchange = fetch("https://paths.lab.test:$https/secret/x")
    assert exchange.record(method="GET").rule == "secret path"
    assert [record.action for record in exchange.records()] == ["allow", "block"]


def test_8_block_shows_the_page(fetch: Fetch) -> None:
    exchange = fetch("https://paths.lab.test:$https/secret/x")
    assert (exchange.seen.exit, exchange.seen.connect, exchange.seen.status) == (0, 200, 403)
    assert "secret path" in exchange.seen.text
    assert exchange.record(method="GET").id in exchange.seen.text
    assert exchange.contacts == ()


def test_8_redirect_redirects(fetch: Fetch) -> None:
    exchange = fetch("https://paths.lab.test:$https/moved/x")
    assert (exchange.seen.exit, exchange.seen.status) == (0, 302)
    location = "https://help.lab.test:$https/?from=https%3A%2F%2Fpaths.lab.test%3A$https%2Fmoved%2Fx"
    assert exchange.seen.header("Location") == exchange.lab.site.fill(location)
    assert exchange.contacts == ()


def test_9_allow_sends_the_request_to_the_origin(fetch: Fetch) -> None:
    """Scanning of the request by protection rules comes with issue 4; today it goes on unchanged."""
    exchange = fetch("https://paths.lab.test:$https/echo", "--data-binary", "a=1")
    assert exchange.record(method="POST").action == "allow"
    assert exchange.requests[0].body == b"a=1"


def test_10_the_response_goes_through_icapd_and_reaches_the_user_unchanged(fetch: Fetch) -> None:
    """Scanning of the response comes with issue 4; today RESPMOD gives it back as it was."""
    exchange = fetch("https://open.lab.test:$https/bytes/70000")
    record = exchange.record("respmod")
    assert (record.action, record.url) == ("allow", exchange.url)
    assert exchange.seen.body == pattern(70000)


def test_11_the_traffic_is_encrypted_on_both_sides(fetch: Fetch) -> None:
    """To a client that does not trust the bump CA the channel does not open, and no request is sent."""
    exchange = fetch("https://open.lab.test:$https/", trust="origin")
    assert exchange.seen.exit == 60
    assert exchange.requests == ()
