"""Records of one transaction are told together, and which of them for certain."""

from __future__ import annotations

from typing import Any

import pytest

from icapd.reports.joined import joined
from tests.events.recorded import record

URL = "https://www.games.example/a"
ONE = {"url": URL, "client": "10.1.1.1"}
TUNNEL = {"url": "www.games.example:443", "client": "10.1.1.1", "method": "CONNECT"}


def what(one: dict[str, Any], *others: dict[str, Any]) -> list[tuple[str, float, bool]]:
    return [(each.what, each.later, each.certain) for each in joined(one, others)]


def test_request_response_and_tunnel_find_each_other() -> None:
    tunnel, request, response = record(10, **TUNNEL), record(12, **ONE), record(13, **ONE, point="respmod")
    assert what(request, tunnel, request, response) == [
        ("the CONNECT of its tunnel", -2, False),
        ("its response", 1, False),
    ]
    assert what(response, tunnel, request) == [
        ("the CONNECT of its tunnel", -3, False),
        ("its request", -1, False),
    ]
    assert what(tunnel, response, request) == [("the first request in the tunnel", 2, False)]


def test_the_nearest_is_taken() -> None:
    responses = [record(n, **ONE, point="respmod") for n in (90, 15, 30)]
    assert what(record(12, **ONE), *responses) == [("its response", 3, False)]


@pytest.mark.parametrize(
    "other",
    [
        record(13, **{**ONE, "client": "10.1.1.2"}, point="respmod"),
        record(13, **ONE, user="Eve", point="respmod"),
        record(13, **{**ONE, "url": URL + "b"}, point="respmod"),
        record(300, **ONE, point="respmod"),
        record(11, **TUNNEL, user="Eve"),
        record(11, **{**TUNNEL, "url": "games.example:443"}),
        record(13, **ONE),
        {"time": "torn", "id": "x-1"},
    ],
)
def test_others_are_not(other: dict[str, Any]) -> None:
    assert what(record(12, **ONE), other) == []


def test_without_a_client_nothing_is_guessed() -> None:
    nobody = {**ONE, "client": None}
    assert what(record(12, **nobody), record(13, **nobody, point="respmod")) == []


def test_the_same_reference_is_certain() -> None:
    tunnel = record(10, **TUNNEL)
    again = record(11, **TUNNEL, again=tunnel["id"])
    event = {
        "time": record(50)["time"],
        "event": "ticket-unused",
        "id": tunnel["id"],
        "host": "www.games.example",
    }
    assert what(tunnel, again, event, {**event, "id": "else-1"}) == [
        ("the same CONNECT, asked about again", 1, True),
        ("nothing came in the tunnel that was opened", 40, True),
    ]
    assert what(again, tunnel) == [("the CONNECT that this one repeats", -1, True)]


def test_a_cut_download_that_is_asked_for_again_is_told() -> None:
    late = record(12, **ONE, point="respmod", late=True)
    assert what(late, record(100, **ONE)) == [
        ("the same, asked for again after the transfer was cut", 88, False)
    ]
