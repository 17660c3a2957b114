"""Making content to look into, and looking."""

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from icapd.content.budget import Bounds
from icapd.content.model import Report, Shape
from icapd.content.store import Store
from icapd.content.walk import Walk

MARK = b"what a scanner would look for, " * 3


@dataclass
class Body:
    """A body as the server has it."""

    fd: int
    size: int
    sha256: str

    @property
    def key(self) -> str:
        return self.sha256

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def fileno(self) -> int:
        return self.fd


@contextmanager
def body_of(data: bytes) -> Iterator[Body]:
    fd = os.memfd_create("body")
    try:
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:])
        yield Body(fd, len(data), hashlib.sha256(data).hexdigest())
    finally:
        os.close(fd)


@dataclass
class Found:
    """A report, read: contents by path, kinds of findings with their threats."""

    report: Report
    contents: list[tuple[str, bytes]]

    @property
    def kinds(self) -> set[str]:
        return {str(finding.kind) for finding in self.report.findings}

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.contents]

    @property
    def threats(self) -> list[str]:
        return [finding.threat for finding in self.report.findings]

    def holds(self, data: bytes) -> bool:
        """Whether an item is exactly this."""
        return any(content == data for _, content in self.contents)

    @property
    def plain(self) -> tuple[object, object]:
        """All but descriptors."""
        items = [(i.path, i.depth, i.size, i.md5, i.sha256, i.file_types) for i in self.report.items]
        return items, self.report.findings


def read(report: Report) -> Found:
    contents = [(item.path, os.pread(item.fd, item.size, 0)) for item in report.items]
    for item, (_, content) in zip(report.items, contents, strict=True):
        assert item.size == len(content)
        assert item.sha256 == hashlib.sha256(content).hexdigest()
        assert item.md5 == hashlib.md5(content).hexdigest()
    return Found(report, contents)


def walk(data: bytes, shape: Shape = Shape(), bounds: Bounds = Bounds()) -> Found:  # noqa: B008
    """Inspect in this process."""
    with body_of(data) as body:
        store = Store()
        try:
            return read(Walk(bounds, store).run(shape, store.piece_of(body.fd, body.size)))
        finally:
            store.close()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(*members: tuple[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
