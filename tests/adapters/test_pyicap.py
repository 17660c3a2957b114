"""The adapter `pyicap`: existing classes, unmodified, with and without a preview."""

from typing import Any

import pytest

from icapd.adapters.pyicap import Pyicap
from icapd.errors import AdapterError
from icapd.http import RequestHead, ResponseHead
from icapd.transaction import Client, Point, Transaction
from icapd.verdicts import Verdict
from tests.adapters.messages import Message
from tests.adapters.scanning import Bytes
from tests.reactor import run

CLASSES = "tests.adapters.icap_classes"
RESPONSE = Transaction(
    Point.RESPMOD,
    Client("192.0.2.1", "jürgen"),
    RequestHead(b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ResponseHead(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
)


def ask(content: bytes, name: str = "Scanner", **options: Any) -> Verdict:
    adapter = Pyicap("old", {"handler": f"{CLASSES}:{name}", "service": "scan", **options})
    one: Any = Message(None, transaction=RESPONSE, body=Bytes(content))  # type: ignore[arg-type]
    return run(lambda: adapter.scan(one), seconds=10)


@pytest.mark.parametrize("preview", [None, 0, 4, 1024])
def test_what_its_answers_mean(preview: int | None) -> None:
    options: dict[str, Any] = {} if preview is None else {"preview": preview}
    assert ask(b"good" * 50_000, **options) == Verdict()
    [found] = ask(b"good" * 50_000 + b"EVIL", **options).findings
    assert (found.threat, found.by) == ("replaced by 403", "old")
    assert ask(b"a VIRUS", **options).findings[0].threat == "Vir.Us"
    assert "ZeroDivisionError" in ask(b"a CRASH", **options).error
    assert ask(b"", **options) == Verdict()


def test_what_follows_a_preview_is_not_sent_unless_it_asks() -> None:
    assert ask(b"fine" + b"EVIL", preview=4) == Verdict()
    assert ask(b"fine" + b"EVIL").findings


@pytest.mark.parametrize("name", ["Garbage", "Silent"])
def test_no_answer_is_an_error(name: str) -> None:
    assert ask(b"x", name).error
    assert not ask(b"x", name).findings


def test_it_wants_what_there_is_a_method_for() -> None:
    adapter = Pyicap("old", {"handler": f"{CLASSES}:Scanner", "service": "scan"})
    assert adapter.wants(RESPONSE)
    assert not adapter.wants(Transaction(Point.REQMOD))


@pytest.mark.parametrize(
    ("handler", "service", "why"),
    [
        ("no_such:Class", "scan", "cannot be imported"),
        ("os:getcwd", "scan", "no subclass"),
        (f"{CLASSES}:Scanner", "other", "no method other_REQMOD or other_RESPMOD"),
    ],
)
def test_what_is_no_such_class(handler: str, service: str, why: str) -> None:
    with pytest.raises(AdapterError, match=why):
        Pyicap("old", {"handler": handler, "service": service})


REQUEST = Transaction(
    Point.REQMOD,
    Client("192.0.2.1"),
    RequestHead(b"POST http://a.test/form HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n"),
)


@pytest.mark.parametrize("preview", [None, 0, 4, 1024])
def test_a_class_that_looks_at_requests(preview: int | None) -> None:
    options: dict[str, Any] = {} if preview is None else {"preview": preview}
    adapter = Pyicap("old", {"handler": f"{CLASSES}:Uploads", "service": "scan", **options})
    assert adapter.wants(REQUEST)
    assert not adapter.wants(RESPONSE)

    def upload(content: bytes) -> Verdict:
        one: Any = Message(None, transaction=REQUEST, body=Bytes(content))  # type: ignore[arg-type]
        return run(lambda: adapter.scan(one), seconds=10)

    assert upload(b"a form" * 10_000) == Verdict()
    assert upload(b"a form, EVIL").findings[0].threat == "replaced by 403"
