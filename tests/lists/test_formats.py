"""Every other format, with what is hostile about it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.formats import NoListError
from icapd.lists.spec import KINDS
from tests.lists.reading import ignored, read, taken

HINT = "a filter, or an exception, of more or less than a domain"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.example\n", "lines"),
        ("[Adblock Plus 2.0]\n||a.example^\n", "Adblock"),
        ("! Title: x\n||a.example^\n", "Adblock"),
        ("@@||a.example^\n", "Adblock"),
        ("example.com##.ad\n", "Adblock"),
        ("$TTL 60\n@ SOA a. b. 1 2 3 4 5\n", "RPZ"),
        ("a.example CNAME .\n", "RPZ"),
        ("# a CNAME of comments\na.example\n", "lines"),
        ('[{"url": "http://a.example/"}]', "JSON"),
        ("[\n]", "JSON"),
        ("phish_id,url,detail\n1,http://a.example/,x\n", "CSV"),
        ("# id,dateadded,url,url_status\n", "CSV"),
        ('"1","2026-01-01","http://a.example/","online"\n', "CSV"),
        ("# see url, please\na.example", "lines"),
        ("# name, url, licence\na.example\n", "lines"),
    ],
)
def test_a_file_says_what_it_is(text: str, name: str) -> None:
    assert read("files", text)[0] == name


@pytest.mark.parametrize("kind", ["files", *KINDS])
@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html>\n<p>",
        b"\xef\xbb\xbf \n<HTML>",
        b"<html lang=en>",
        b"<?xml version='1.0'?>",
        b"<!-- x -->\n",
        b"<head>",
    ],
)
def test_a_web_page_is_no_list(kind: str, data: bytes) -> None:
    with pytest.raises(NoListError, match="web page"):
        read(kind, data)


@pytest.mark.parametrize(
    "magic", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd"]
)
def test_a_packed_file_is_no_list_yet(magic: bytes) -> None:
    with pytest.raises(NoListError, match="unpack"):
        read("files", magic)


@given(st.sampled_from(["files", *KINDS]), st.binary(max_size=200))
def test_no_bytes_break_a_reader(kind: str, data: bytes) -> None:
    try:
        read(kind, data)
    except NoListError:
        return


JUNK = st.lists(
    st.sampled_from(
        ["||a.example^", "@@", "||", "^", "$", "##", "\n", " ", "CNAME", "$TTL", "(", ")", ";", '"', ",", "url", "{", "}", "[", "]",
         ":", "http://", "a.example", "/", "%", "*.", ".", "1.2.3.4", "::", "/33", "rpz-ip", "-", "\t", "\0", "\u00fc", "IN", "A"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(st.sampled_from(["files", *KINDS]), JUNK)
def test_no_mixture_breaks_a_reader(kind: str, text: str) -> None:
    try:
        read(kind, text)
    except NoListError:
        return


# --- lines of any kind


def test_lines_are_what_they_look_like() -> None:
    text = (
        "a.example\nhttp://b.example/x\nc.example/y\n10.0.0.0/8\n1.2.3.4\n1.2.3.4-1.2.3.9\n0.0.0.0 h.example\n"
        "44D88612FEA8A8F36DE82E1278ABB02F\n2001:db8::/32 ; x\n"
    )
    assert taken("files", text) == [
        "name a.example",
        "url b.example /x",
        "url c.example /y",
        "range 4 167772160 184549375",
        "range 4 16909060 16909060",
        "range 4 16909060 16909065",
        "name h.example",
        "md5 44d88612fea8a8f36de82e1278abb02f",
        "range 6 42540766411282592856903984951653826560 42540766490510755371168322545197776895",
    ]
    assert ignored("files", text) == []


def test_a_digest_in_a_name_or_a_path_is_none() -> None:
    label = "AB" * 16
    text = f"{label}.Example\n0.0.0.0 {label}.a.example\nhttp://a.example/{label}/x\n{label},Eicar\n"
    lower = label.lower()
    assert taken("files", text) == [
        f"name {lower}.example",
        f"name {lower}.a.example",
        f"url a.example /{label}/x",
        f"md5 {lower} Eicar",
    ]


def test_lines_of_no_kind_say_why() -> None:
    wide = "a network too wide: IPv4 from /8 and IPv6 from /16 on are taken"
    text = "0.0.0.0/0\n::/0\n1.2.3.0/33\n<p>\nco.uk\nhttp://[::1\n"
    assert ignored("files", text) == [
        (1, wide),
        (2, wide),
        (3, "not an address, network or range"),
        (4, "not a domain name"),
        (5, "a public suffix: it would cover everybody's names below it"),
        (6, "not a URL"),
    ]


# --- Adblock


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("||a.example^", ["name a.example"]),
        ("||A.Example^|", ["name a.example"]),
        ("||a.example", ["name a.example"]),
        ("||*.a.example^", ["name a.example"]),
        ("||a.example^$important", ["name a.example"]),
        ("||a.example^$all,document", ["name a.example"]),
        ("@@||a.example^", ["except a.example"]),
        ("||a.example/x/y", ["url a.example /x/y"]),
        ("0.0.0.0 a.example", ["name a.example"]),
        ("a.example", ["name a.example"]),
        ("||192.0.2.1^", ["range 4 3221225985 3221225985"]),
        ("! comment", []),
        ("# comment", []),
    ],
)
def test_adblock(line: str, expected: list[str]) -> None:
    text = "[Adblock Plus 2.0]\n" + line
    assert taken("files", text) == expected
    assert ignored("files", text) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||a.example^$third-party", "the option $third-party needs a page or a kind of content"),
        ("||a.example^$~script,important", "the option $script needs a page or a kind of content"),
        ("||a.example^$domain=b.example", "the option $domain needs a page or a kind of content"),
        ("@@||a.example^$document,domain=b", "the option $domain needs a page or a kind of content"),
        ("a.example##.ad", "hides elements of a page"),
        ("##.ad", "hides elements of a page"),
        ("a.example#@#.ad", "hides elements of a page"),
        ("/banner/*/img", HINT),
        ("|https://a.example/", HINT),
        ("@@/x", HINT),
        ("||a*.example^", HINT),
        ("||com^", "a name without a dot: it would cover a whole top-level domain"),
        ("||co.uk^", "a public suffix: it would cover everybody's names below it"),
        ("@@||co.uk^", "a public suffix: it would cover everybody's names below it"),
    ],
)
def test_adblock_says_why(line: str, reason: str) -> None:
    assert ignored("files", "[Adblock Plus 2.0]\n" + line) == [(2, reason)]


# --- RPZ

ZONE = """\
$TTL 60
$ORIGIN rpz.example.
@ IN SOA ns.rpz.example. a.b. (
   1 ; serial
   2 3 4 5 )
  IN NS localhost.
bad.example IN CNAME .
*.bad.example 300 IN CNAME .
full.example.rpz.example. 1h CNAME *.
ok.example CNAME rpz-passthru.
local.example A 127.0.0.1
              AAAA ::1
24.0.2.0.192.rpz-ip CNAME .
48.zz.db8.2001.rpz-ip CNAME rpz-drop.
"""


def test_rpz() -> None:
    assert taken("files", ZONE) == [
        "exact bad.example",
        "name bad.example",
        "exact full.example",
        "except ok.example",
        "exact local.example",
        "exact local.example",
        "range 4 3221225984 3221226239",
        "range 6 42540766411282592856903984951653826560 42540766411283801782723599580828532735",
    ]
    assert ignored("files", ZONE) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.example CNAME walled.garden.", "a CNAME to another name: it redirects, and does not block"),
        ('a.example TXT "x;y"', "a record of type TXT"),
        ("a.example", "not a record"),
        ("$INCLUDE /etc/passwd", "the directive $INCLUDE"),
        ("32.1.2.0.192.rpz-client-ip CNAME .", "a trigger by rpz-client-ip that icapd has no use for"),
        ("ns.example.rpz-nsdname CNAME .", "a trigger by name server, which a proxy does not see"),
        ("0.0.0.0.0.rpz-ip CNAME .", "a network too wide: IPv4 from /8 and IPv6 from /16 on are taken"),
        ("99.1.2.0.192.rpz-ip CNAME .", "not an address, network or range"),
        ("48.zz.zz.2001.rpz-ip CNAME .", "not an address, network or range"),
        ("com CNAME .", "a name without a dot: it would cover a whole top-level domain"),
        ("*.co.uk CNAME .", "a public suffix: it would cover everybody's names below it"),
    ],
)
def test_rpz_says_why(line: str, reason: str) -> None:
    assert ignored("files", "$TTL 60\nx.example CNAME .\n" + line) == [(3, reason)]


# --- feeds


def test_urlhaus() -> None:
    text = (
        "######\n# id,dateadded,url,url_status,last_online\n"
        '"1","2026-01-01","http://192.0.2.1:8080/a/bin.sh","online",""\n"2","x","no url","o",""\n"3"\n'
    )
    assert taken("files", text) == ["url 192.0.2.1 /a/bin.sh"]
    assert taken("urls", text) == ["url 192.0.2.1 /a/bin.sh"]
    assert ignored("files", text) == [(4, "a URL has no blanks"), (5, "a row without a URL")]


def test_phishtank_csv() -> None:
    text = 'phish_id,url,verified\n1,"http://a.example/x,y?z=1",yes\n'
    assert taken("files", text) == ["url a.example /x,y z=1"]


def test_phishtank_json() -> None:
    rows = [{"phish_id": "1", "url": "http://a.example/login?x=1"}, {"phish_id": 2}, "http://b.example/", 7]
    text = json.dumps(rows, indent=1)
    assert taken("files", text) == ["url a.example /login x=1", "url b.example /"]
    assert [reason for _, reason in ignored("files", text)] == ["no URL in it", "no URL in it"]


def test_json_is_read_in_pieces() -> None:
    rows = [{"phish_id": n, "url": f"http://a.example/{n}", "x": "\u00fc" * 20} for n in range(30_000)]
    text = json.dumps(rows, ensure_ascii=False)
    assert len(taken("files", text)) == 30_000
    assert ignored("files", text) == []


@pytest.mark.parametrize(
    "cut", ['[{"url": "http://a.example/"}, {"url": "http', '[{"url": "http://a.example/"}']
)
def test_json_cut_short_is_told(cut: str) -> None:
    assert taken("files", cut) == ["url a.example /"]
    assert ignored("files", cut) == [(1, "cut short, or not JSON from here on")]


def test_json_nested_without_end_is_told() -> None:
    assert ignored("files", "[" * 100_000) == [(1, "cut short, or not JSON from here on")]


# --- URLs


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.example/x", ["url a.example /x"]),
        ("HTTP://User@A.Example:8080/X/../y?q#f", ["url a.example /y q"]),
        ("//a.example/x", ["url a.example /x"]),
        ("a.example/%7euser", ["url a.example /~user"]),
        ("a.example/a%2520b", ["url a.example /a%2520b", "spelling a.example /a b"]),
        ("a.example/x;y", ["url a.example /x;y"]),
        ("a.example/x//y", ["url a.example /x//y", "spelling a.example /x/y"]),
        ("a.example/x%252f..%252f..", ["url a.example /x%252f..%252f.."]),
        ("a.example", ["url a.example /"]),
    ],
)
def test_urls(line: str, expected: list[str]) -> None:
    assert taken("urls", line) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.example/x y", "a URL has no blanks"),
        ("gopher://a.example/", "not a URL"),
        ("com/x", "a URL whose host has no dot"),
        ("http://a.example:99999/", "not a URL"),
    ],
)
def test_urls_say_why(line: str, reason: str) -> None:
    assert ignored("urls", line) == [(1, reason)]


# --- networks, digests, expressions


def test_networks() -> None:
    text = "10.1.2.3/16 ; SBL1\n::ffff:10.0.0.1-::ffff:10.0.0.2\n# x\n2001:db8::1\n"
    assert taken("cidr", text) == [
        "range 4 167837696 167903231",
        "range 4 167772161 167772162",
        "range 6 42540766411282592856903984951653826561 42540766411282592856903984951653826561",
    ]


@pytest.mark.parametrize(
    "line", ["0.0.0.0/0", "::/0", "0.0.0.0/7", "0.0.0.0-127.255.255.255", "2000::/15", "::ffff:0:0/96"]
)
def test_a_network_too_wide_is_refused(line: str) -> None:
    assert ignored("cidr", line)[0][1].startswith("a network too wide")


@pytest.mark.parametrize("line", ["1.2.3.4-::5", "1.2.3.9-1.2.3.4", "a.example", "1.2.3", "1.2.3.4/33", "-"])
def test_what_is_no_network_is_told(line: str) -> None:
    assert taken("cidr", line) == []
    assert len(ignored("cidr", line)) == 1


def test_digests() -> None:
    md5, sha1, sha256 = "AB" * 16, "ab" * 20, "cd" * 32
    assert taken("md5", f"{md5}  file\n") == [f"md5 {md5.lower()} file"]
    assert taken("sha256", f"Win.Evil:{sha256}\n# x\n{sha256} *a b\n{sha256}\n") == [
        f"sha256 {sha256} Win.Evil",
        f"sha256 {sha256} a b",
        f"sha256 {sha256}",
    ]
    assert taken("files", f"{md5}:68:Eicar-Test\n{sha256}\n") == [
        f"md5 {md5.lower()} Eicar-Test",
        f"sha256 {sha256}",
    ]
    assert taken("md5", f'{md5},"x\x1b[2Jy"') == [f"md5 {md5.lower()} x[2Jy"]
    assert ignored("sha256", f"{md5}\n{sha1}\nxyz\n")[2] == (3, "no digest")
    assert ignored("sha256", md5) == [(1, "a digest of another kind than sha256")]


@pytest.mark.parametrize(
    "empty",
    ["d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
)
def test_the_digest_of_nothing_is_refused(empty: str) -> None:
    assert ignored("files", empty) == [(1, "the digest of an empty file")]


def test_expressions() -> None:
    text = "(^|[-.?+=/_0-9])porn(s)?\n# x\n(a\n(?=x)y\n(a)\\1\n.*\nhttps?://x\n"
    assert taken("expressions", text) == ["expression (^|[-.?+=/_0-9])porn(s)?"]
    reasons = [reason for _, reason in ignored("expressions", text)]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "not an expression RE2 takes",
        "not an expression RE2 takes",
        "not an expression RE2 takes",
        "an expression that every URL matches",
        "an expression with a scheme",
    ]


def test_an_expression_that_would_grow_without_end_is_refused() -> None:
    assert len(ignored("expressions", "((a{100}){100}){100}")) == 1
