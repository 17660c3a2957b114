"""Each request of a real Squid 5.7 is answered legally, byte for byte, and leaves the connection in sync."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cases.icap_cases import Bad, Resp
from tests.cases.recorded import Connection, Recorded, faults, recorded_requests
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REQUESTS = tuple(recorded_requests())


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(_directory(tmp_path_factory)) as served:
        yield served.icap


def _directory(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("icapd")


def _as_recorded(request: Recorded) -> Recorded:
    return request


def _problems(port: int, request: Recorded, step: int = 0) -> list[str]:
    connection = Connection(port)
    try:
        found, answer = connection.ask(request, step)
        if found:
            return found
        if request.asks_close:
            return [] if connection.at_end() else ["not closed, though asked to"]
        if "close" in (answer.get("connection") or "").lower():
            return ["closes a connection that could be kept"]
        return connection.in_sync()
    except (Bad, OSError) as error:
        return [str(error)]
    finally:
        connection.close()


def test_the_recording_is_whole() -> None:
    assert len(REQUESTS) == 136
    assert {request.method for request in REQUESTS} == {"OPTIONS", "REQMOD", "RESPMOD"}


@pytest.mark.parametrize("form", [_as_recorded, Recorded.without_offers], ids=["as recorded", "no offers"])
def test_each_request_is_answered_legally(port: int, form: Callable[[Recorded], Recorded]) -> None:
    failed = {r.name: problems for r in REQUESTS if (problems := _problems(port, form(r)))}
    assert failed == {}


def test_each_request_in_small_segments(port: int) -> None:
    small = [request for request in REQUESTS if len(request.first) < 2000]
    failed = {r.name: problems for r in small if (problems := _problems(port, r, step=13))}
    assert failed == {}


def test_all_requests_on_one_connection(port: int) -> None:
    failed = {}
    connection = Connection(port)
    try:
        for request in REQUESTS:
            if not request.asks_close and (found := connection.ask(request)[0]):
                failed[request.name] = found
        assert connection.in_sync() == []
    finally:
        connection.close()
    assert failed == {}


def test_the_checks_notice_what_is_wrong() -> None:
    request = next(r for r in REQUESTS if r.method == "RESPMOD" and r.body)
    body = request.body or b""
    answer = Resp()
    answer.status, answer.headers, answer.enc = 200, [("istag", '"x"')], [("res-hdr", 0), ("res-body", 9)]
    answer.http_head, answer.body = request.message_head, body
    assert list(faults(request, answer, continued=False)) == []
    answer.body = body[:-1]
    assert any("body changed" in fault for fault in faults(request, answer, continued=True))
    answer.body, answer.http_head = body, request.message_head.replace(b"200", b"201", 1)
    assert any("head changed" in fault for fault in faults(request, answer, continued=True))
    answer.status = 204
    bare = request.without_offers()
    assert any("204 though" in fault for fault in faults(bare, answer, continued=False))
    answer.status = 500
    assert list(faults(request, answer, continued=False)) == ["answered 500"]
