"""Adapters in a running `icapd serve`: one of a third party, pyicap at REQMOD, headers of a block."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clam import EICAR_NAME, eicar
from tests.server.asking import Asking, chunks, reqmod, respmod
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cases.icap_cases import Resp
    from tests.clam import Clam
    from tests.serving import Served

HERE = Path(__file__).parent
POLICY: dict[str, Any] = {
    "lists": {
        "phish": {"domains": ["phish.txt"], "threat": "phishing"},
        "bad": {"urls": ["urls.txt"], "threat": "malicious_url"},
    }
}


@contextmanager
def running(folder: Path, *adapters: dict[str, Any]) -> Iterator[Served]:
    (folder / "phish.txt").write_text("phish.example\n")
    (folder / "urls.txt").write_text("http://host.example/bad\n")
    with serving(folder, policy=POLICY, options={"adapters": list(adapters)}) as served:
        yield served


def asked(served: Served, request: bytes, method: str = "RESPMOD") -> Resp:
    with Asking(served.icap) as wire:
        return wire.ask(request, method)


def says(answer: Resp, name: str) -> str | None:
    values = [value for key, value in answer.headers if key.lower() == name.lower()]
    return values[0] if values else None


def is_blocked(answer: Resp, kind: int, threat: str) -> None:
    assert answer.status == 200
    assert says(answer, "X-Infection-Found") == f"Type={kind}; Resolution=2; Threat={threat};"
    assert says(answer, "X-Virus-ID") == threat
    assert says(answer, "X-Response-Info") == "Blocked"


def is_page(answer: Resp) -> None:
    assert answer.http_head is not None
    assert answer.http_head.startswith(b"HTTP/1.1 403 ")
    assert b"<!doctype html>" in (answer.body or b"")


def test_the_adapter_of_the_guide_in_a_running_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by its package's entry point alone: a dist-info folder beside its module."""
    monkeypatch.syspath_prepend(HERE / "example")  # what `serving` gives its child as PYTHONPATH
    with running(tmp_path, {"hello": {"word": "hello"}}) as served:
        assert asked(served, respmod(body=chunks(b"good morning"))).status == 204
        found = asked(served, respmod(body=chunks(b"say hello to it")))
        is_blocked(found, 0, "Hello")
        is_page(found)
        up = asked(served, reqmod(method="POST", body=chunks(b"hello")), "REQMOD")
        is_blocked(up, 0, "Hello")


def test_pyicap_looks_at_uploads(tmp_path: Path) -> None:
    pytest.importorskip("pyicap")
    scanner = {"handler": "tests.adapters.icap_classes:Uploads", "service": "scan", "preview": "4"}
    with running(tmp_path, {"pyicap": scanner}) as served:
        form = reqmod(method="POST", body=chunks(b"a form" * 1000))
        assert asked(served, form, "REQMOD").status == 204
        is_blocked(
            asked(served, reqmod(method="POST", body=chunks(b"an EVIL form")), "REQMOD"), 0, "replaced_by_403"
        )
        assert asked(served, respmod(body=chunks(b"EVIL"))).status == 204  # it has no method for responses


def test_clamd_and_yara_name_what_they_found(tmp_path: Path, clam: Clam) -> None:
    pytest.importorskip("yara")
    (tmp_path / "a.yar").write_text('rule Evil_One { strings: $a = "EVIL" condition: $a }\n')
    adapters = ({"clamd": {"socket": str(clam.socket)}}, {"yara": {"rules": ["a.yar"]}})
    with running(tmp_path, *adapters) as served:
        is_blocked(asked(served, respmod(body=chunks(eicar()))), 0, EICAR_NAME)
        found = asked(served, respmod(body=chunks(b"an EVIL body")))
        is_blocked(found, 0, "Evil_One")
        assert says(found, "X-Violations-Found") is None  # one finding
        both = asked(served, respmod(body=chunks(eicar() + b"\n EVIL")))
        told = says(both, "X-Violations-Found") or ""
        assert told.startswith("2 - ")
        assert EICAR_NAME in told
        assert "Evil_One 0 2" in told
        is_page(both)


@pytest.mark.parametrize(
    ("request_", "threat"),
    [
        (reqmod("http://phish.example/", http=("Host: phish.example",)), "phish"),
        (reqmod("http://host.example/bad", http=("Host: host.example",)), "bad"),
    ],
)
def test_lists_name_what_they_hold(tmp_path: Path, request_: bytes, threat: str) -> None:
    with running(tmp_path) as served:
        found = asked(served, request_, "REQMOD")
        is_blocked(found, 0, threat)
        is_page(found)


def test_a_connect_to_what_a_list_holds(tmp_path: Path) -> None:
    """To Squid with our fragment it is the same CONNECT, marked; to any other client the page at once."""
    marked = reqmod("phish.example:443", "CONNECT", lines=("Allow: 204", "X-Icapd-Fragment: 1"))
    with running(tmp_path) as served:
        found = asked(served, marked, "REQMOD")
        is_blocked(found, 0, "phish")
        assert found.http_head is not None
        assert b"\r\nX-Icapd-Verdict: block\r\n" in found.http_head
        plain = asked(served, reqmod("phish.example:443", "CONNECT"), "REQMOD")
        is_blocked(plain, 0, "phish")
        is_page(plain)
