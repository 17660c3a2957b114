"""Block pages and redirect targets: templates are data, every value is escaped once for its place.

A page travels in one ICAP header line as well as in a body, so it is one line, without CR or LF,
and below 60,000 bytes whatever the values: Squid 5.7 passes 60 KB of header, and fails closed at 70
KB (measured). Template rules: HTML comments are dropped, line ends become a space, and a
line with macros is left out when all of them are empty ("User: " says nothing).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote

from icapd.data import read_shared
from icapd.errors import ConfigError, ConfigErrors
from icapd.http import TargetError
from icapd.macros import MacroError, Template
from icapd.policy import Refuse
from icapd.transaction import Point
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    from icapd.policy import Decision
    from icapd.transaction import Transaction

MAX_PAGE = 59_999  # bytes
MAX_LOCATION = 8_000  # bytes; what servers and browsers accept as a URL
_MAX_VALUE = 512  # bytes of one value once escaped; a reader has no use for more
_MIN_VALUE = 64  # bytes; a template that leaves less is refused
_ELLIPSIS = "…"

# Beside HTML's own five: controls, bidi and zero-width marks, tag characters, lone surrogates. They
# could split the line, reorder what the reader sees, or hide in it; they are shown by their number.
_SPECIAL = re.compile(
    "[&<>\"'\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_PLAIN = re.compile(r"[ !#-%(-;=?-~]*").fullmatch  # printable ASCII but & < > " ': most values, a byte each
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MACRO_IN = re.compile(r"\{[a-z_]+\}")
_UNQUOTED = re.compile(r"""=\s*[^\s"'>]*\{[a-z_]+\}""")
_URL_ATTRIBUTES = frozenset({"action", "data", "formaction", "href", "src", "srcset", "xlink:href"})
# What RFC 3986 lets stand in a URL, and % since an admin writes URLs already encoded.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=~"
SCAN_RESULTS = {
    Kind.MALWARE: "Malware",
    Kind.PHISHING: "Phishing",
    Kind.MALICIOUS_URL: "Malicious link",
    Kind.MACRO: "Document with macros",
    Kind.ENCRYPTED: "Encrypted object",
    Kind.UNSCANNABLE: "Could not be scanned",
    Kind.LIMIT: "Too complex to be scanned",
    Kind.TOO_LARGE: "Too large to be scanned",
    Kind.PARTIAL: "Part of an object, which cannot be scanned",
    Kind.TYPE_MISMATCH: "Not of the type it claims to be",
    Kind.ACTIVE_CONTENT: "Document with active content",
    Kind.STREAM: "Endless stream, which cannot be scanned",
}
_SERVER_NAME = os.uname().nodename


# A line with macros: the markup before it, itself with %s for each macro, their names.
_Line = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Pages:
    """The block page: its lines with macros, each with the markup before it, and what follows the last.

    `names` are the macros it uses. `limit` is how many bytes one value may take so that the whole stays
    within MAX_PAGE.
    """

    lines: tuple[_Line, ...]
    rest: str
    limit: int
    names: tuple[str, ...]
    fits: bool = True

    @classmethod
    def load(cls, template: Path | None, *, fits: bool = True) -> Pages:
        """Read a page template, UTF-8 HTML; None is the one icapd ships.

        `fits`: parts of other pages (images, scripts, …) get something of their kind instead of the page.

        Raises ConfigErrors: unreadable, unknown macros, macros where no escaping could hold, too large.
        """
        if template is None:
            return _compiled("block.html", read_shared("rules", "pages", "block.html"), fits=fits)
        try:
            text = template.read_bytes().decode()
        except OSError as error:
            raise ConfigErrors([ConfigError(template, 0, f"cannot be read: {error.strerror}")]) from None
        except UnicodeDecodeError as error:
            line = template.read_bytes()[: error.start].count(b"\n") + 1
            raise ConfigErrors([ConfigError(template, line, "not UTF-8")]) from None
        return _compiled(str(template), text, fits=fits)

    @classmethod
    def notice(cls) -> Pages:
        """Return the page that tells of a download that was stopped too late to tell it in its place."""
        return _compiled("stopped.html", read_shared("rules", "pages", "stopped.html"), fits=False)

    def block(self, values: Mapping[str, str]) -> bytes:
        """Return the page with `values` (of macros.MACROS) filled in: one line of UTF-8 HTML."""
        limit = self.limit
        shown = dict.fromkeys(self.names, "")
        for name in self.names:
            value = values.get(name)
            if value:
                shown[name] = _shown_in(value, limit)
        out = []
        for before, form, names in self.lines:
            out.append(before)
            found = tuple([shown[name] for name in names])
            if any(found):
                out.append(form % found)
        out.append(self.rest)
        return "".join(out).encode()

    def begun(self, known: Mapping[str, str], later: Container[str]) -> BegunPage:
        """Return the page with what is `known` filled in; values of `later` follow, none of them empty."""
        out: list[str] = []
        left: list[str] = []
        for before, form, names in self.lines:
            out.append(before.replace("%", "%%"))
            if not any(name in later or known.get(name) for name in names):
                continue
            left += [name for name in names if name in later]
            # what is filled in later keeps its place; of what is known a % is no place
            found = (
                "%s" if name in later else _shown_in(known.get(name, ""), self.limit).replace("%", "%%")
                for name in names
            )
            out.append(form.replace("%%", "%%%%") % tuple(found))
        out.append(self.rest.replace("%", "%%"))
        return BegunPage("".join(out), tuple(left), self.limit)

    @staticmethod
    def location(template: Template, values: Mapping[str, str]) -> str:
        """Return a redirect target, ASCII: of each value all but unreserved characters is percent-encoded.

        So a value stays one value wherever it stands: it cannot add a path segment, a parameter or a
        header. Long values are cut, never inside an encoded character. Source: RFC 3986 §2.
        """
        parts = list(template.parts)
        parts[::2] = [quote(part, safe=_URL_SAFE, errors="replace") for part in parts[::2]]
        limit = max(0, MAX_LOCATION - sum(map(len, parts[::2]))) // max(1, len(parts) // 2)
        for i in range(1, len(parts), 2):
            parts[i] = _encoded(values.get(parts[i], ""), limit)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class BegunPage:
    """A block page that lacks the values of `names`, in this order; some may stand twice."""

    form: str
    names: tuple[str, ...]
    limit: int

    def block(self, values: Mapping[str, str]) -> bytes:
        """Return the page, as `Pages.block` does; no value is empty."""
        limit = self.limit
        return (self.form % tuple([_shown_in(values[name], limit) for name in self.names])).encode()


def page_values(*, tx: Transaction, decision: Decision, decision_id: str, url: str) -> dict[str, str]:
    """Return a value for every macro, "" where there is none. `url` is what the user asked for."""
    request, response = tx.request, tx.response
    return {
        "application": "icapd",
        "category": decision.category or "",
        "client_ip": tx.client.address or "",
        "date": page_date(int(tx.now)),
        "decision_id": decision_id,
        "host": _host(tx),
        "method": request.method if request else "",
        "mime_type": (response.headers.text(b"content-type") or "") if response else "",
        "rule": decision.rule.name if decision.rule else "",
        "scan_result": _scan_result(decision),
        "server_name": _SERVER_NAME,
        "threat": decision.threat,
        "type": "Response" if tx.point is Point.RESPMOD else "Request",
        "url": url,
        "user": tx.client.user or "",
        "user_agent": (request.headers.text(b"user-agent") or "") if request else "",
        "workspace": decision.workspace or "",
    }


def _scan_result(decision: Decision) -> str:
    """Say what the worst finding is, or why a target was refused."""
    if isinstance(decision.action, Refuse):
        return decision.action.reason
    return "" if decision.worst is None else SCAN_RESULTS[decision.worst.kind]


@lru_cache(2)  # made once a second, not once a page
def page_date(second: int) -> str:
    """Return the local time of a page, with its zone."""
    return datetime.fromtimestamp(second, UTC).astimezone().isoformat(timespec="seconds")


def _host(tx: Transaction) -> str:
    if tx.request is not None:
        try:
            return tx.request.url.host
        except TargetError:
            pass  # refused for just that; the page then names what else is known
    return tx.connect_host or tx.sni or ""


def _shown(match: re.Match[str]) -> str:
    char = match[0]
    return _ENTITIES.get(char) or f"[U+{ord(char):04X}]"


def escaped(value: str, limit: int = _MAX_VALUE) -> str:
    """Escape `value` for HTML text or a quoted attribute, in at most `limit` bytes."""
    return _shown_in(value, limit)


def _shown_in(value: str, limit: int) -> str:
    """Escape `value` for HTML in at most `limit` bytes."""
    return value if len(value) <= limit and _PLAIN(value) is not None else _fitted(value, limit)


def _fitted(value: str, limit: int) -> str:
    """Escape `value` for HTML in at most `limit` bytes; a cut is marked and never splits a character."""
    text = _SPECIAL.sub(_shown, value[:limit])
    if len(value) <= limit and len(text.encode()) <= limit:
        return text
    room = limit - len(_ELLIPSIS.encode())
    kept = []
    for char in value[:room]:
        shown = _SPECIAL.sub(_shown, char)
        room -= len(shown.encode())
        if room < 0:
            break
        kept.append(shown)
    return "".join(kept) + _ELLIPSIS


def _encoded(value: str, limit: int) -> str:
    """Percent-encode `value` in at most `limit` bytes, whole characters only."""
    text = quote(value[:limit], safe="", errors="replace")
    if len(text) <= limit:
        return text
    kept = []
    for char in value:
        encoded = quote(char, safe="", errors="replace")
        limit -= len(encoded)
        if limit < 0:
            break
        kept.append(encoded)
    return "".join(kept)


def _compiled(file: str, text: str, *, fits: bool) -> Pages:
    """Check a template and split it. Raises ConfigErrors."""
    errors = [
        ConfigError(file, text[: match.start()].count("\n") + 1, "a control character")
        for match in _CONTROL.finditer(text.replace("\r\n", "\n"))
    ]
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text.replace("\r\n", "\n"))
    places = _Places(file)
    places.feed(text)
    places.close()
    errors += places.errors
    lines: list[tuple[str, Template]] = []
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        try:
            template = Template.parse(line.strip() + " " if line.strip() else "")
        except MacroError as error:
            errors.append(ConfigError(file, number, str(error)))
            continue
        if template.names:
            lines.append((before, template))
            before = ""
        else:
            before += template.text
    markup = sum(len(head.encode()) + len("".join(template.parts[::2]).encode()) for head, template in lines)
    count = sum(len(template.parts) // 2 for _, template in lines)
    limit = min(_MAX_VALUE, (MAX_PAGE - markup - len(before.encode())) // max(1, count))
    if limit < _MIN_VALUE:
        errors.append(ConfigError(file, 0, f"too large: with {count} macros it can exceed {MAX_PAGE} bytes"))
    if errors:
        raise ConfigErrors(errors)
    forms = tuple((head, _form(template), template.parts[1::2]) for head, template in lines)
    names = tuple(dict.fromkeys(name for *_, used in forms for name in used))
    return Pages(forms, before.rstrip(), limit, names, fits)


def _form(template: Template) -> str:
    return "%s".join(part.replace("%", "%%") for part in template.parts[::2])


class _Places(HTMLParser):
    """Finds macros where HTML escaping does not hold: scripts, styles, event and URL attributes, tags."""

    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self.errors: list[ConfigError] = []
        self._file = file
        self._raw = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in {"script", "style"} else ""
        source = self.get_starttag_text() or ""
        if _MACRO_IN.search(tag) or any(_MACRO_IN.search(name) for name, _ in attrs):
            self._found("as part of a tag")
        elif _UNQUOTED.search(source):
            self._found("in an attribute without quotes")
        for name, value in attrs:
            if not _MACRO_IN.search(value or ""):
                continue
            if name.startswith("on") or name in {"style", "srcdoc"}:
                self._found(f"in {name}=")
            elif name in _URL_ATTRIBUTES:
                self._found(f"in {name}= (a value could be a javascript: URL)")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._raw = ""

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw and _MACRO_IN.search(data):
            self._found(f"inside <{self._raw}>")

    def _found(self, where: str) -> None:
        self.errors.append(ConfigError(self._file, self.getpos()[0], f"a macro may not stand {where}"))
