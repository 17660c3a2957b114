"""Heads read lazily, and one normal form for every way to write a target."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icapd.http import (
    HeadError,
    Headers,
    RequestHead,
    ResponseHead,
    Target,
    TargetError,
    authority_host,
    is_address,
    normal_host,
    parse_target,
)

SAME = {
    "http://evil.test": "http://evil.test/",
    "HTTP://Evil.Test/": "http://evil.test/",
    "http://evil.test./": "http://evil.test/",
    "http://evil.test:80/": "http://evil.test/",
    "http://evil.test:0080/": "http://evil.test/",
    "http://evil.test:/": "http://evil.test/",
    "https://evil.test:443/": "https://evil.test/",
    "https://evil.test:80/": "https://evil.test:80/",
    "ftp://evil.test:21/a": "ftp://evil.test/a",
    "wss://evil.test:443/": "wss://evil.test/",
    "http://user:pw@evil.test/": "http://evil.test/",
    "http://good.test:80@evil.test/": "http://evil.test/",
    "http://a@b@evil.test/": "http://evil.test/",
    "http://good.test%2f@evil.test/": "http://evil.test/",
    "http://evil.test?x=1": "http://evil.test/?x=1",
    "http://evil.test#good.test/": "http://evil.test/",
    "http://evil.test#@good.test/": "http://evil.test/",
    "http://evil.test?@good.test/": "http://evil.test/?@good.test/",
    "http://evil.test?": "http://evil.test/",
    "http://ev%69l.test/": "http://evil.test/",
    "http://evil%2Etest/": "http://evil.test/",
    "http://under_score.test/": "http://under_score.test/",
    "http://ev\xc2\xadil.test/": "http://evil.test/",
    "http://evil\xe3\x80\x82test/": "http://evil.test/",
    "http://evi\xe2\x84\x93.test/": "http://evil.test/",
    "http://b\xc3\xbccher.test/": "http://xn--bcher-kva.test/",
    "http://XN--BCHER-KVA.TEST/": "http://xn--bcher-kva.test/",
    "http://b%C3%BCcher.test/": "http://xn--bcher-kva.test/",
    "http://stra\xc3\x9fe.test/": "http://xn--strae-oqa.test/",
    "http://127.1/": "http://127.0.0.1/",
    "http://2130706433/": "http://127.0.0.1/",
    "http://017700000001/": "http://127.0.0.1/",
    "http://0x7f.1/": "http://127.0.0.1/",
    "http://127.0.0.1./": "http://127.0.0.1/",
    "http://%31%32%37.0.0.1/": "http://127.0.0.1/",
    "http://0/": "http://0.0.0.0/",
    "http://[0:0:0:0:0:0:0:1]/": "http://[::1]/",
    "http://[::FFFF:127.0.0.1]/": "http://127.0.0.1/",
    "http://[::ffff:7f00:1]:8080/": "http://127.0.0.1:8080/",
    "http://h/%61dmin": "http://h/admin",
    "http://h/%7e%2f%c3%a9": "http://h/~%2F%C3%A9",
    "http://h/x/../admin": "http://h/admin",
    "http://h/%2e%2e/./a/%2E": "http://h/a/",
    "http://h/../../admin": "http://h/admin",
    "http://h/x\\..\\admin": "http://h/admin",
    "http://h//a": "http://h//a",
    "http://h/ad\tm\nin": "http://h/admin",
    "http://h/ad%0amin": "http://h/ad%0Amin",
    "http://h/100%": "http://h/100%25",
    "http://h/%zz": "http://h/%25zz",
    "http://h/%%34%31": "http://h/%2541",
    "http://h/caf\xc3\xa9": "http://h/caf%C3%A9",
    "http://h/\xff": "http://h/%FF",
    "http://h/a b": "http://h/a%20b",
    "http://h/?b=%31%2f": "http://h/?b=1%2F",
    "//evil.test/": "http://evil.test/",
}
REFUSED = [
    "http://evil.test\\bad/",
    "http://ev il.test/",
    "http://evil.test\0.good.test/",
    "http://evil.test\t/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://evil.test:99999/",
    "http://evil.test:-1/",
    "http://evil.test:8a/",
    "http://evil.test:0/",
    "http://a..b/",
    "http://.a/",
    f"http://{'a' * 64}.test/",
    f"http://{'a.' * 130}test/",
    "http://a,b.test/",
    "http://xn--a/",
    "http://256.1.1.1/",
    "http://\xff.test/",
    "http:evil.test/",
    "http:/evil.test/",
    "http:///evil.test/",
    "http://",
    "urn:isbn:1",
    "javascript://x/",
    "cache_object://localhost/",
    "evil.test/",
    "",
]


@pytest.mark.parametrize(("target", "normal"), SAME.items())
def test_every_spelling_has_one_normal_form(target: str, normal: str) -> None:
    assert parse_target("GET", target).text == normal
    assert parse_target("GET", normal).text == normal


@pytest.mark.parametrize("target", REFUSED)
def test_what_two_readers_could_read_differently_is_refused(target: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target("GET", target)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("evil.test:443", "evil.test", 443),
        ("EVIL.test.:0443", "evil.test", 443),
        ("[::1]:8443", "::1", 8443),
        ("[::ffff:10.0.0.1]:443", "10.0.0.1", 443),
        ("0x7f.1:443", "127.0.0.1", 443),
        ("b\xc3\xbccher.test:443", "xn--bcher-kva.test", 443),
    ],
)
@pytest.mark.parametrize("method", ["CONNECT", "NONE", "connect"])
def test_connect_has_host_and_port_and_no_path(method: str, target: str, host: str, port: int) -> None:
    url = parse_target(method, target)
    assert url == Target("https", host, port, None, None)
    assert url.text == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


@pytest.mark.parametrize(
    "target",
    [
        *("https:443", "HTTP:80", "evil.test:443/x", "::1:443", "evil.test:0", "evil.test", "evil.test:"),
        *(":443", "a@evil.test:443", "evil.test:65536", "http://evil.test/", "/", "*", "evil test:443"),
    ],
)
def test_an_ill_formed_connect_is_refused(target: str) -> None:
    with pytest.raises(TargetError):
        parse_target("CONNECT", target)


def test_an_origin_form_takes_its_host_from_the_header() -> None:
    host = Headers(b"\r\nHost: Evil.test:8080\r\n\r\n")
    assert parse_target("GET", "/a?b", host) == Target("http", "evil.test", 8080, "/a", "b")
    assert parse_target("OPTIONS", "*", host).text == "http://evil.test:8080/*"
    for block in (b"\r\n\r\n", b"\r\nHost:\r\n\r\n", b"\r\nHost: a@b\r\n\r\n", b"\r\nHost: a/b\r\n\r\n"):
        with pytest.raises(TargetError):
            parse_target("GET", "/a", Headers(block))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("b\u00fccher.test", "xn--bcher-kva.test"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0x7f.1", "127.0.0.1"),
        ("a_b", "a_b"),
    ],
)
def test_hosts_have_the_same_normal_form(text: str, host: str) -> None:
    assert normal_host(text) == host


@pytest.mark.parametrize("text", ["", ".", "a b", "a:80", "a/b", "a@b", "a..b", "*.a", "a\nb"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        normal_host(text)


def test_an_authority_may_have_a_port() -> None:
    assert authority_host("A.test:8080") == "a.test"
    assert authority_host("[::1]:80") == "::1"
    with pytest.raises(TargetError):
        authority_host("a.test:99999")


@pytest.mark.parametrize(
    ("host", "answer"), [("1.2.3.4", True), ("::1", True), ("a1", False), ("1.a2", False)]
)
def test_addresses_are_told_from_names(host: str, *, answer: bool) -> None:
    assert is_address(host) is answer


@given(st.text(alphabet=st.characters(max_codepoint=0xFF), max_size=40))
@example("%%34%31")
@example("/%2e%2e%2f..;/\\")
@example("?%25%32%35")
def test_the_normal_form_is_final(tail: str) -> None:
    for text in ("http://h/" + tail, "http://" + tail, tail):
        try:
            once = parse_target("GET", text, Headers(b"\r\nHost: h\r\n\r\n"))
        except TargetError:
            continue
        assert parse_target("GET", once.text) == once
        assert once.text.isascii()
        assert once.text.isprintable()
        assert " " not in once.text


def test_half_a_surrogate_pair_is_no_host() -> None:
    with pytest.raises(TargetError, match="no host"):
        normal_host("\ud800a.example")


@given(st.text(max_size=30))
def test_the_normal_form_of_hosts_is_final(text: str) -> None:
    try:
        host = normal_host(text)
    except TargetError:
        return
    assert normal_host(host) == host


@given(
    st.from_regex(
        r"https?://[a-z0-9.-]{1,20}[a-z](/[a-z0-9./%;:@-]{0,20})?(\?[a-z=&?%0-9]{0,9})?", fullmatch=True
    )
)
def test_the_fast_path_and_the_whole_path_agree(text: str) -> None:
    def read(target: str) -> Target | None:
        try:
            return parse_target("GET", target)
        except TargetError:
            return None

    # A userinfo keeps a target off the fast path and drops out of the normal form.
    assert read(text) == read(text.replace("://", "://u@", 1))


def test_a_long_path_of_dots_is_read_in_linear_time() -> None:
    target = "http://evil.test" + "/.." * 20_000 + "/admin"
    assert parse_target("GET", target).path == "/admin"
    assert min(timeit.repeat(lambda: parse_target("GET", target), number=1, repeat=3)) < 0.2


def test_a_request_head_reads_its_target_once() -> None:
    head = RequestHead(b"GET http://Evil.test/%61 HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert head.url.text == "http://evil.test/a"
    assert head.url is head.url
    with pytest.raises(TargetError):
        _ = RequestHead(b"GET /a HTTP/1.1\r\n\r\n").url


@pytest.mark.parametrize("line", [b"", b"GET", b"GET /", b" GET / HTTP/1.1", b"GET / FTP/1.1"])
def test_a_request_line_is_method_target_version(line: bytes) -> None:
    with pytest.raises(HeadError):
        RequestHead(line + b"\r\n\r\n")


def test_a_target_with_blanks_is_kept_for_the_policy_to_judge() -> None:
    assert RequestHead(b"GET http://h/a b HTTP/1.1\r\n\r\n").target == "http://h/a b"


def test_headers_are_found_by_name_unfolded_and_stripped() -> None:
    headers = Headers(b"\r\nA: 1\r\nB:  x\r\n  y \r\na:2\r\nC:\r\n\r\n")
    assert headers.get(b"a") == b"1"
    assert headers.get_all(b"a") == [b"1", b"2"]
    assert headers.get(b"b") == b"x y"
    assert headers.text(b"c") == ""
    assert headers.get(b"d") is None
    assert b"c" in headers
    assert headers.items() == [(b"A", b"1"), (b"B", b"x y"), (b"a", b"2"), (b"C", b"")]


@pytest.mark.parametrize(
    ("block", "answer"),
    [
        (b"\r\nHost: a.test\r\n\r\n", True),
        (b"\r\nX: y\r\nHOST: A.test\r\n\r\n", True),
        (b"\r\nHost: a.test\r\nHost: b.test\r\n\r\n", False),
        (b"\r\nHost: b.test\r\nHost: a.test\r\n\r\n", False),
        (b"\r\nHost:a.test\r\n\r\n", False),
        (b"\r\nHost: a.test.evil\r\n\r\n", False),
        (b"\r\nHost: a.test\r\n x\r\n\r\n", False),
        (b"\r\nX-Host: a.test\r\n\r\n", False),
    ],
)
def test_the_only_value_is_told(block: bytes, *, answer: bool) -> None:
    assert Headers(block).is_only(b"host", b"a.test") is answer


def test_a_status_line_is_read() -> None:
    head = ResponseHead(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n")
    assert (head.status, head.reason, head.headers.get(b"a")) == (404, "Not Found", b"b")
    with pytest.raises(HeadError):
        ResponseHead(b"HTTP/1.1 abc\r\n\r\n")


def test_a_block_is_asked_for_many_names_at_once() -> None:
    headers = Headers(b"\r\nX-HTTP-Method: PUT\r\n\r\n")
    assert headers.mentions(b"method")
    assert not headers.mentions(b"upgrade")
