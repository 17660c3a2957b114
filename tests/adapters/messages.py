"""Messages for adapters: items of given content, as inspection would make them."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThread

from icapd.content.model import Item, Report, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class Message:
    """An Xaction; its body is the first item."""

    report: Report
    shape: Shape = field(default_factory=Shape)
    transaction: Any = None
    body: Any = None

    def in_thread(self, call: Callable[[], Any]) -> Any:
        return deferToThread(call)


def _item(path: str, content: bytes) -> Item:
    fd = os.memfd_create("item")
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    return Item(
        path,
        int(bool(path)),
        len(content),
        fd,
        hashlib.md5(content).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


@contextmanager
def message(content: bytes, **members: bytes) -> Iterator[Message]:
    """A message of this content, with members of an archive by name."""
    items = (_item("", content), *(_item(name, member) for name, member in members.items()))
    try:
        yield Message(Report(items))
    finally:
        for item in items:
            os.close(item.fd)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
