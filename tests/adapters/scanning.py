# ruff: noqa: ARG002  (as Protocols have it)
"""Scanners for tests: adapters of given coroutines, inspection without children, a policy with given lists."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from icapd.adapters.cache import CacheOptions, VerdictCache
from icapd.adapters.registry import Loaded
from icapd.adapters.scanners import Scan, Scanners, size_of, worth_of
from icapd.content.model import Item, Report
from icapd.http import RequestHead, ResponseHead
from icapd.policy import Policy, load_policy
from icapd.transaction import Point, Transaction
from tests.adapters.messages import message
from tests.reactor import reactor

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.verdicts import Verdict


class Bytes:
    """A Body in memory."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self.key = self.sha256 = hashlib.sha256(content).hexdigest()
        self.content = content
        self.fd = os.memfd_create("body")
        os.write(self.fd, content)

    def read(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]

    def fileno(self) -> int:
        return self.fd


class Plain:
    """Inspection that finds one item: the body."""

    load = (0, 0, 0)

    def __init__(self) -> None:
        self.count = 0

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def inspect(self, shape: Any, body: Any) -> Report:
        self.count += 1
        with message(body.content) as made:
            [item] = made.report.items
            return Report((Item("", 0, item.size, os.dup(item.fd), item.md5, item.sha256, ("txt",)),))


class Adapter:
    """An adapter that does as it is told."""

    def __init__(self, name: str, scan: Any) -> None:
        self.name = name
        self.tag = "1"
        self.does = scan
        self.life: list[str] = []

    def wants(self, tx: Transaction) -> bool:
        return True

    async def start(self) -> None:
        self.life.append("start")

    async def stop(self) -> None:
        self.life.append("stop")

    async def scan(self, xaction: Any) -> Verdict:
        self.life.append("scan")
        result: Verdict = await self.does(xaction)
        return result


def loaded(name: str, scan: Any, timeout: float = 5.0, on_error: Any = "closed") -> Loaded:
    return Loaded(Adapter(name, scan), name, "", on_error, timeout, 1)


def cache() -> VerdictCache[Scan]:
    return VerdictCache(CacheOptions(), reactor.seconds, worth=worth_of, size=size_of)


def scanners(policy: Policy, *adapters: Loaded, **options: Any) -> Scanners:
    return Scanners(
        adapters, policy, options.pop("inspector", Plain()), options.pop("cache", None) or cache(), **options
    )


def policy_of(folder: Path, lists: str = "{}", **files: str) -> Policy:
    for name, text in files.items():
        (folder / name).write_text(text)
    file = folder / "policy.yaml"
    file.write_text(f"lists: {lists}\naccess: []\n")
    return load_policy(file, cache=folder / "cache")


def request(url: str = "http://a.test/", location: str | None = None, **facts: Any) -> Transaction:
    head = RequestHead(f"GET {url} HTTP/1.1\r\n\r\n".encode())
    if location is None:
        return Transaction(Point.REQMOD, request=head, **facts)
    answer = ResponseHead(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode())
    return Transaction(Point.RESPMOD, request=head, response=answer, **facts)
