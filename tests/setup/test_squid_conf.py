"""Where the include line goes, and which of Squid's own ports it takes the place of."""

from __future__ import annotations

from pathlib import Path

import pytest

from icapd.setup.squid_conf import included, takes_ports

FRAGMENT = Path("/etc/squid/icapd/icapd.conf")
LINE = f"include {FRAGMENT}"


@pytest.mark.parametrize(
    "first",
    [
        "http_access deny all",
        "http_port 8080",
        "include /etc/squid/conf.d/*.conf",
        "icap_enable on",
        "ssl_bump none all",
    ],
)
def test_it_comes_before_what_it_must_come_before(first: str) -> None:
    lines = included(
        f"# http_access of old\nacl a src all\n{first}\nhttp_access deny all\n", FRAGMENT, ["3128"]
    )
    assert lines.splitlines()[3:5] == [LINE, first]


@pytest.mark.parametrize("text", ["", "acl a src all", "acl a src all\n"])
def test_in_a_file_without_such_lines_it_is_last(text: str) -> None:
    assert included(text, FRAGMENT, []).splitlines()[-1] == LINE


def test_what_is_included_stays_as_it_is() -> None:
    once = included("http_port 3128\nhttp_access deny all\n", FRAGMENT, ["3128"])
    assert included(once, FRAGMENT, ["3128"]) == once
    assert included(f"  {LINE}  # mine\n", FRAGMENT, ["3128"]) == f"  {LINE}  # mine\n"


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("http_port 3128", True),
        ("http_port 10.0.0.1:3128 tproxy", True),
        ("http_port [::1]:3128", True),
        ("http_port 31280", False),
        ("https_port 3128", False),
        ("# http_port 3128", False),
        ("http_port 8080", False),
    ],
)
def test_ports_that_the_fragment_serves_become_comments(line: str, taken: bool) -> None:
    edited = included(f"{line}\n", FRAGMENT, ["127.0.0.1:3128", "3129"])
    assert (line in edited.splitlines()) is not taken
    assert line in edited
    assert takes_ports(f"{line}\n", ["127.0.0.1:3128"]) == ([line] if taken else [])
