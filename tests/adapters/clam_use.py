"""Asks an adapter `clamd` of a test, on the reactor."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from icapd.adapters.clamd import Clamd
from tests.adapters.messages import message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from icapd.verdicts import Verdict


@asynccontextmanager
async def scanning(place: Path | str, **options: object) -> AsyncIterator[Clamd]:
    """A started adapter for the clamd at a socket's path or at HOST:PORT; stopped in the end."""
    where: dict[str, Any] = {"tcp": place} if isinstance(place, str) else {"socket": str(place)}
    adapter = Clamd("clamd", where | options)
    await adapter.start()
    try:
        yield adapter
    finally:
        await adapter.stop()


async def ask(adapter: Clamd, content: bytes, **members: bytes) -> Verdict:
    with message(content, **members) as xaction:
        return await adapter.scan(xaction)


def threats(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(finding.kind.value, finding.threat, finding.where) for finding in verdict.findings]
