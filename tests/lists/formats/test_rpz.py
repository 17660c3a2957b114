"""Response policy zones."""

from __future__ import annotations

import pytest

from tests.lists.reading import ignored, taken

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
