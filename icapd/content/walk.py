"""Inspecting one body: its codings undone, then everything that is inside, item by item.

Depth first, within one Budget. When a bound is met, that is a finding, and what came until then is
still there to be scanned. Nothing here raises on content: what a parser cannot stand is a finding too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icapd.content import archives, codings, documents, multipart, zips
from icapd.content.budget import Budget, LimitReached, Stream
from icapd.content.codings import Broken, Sealed
from icapd.content.mismatch import mismatch
from icapd.content.model import Item, Report
from icapd.content.part import Flaw, Part
from icapd.content.types import hidden, types_of
from icapd.content.whole import missing
from icapd.policy.filetypes import FAR
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Iterator

    from icapd.content.budget import Bounds
    from icapd.content.model import Shape
    from icapd.content.store import Piece, Store

    Buffer = mmap.mmap | bytes

BY = "content"  # who finds what is found here
MAX_FINDINGS = 100
MAX_THREAT = 200  # characters, of a threat as of a path
_STREAMS = {"gzip": "gzip", "bzip2": "bzip2", "xz": "xz", "lzma": "lzma", "zstd": "zstd"}


@dataclass(slots=True)
class _Draft:
    """An item under way."""

    path: str
    depth: int
    piece: Piece
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """Where an item stands and what is said of it; `above` are the digests of what it lies in."""

    path: str
    depth: int
    media: tuple[str, ...]
    names: tuple[str, ...]
    above: tuple[str, ...] = ()
    is_error: bool = False

    @property
    def is_mail(self) -> bool:
        return multipart.is_mail(self.media, b"")


@dataclass(slots=True)
class Walk:
    """One inspection. `store` owns all descriptors but the body's until the report is handed on."""

    bounds: Bounds
    store: Store
    flat: tuple[str, ...] | None = None  # types of a body that is known to hold nothing: no look into it
    _budget: Budget = field(init=False)
    _drafts: list[_Draft] = field(default_factory=list)
    _findings: dict[tuple[Kind, str], Finding] = field(default_factory=dict)
    _seen: dict[str, _Draft] = field(default_factory=dict)
    _partial: bool = False
    _sha256: str = ""

    def run(self, shape: Shape, body: Piece) -> Report:
        """Inspect a body. Raises only what is a fault of ours, or OSError where there is no room."""
        self._budget = Budget(self.bounds, max(body.size, 1))
        self._sha256 = body.sha256
        reason = missing(shape, body.size)
        if reason is not None:
            self._partial = True
            self._find(Kind.PARTIAL, reason, "")
        try:
            for piece in self._decoded(shape, body):
                self._visit(piece, _Told("", 0, shape.media, shape.names, is_error=shape.is_error))
        except LimitReached as limit:
            self._find(Kind.LIMIT, str(limit), "")
        return self.report()

    def report(self, *more: Finding) -> Report:
        """Return what there is so far, and `more`; for a walk that was broken off, too."""
        items = (
            Item(
                each.path,
                each.depth,
                each.piece.size,
                each.piece.fd,
                each.piece.md5,
                each.piece.sha256,
                each.types,
            )
            for each in self._drafts
        )
        return Report(tuple(items), (*self._findings.values(), *more), self._sha256)

    # --- Codings ---------------------------------------------------------------------------

    def _decoded(self, shape: Shape, body: Piece) -> Iterator[Piece]:
        """Yield the body with its codings undone; where they are broken, also as it came."""
        layers = codings.known(shape.codings)
        if not layers or body.size == 0:
            yield body
            return
        if len(layers) > self.bounds.codings:
            self._find(Kind.LIMIT, f"{len(layers)} content codings", "")
            yield body
            return
        piece = body
        for name in reversed(layers):
            if name not in codings.CODINGS:
                self._find(Kind.UNSCANNABLE, f"content coding {name}", "")
                break
            decoded, failure, limit = self._undo(name, piece)
            if decoded.size or failure is None:
                piece = decoded
            if failure is not None:
                self._broken(f"content coding {name}: {failure}", "")
                yield piece
                piece = body
                break
            if limit is not None:
                self._keep(piece, "", 0)
                raise limit
        yield piece

    def _undo(self, name: str, piece: Piece) -> tuple[Piece, Broken | None, LimitReached | None]:
        with piece.mapped() as data:
            made, failure = self.store.keep(codings.undo(name, data), Stream(self._budget, piece.size))
        if isinstance(failure, LimitReached):
            return made, None, failure
        if failure is not None and not isinstance(failure, Broken):
            failure = Broken(f"{type(failure).__name__}")
        return made, failure, None

    # --- Items -----------------------------------------------------------------------------

    def _keep(self, piece: Piece, path: str, depth: int) -> _Draft:
        types = self.flat
        if types is None:
            types = types_of(os.pread(piece.fd, min(FAR, piece.size), 0))
        draft = _Draft(path, depth, piece, types)
        self._drafts.append(draft)
        self._seen[piece.sha256] = draft
        return draft

    def _visit(self, piece: Piece, told: _Told) -> None:
        """Look at one item and at all that is inside. Raises LimitReached where nothing can go on."""
        if piece.sha256 in told.above:
            self._find(Kind.LIMIT, "contains itself", told.path)
            return
        old = self._seen.get(piece.sha256)
        draft = old or self._keep(piece, told.path, told.depth)
        lie = mismatch(draft.types, told.media, told.names, is_error=told.is_error)
        if lie is not None:
            self._find(Kind.TYPE_MISMATCH, lie, told.path)
        if self.flat is not None:
            return
        if old is not None and not multipart.is_multipart(told.media) and not told.is_mail:
            return
        try:
            self._budget.descend(told.depth)
        except LimitReached as limit:
            if self._holds_something(draft):
                self._find(Kind.LIMIT, str(limit), told.path)
            return
        with piece.mapped() as data:
            for part in self._parts(draft, data, told):
                if isinstance(part, Flaw):
                    self._find(part.kind, part.threat, _joined(told.path, part.name))
                else:
                    self._take(part, told, (*told.above, piece.sha256))

    def _take(self, part: Part, within: _Told, above: tuple[str, ...]) -> None:
        path = _joined(within.path, part.name)
        piece, failure = self.store.keep(part.chunks, Stream(self._budget, part.source))
        if isinstance(failure, LimitReached):
            if piece.size and piece.sha256 not in self._seen:
                self._keep(piece, path, within.depth + 1)
            raise failure
        if failure is not None and part.guessed:
            self.store.drop(piece)
            return
        if isinstance(failure, Sealed):
            self._find(Kind.ENCRYPTED, str(failure), path)
        elif isinstance(failure, Broken):
            self._broken(str(failure), path)
        elif failure is not None:
            self._find(Kind.UNSCANNABLE, f"{type(failure).__name__}", path)
        if piece.size == 0:
            self.store.drop(piece)
            return
        known = piece.sha256 in self._seen
        self._visit(piece, _Told(path, within.depth + 1, part.media, (part.name, *part.names), above))
        if known:
            self.store.drop(piece)

    # --- What is inside --------------------------------------------------------------------

    def _holds_something(self, draft: _Draft) -> bool:
        """Tell whether an item too deep to be opened could be opened."""
        kinds = {*archives.TYPES, *_STREAMS, "zip", "ole", "pdf", "rtf"}
        return not kinds.isdisjoint(draft.types)

    def _parts(self, draft: _Draft, data: Buffer, told: _Told) -> Iterator[Part | Flaw]:
        """Yield what every opener that fits finds; one that fails is a finding, and the next goes on."""
        for opener in self._openers(draft, data, told):
            parts = iter(opener)
            while True:
                try:
                    part = next(parts, None)
                except LimitReached:
                    raise
                except Exception as error:  # noqa: BLE001  (parsers of hostile content raise anything)
                    part = Flaw(Kind.UNSCANNABLE, f"cannot be read ({type(error).__name__})")
                    yield part
                    break
                if part is None:
                    break
                yield part

    def _openers(self, draft: _Draft, data: Buffer, told: _Told) -> Iterator[Iterable[Part | Flaw]]:
        types, media, names = draft.types, told.media, told.names
        if multipart.is_mail(media, data):
            yield multipart.message(data, self._budget)
        if multipart.is_multipart(media):
            yield multipart.split(data, media, self._budget)
        for kind in types:
            if kind in _STREAMS:
                yield self._stream(_STREAMS[kind], data, names)
            elif kind in archives.TYPES:
                yield archives.unpack(kind, draft.piece, self._budget)
            elif kind in archives.CLOSED:
                yield (Flaw(Kind.UNSCANNABLE, f"{kind} archive"),)
        for ending in codings.ENDINGS:
            name = ending[1:]
            if name not in types and any(one.lower().endswith(ending) for one in names):
                yield self._stream(name, data, names, guessed=True)
        members: tuple[str, ...] = ()
        if zips.MEMBER.is_in(data):
            yield self._zip(draft, data)
            members = zips.names(data, self._budget)
        yield self._document(draft, data, names, members)
        yield self._hidden(types, data)

    def _zip(self, draft: _Draft, data: Buffer) -> Iterator[Part | Flaw]:
        for part in zips.unzip(data, self._budget):
            if "zip" not in draft.types:
                draft.types = (*draft.types, "zip")
            yield part

    def _stream(
        self, name: str, data: Buffer, names: tuple[str, ...], *, guessed: bool = False
    ) -> Iterator[Part]:
        """Yield what a compressed file holds: as one, and each of its streams if there are several."""
        inner = next((_stem(one) for one in names if one), "")
        self._budget.member()
        breaks = _Breaks(codings.undo(name, data))
        yield Part(inner, breaks, len(data), guessed=guessed)
        if len(breaks.sizes) > 1 and len(data) < self.bounds.spared:
            for i in range(min(len(breaks.sizes), 16)):
                self._budget.member()
                yield Part(
                    f"{inner or 'stream'}#{i + 1}",
                    _only(codings.undo(name, data), i),
                    len(data),
                    guessed=True,
                )

    def _document(
        self, draft: _Draft, data: Buffer, names: tuple[str, ...], members: tuple[str, ...]
    ) -> Iterator[Part | Flaw]:
        name = names[0] if names else ""
        look = documents.look(data, draft.types, name, self._budget, members)
        draft.types = tuple(dict.fromkeys((*draft.types, *look.types)))
        for finding in look.findings:
            self._find(finding.kind, finding.threat, _joined(draft.path, finding.where), finding.by)
        for inner, content in look.parts:
            self._budget.member()
            yield Part(inner, (content,), len(data))

    def _hidden(self, types: tuple[str, ...], data: Buffer) -> Iterator[Part]:
        for kind, at in hidden(data):
            if kind not in types:
                self._budget.member()
                yield Part(f"{kind}@{at}", _rest(data, at), len(data), guessed=True)

    # --- Findings --------------------------------------------------------------------------

    def _broken(self, threat: str, path: str) -> None:
        """Tell of content that breaks off: of a slice, that is no news."""
        if not self._partial:
            self._find(Kind.UNSCANNABLE, threat, path)

    def _find(self, kind: Kind, threat: str, path: str, by: str = BY) -> None:
        if self._partial and kind is Kind.UNSCANNABLE:
            return
        text = _shown(threat)
        if len(self._findings) < MAX_FINDINGS:
            self._findings.setdefault((kind, text), Finding(kind, text, by, _shown(path)))


@dataclass(slots=True)
class _Breaks:
    """Chunks passed on, with the sizes of the streams they came from (b"" stands between these)."""

    chunks: Iterable[bytes]
    sizes: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.chunks:
            size += len(chunk)
            if not chunk:
                self.sizes.append(size)
                size = 0
            yield chunk


def _only(chunks: Iterable[bytes], wanted: int) -> Iterator[bytes]:
    at = 0
    for chunk in chunks:
        if not chunk:
            at += 1
            if at > wanted:
                return
        elif at == wanted:
            yield chunk


def _rest(data: Buffer, start: int) -> Iterator[bytes]:
    for at in range(start, len(data), codings.STEP):
        yield bytes(data[at : at + codings.STEP])


def _stem(name: str) -> str:
    """Return the name a compressed file unpacks to."""
    base, dot, ending = name.rpartition(".")
    ending = ending.lower()
    if not dot:
        return name
    return f"{base}.tar" if ending in {"tgz", "tbz2", "tbz", "txz", "tzst"} else base


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path and name else path or name


def _shown(text: str) -> str:
    """Return text that may go anywhere: printable, and not long."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_THREAT])
