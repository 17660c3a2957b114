"""The adapter `clamd` with a real one that works: both ways to send, both sockets, limits, what it finds."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from icapd.adapters.clamd import Clamd
from tests.adapters.clam_use import ask, scanning, threats
from tests.clam import CLAMD, EICAR_NAME, clam_running, eicar
from tests.reactor import pause, run, together

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.adapters.clam_replies import Reply
    from icapd.content.model import Item
    from icapd.verdicts import Verdict
    from tests.clam import Clam

pytestmark = pytest.mark.skipif(CLAMD is None, reason="needs clamd")
FOUND = [("malware", EICAR_NAME, "")]


def zipped(content: bytes, flags: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", content)
    data = bytearray(out.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= flags
    return bytes(data)


@pytest.mark.parametrize("transfer", ["auto", "stream"])
def test_over_the_unix_socket(clam: Clam, transfer: str) -> None:
    async def scans() -> list[Verdict]:
        async with scanning(clam.socket, transfer=transfer) as adapter:
            bodies = [b"", b"x", b"clean" * 200_000, eicar(), eicar() + b" " * 200_000, zipped(eicar())]
            return [await ask(adapter, body) for body in bodies]

    verdicts = run(scans)
    assert [threats(verdict) for verdict in verdicts] == [[], [], [], FOUND, FOUND, FOUND]
    assert not any(verdict.error for verdict in verdicts)


def test_over_tcp(clam: Clam) -> None:
    async def scans() -> list[Verdict]:
        async with scanning(f"127.0.0.1:{clam.port}") as adapter:
            return [await ask(adapter, body) for body in (b"clean" * 200_000, eicar())]

    assert [threats(verdict) for verdict in run(scans)] == [[], FOUND]


@pytest.mark.parametrize("transfer", ["auto", "stream"])
def test_many_at_once_over_few_connections(clam: Clam, transfer: str) -> None:
    async def scans() -> list[Verdict]:
        async with scanning(clam.socket, transfer=transfer, concurrency="3") as adapter:
            bodies = [eicar() if n % 3 == 0 else b"clean %d" % n * 1000 for n in range(60)]
            return await together(*(ask(adapter, body) for body in bodies))

    verdicts = run(scans)
    assert {verdict.error for verdict in verdicts} == {""}
    assert [threats(verdict) for verdict in verdicts] == [FOUND if n % 3 == 0 else [] for n in range(60)]


def test_every_different_item_is_scanned_once(clam: Clam) -> None:
    asked: list[str] = []

    async def scans() -> Verdict:
        async with scanning(clam.socket) as adapter:
            whole = adapter._reply

            async def counted(item: Item, deadline: float) -> Reply:
                asked.append(item.path)
                return await whole(item, deadline)

            adapter._reply = counted  # type: ignore[method-assign]
            return await ask(adapter, b"archive", a=b"clean", b=eicar(), c=b"clean", d=eicar())

    assert threats(run(scans)) == [("malware", EICAR_NAME, "b")]
    assert asked == ["", "a", "b"]


def test_more_items_than_are_scanned_are_told(clam: Clam) -> None:
    async def scans() -> Verdict:
        async with scanning(clam.socket, max_items="2") as adapter:
            return await ask(adapter, b"archive", a=b"1", b=b"2", c=eicar())

    assert threats(run(scans)) == [("limit", "2 items more than max_items", "")]


def test_what_it_alerts_of(clam: Clam) -> None:
    deep = b"deep"
    for _ in range(30):
        deep = gzip.compress(deep)

    async def scans() -> list[Verdict]:
        async with scanning(clam.socket) as adapter:
            return [await ask(adapter, body) for body in (zipped(b"secret", flags=1), deep)]

    encrypted, limit = (threats(verdict)[0] for verdict in run(scans))
    assert encrypted == ("encrypted", "Heuristics.Encrypted.Zip", "")
    assert limit[0] == "limit"
    assert limit[1].startswith("Heuristics.Limits.Exceeded.")


def test_over_its_stream_limit(tmp_path: Path) -> None:
    body = os.urandom(3 << 20)

    async def scans(place: Path | str, **options: str) -> list[Verdict]:
        async with scanning(place, **options) as adapter:
            return [await ask(adapter, body), await ask(adapter, eicar())]

    with clam_running(tmp_path / "d", StreamMaxLength="1M") as clam:
        for place in (clam.socket, f"127.0.0.1:{clam.port}"):
            for _ in range(5):
                refused, next_one = run(lambda place=place: scans(place, transfer="stream"))  # type: ignore[misc]
                assert threats(refused) == [("limit", "INSTREAM size limit exceeded", "")]
                assert threats(next_one) == FOUND
        assert [threats(verdict) for verdict in run(lambda: scans(clam.socket))] == [[], FOUND]
        known = {"transfer": "stream", "max_stream": "1M"}
        assert threats(run(lambda: scans(clam.socket, **known))[0]) == [
            ("limit", "larger than max_stream", "")
        ]
        # A descriptor is not bounded by it, and this clamd is known to alert at its other limits.
        assert threats(run(lambda: scans(clam.socket, max_stream="1M"))[0]) == []


def test_a_clamd_that_calls_clean_what_it_did_not_see_is_not_given_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Clamd, "_report", lambda _self, what, _good: told.append(what))

    async def scans(place: Path) -> Verdict:
        async with scanning(place, max_stream="1M") as adapter:
            return await ask(adapter, bytes(3 << 20))

    with clam_running(tmp_path / "d", AlertExceedsMax="") as clam:
        assert threats(run(lambda: scans(clam.socket))) == [("limit", "larger than max_stream", "")]
    assert told == ["it says OK of what is beyond its limits: set `AlertExceedsMax yes` in clamd.conf"]


def test_a_new_database_is_another_tag(tmp_path: Path) -> None:
    async def tags(clam: Clam) -> list[str]:
        async with scanning(clam.socket, check="0.1") as adapter:
            before = adapter.tag
            clam.publish(27500)
            clam.ask("RELOAD")
            for _ in range(100):
                await pause(0.1)
                if adapter.tag != before:
                    break
            return [before, adapter.tag]

    with clam_running(tmp_path / "d") as clam:
        before, after = run(lambda: tags(clam))
    assert before.startswith("ClamAV ")
    assert "/1/" in before
    assert "/27500/" in after
