"""What documents hold: one question for every kind of them."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from icapd.content import biff, odf, office
from icapd.content.budget import Bounds, Budget, LimitReached
from icapd.content.html import look_markup
from icapd.content.literal import Words
from icapd.content.look import Look, found
from icapd.content.ole import MAGIC, look_ole
from icapd.content.pdf import look_pdf
from icapd.content.plaintext import plain
from icapd.content.rtf import look_rtf
from icapd.verdicts import Finding, Kind

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

__all__ = ["Look", "is_quiet", "look"]

_HEAD = 4096
_MARKUP = frozenset(["html", "xml", "svg", "hta", "wsf"])
_MARKUP_NAME = re.compile(r"\.(?:s?html?|xhtml|hta|svgz?|xml|rels|fod[tsp]|mht(?:ml)?)\Z", re.IGNORECASE)
_MARKUP_SIGN = re.compile(rb"<(?:script|hta:|html|svg|iframe)", re.IGNORECASE)
_BLANK = b"\xef\xbb\xbf\t\n\x0b\x0c\r \0"
_SIGN_WITHIN = 16384
# One is in whatever a look at markup finds
_WORDS = Words(
    *(b"data", b"file", b"module", b"source-code", b"event-listener", b"instr", b"ddelink", b"macrosheet"),
    *(b"relationships", b"pkg:package", b"hta:application", b"vbscript", b"createobjecturl", b"mssave"),
    *(b"atob", b"<svg", b":svg"),
)


def look(
    data: memoryview | mmap.mmap | bytes,
    types: tuple[str, ...],
    name: str,
    budget: Budget,
    members: tuple[str, ...] = (),
) -> Look:
    """Look inside a document, as each kind that it may be taken for.

    `types` are those its content shows, `name` is its file name, `members` the names in a zip. Raises
    LimitReached alone, also out of `parts`; a document that cannot be read is a finding UNSCANNABLE.
    """
    questions = _questions(data, types, name, budget, members)
    if not questions:
        return Look()
    content = bytes(data)
    looks = [_asked(kind, question, content) for kind, question in questions]
    return Look(
        tuple(dict.fromkeys(chain.from_iterable(one.findings for one in looks))),
        chain.from_iterable(_guarded(one) for one in looks),
        tuple(dict.fromkeys(chain.from_iterable(one.types for one in looks))),
    )


def is_quiet(data: bytes, types: tuple[str, ...], name: str) -> bool:
    """Tell that `look` would find nothing: cheap whatever `data` is, and in doubt False."""
    kinds = [kind for kind, _ in _questions(data, types, name, Budget(Bounds(), 1), ())]
    if not kinds:
        return True
    return kinds == ["markup"] and plain(data) is data and is_quiet_markup(data)


def is_quiet_markup(text: bytes) -> bool:
    """Tell that `_markup` would find nothing, by the words without which it never does."""
    return not _WORDS.any_in(text) and office.is_without_calls(text)


def _questions(
    data: memoryview | mmap.mmap | bytes,
    types: tuple[str, ...],
    name: str,
    budget: Budget,
    members: tuple[str, ...],
) -> list[tuple[str, Callable[[bytes], Look]]]:
    """Return what to ask of a document."""
    head = bytes(data[:_HEAD])
    questions = _by_head(head, types, name, budget, members)
    if not questions and not (b"\0" in head and plain(head) is head):
        start = plain(bytes(data[:_SIGN_WITHIN]))
        if _MARKUP_SIGN.search(start) is not None:
            questions = [("markup", lambda content: _markup(content, budget))]
    return questions


def _by_head(
    head: bytes, types: tuple[str, ...], name: str, budget: Budget, members: tuple[str, ...]
) -> list[tuple[str, Callable[[bytes], Look]]]:
    """Return what to ask of content that begins with `head`."""
    asked: list[tuple[str, Callable[[bytes], Look]]] = []
    text = head.lstrip(_BLANK)
    if head.startswith(MAGIC):
        asked.append(("OLE", lambda content: look_ole(content, budget)))
    if members or "zip" in types:
        asked.append(("OOXML", lambda content: office.look_package(content, members)))
        asked.append(("ODF", lambda content: odf.look_package(content, members)))
    if "pdf" in types or b"%PDF-" in head[:1040]:
        asked.append(("PDF", lambda content: look_pdf(content, budget)))
    if text.startswith(b"{\\rt"):
        asked.append(("RTF", lambda content: look_rtf(content, budget)))
    if head.startswith(b"ActiveMime"):
        asked.append(("ActiveMime", lambda content: Look(parts=office.active_mime(content, budget))))
    if biff.is_old_workbook(head):
        asked.append(("XLS", lambda content: _old_workbook(content, budget)))
    if _MARKUP & set(types) or text.startswith(b"<") or (_MARKUP_NAME.search(name) and not asked):
        asked.append(("markup", lambda content: _markup(content, budget)))
    return asked


def _markup(content: bytes, budget: Budget) -> Look:
    text = plain(content)
    looks = (office.look_xml(text, budget), odf.look_xml(text), look_markup(text, budget))
    return Look(
        tuple(dict.fromkeys(chain.from_iterable(one.findings for one in looks))),
        chain.from_iterable(one.parts for one in looks),
    )


def _old_workbook(content: bytes, budget: Budget) -> Look:
    records = dict.fromkeys(biff.look_records(content, budget))
    return Look(tuple(found(kind, threat) for kind, threat in records))


def _asked(kind: str, question: Callable[[bytes], Look], content: bytes) -> Look:
    try:
        return question(content)
    except LimitReached:
        raise
    except Exception:  # noqa: BLE001  (hostile content: what fails is not looked into)
        return Look((_broken(kind),))


def _broken(kind: str) -> Finding:
    return found(Kind.UNSCANNABLE, f"{kind}: broken")


def _guarded(one: Look) -> Iterator[tuple[str, bytes]]:
    """Yield the parts as far as they can be made."""
    try:
        yield from one.parts
    except LimitReached:
        raise
    except Exception:  # noqa: BLE001  (as above; what could be made has been)
        return
