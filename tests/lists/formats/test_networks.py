"""CIDR lists."""

from __future__ import annotations

import pytest

from tests.lists.reading import ignored, taken


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
