"""A concrete request for a rule: what the linter's findings are proven with.

A request is drafted from the words of the rule's criteria and then held against the rule itself: it
counts only if the rule's own evaluation says that it holds. A draft may so be wrong, never a finding.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from icapd.http import HeadError, TargetError, is_address, normal_host
from icapd.policy.question import Answered, Question
from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from icapd.policy.facts import Facts
    from icapd.policy.match import Matcher, Truth
    from icapd.policy.model import Policy
    from icapd.policy.rules import Rule

HOST = "some.example"  # for rules that name no host; reserved, RFC 2606 §3
MONDAY = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)  # a working hour of a working day
MAX_CHOICES = 24  # drafts for one rule
_STEP = timedelta(minutes=15)
_WEEK = 7 * 24 * 4
_REMEMBERED = 32_768  # requests that the policy was asked about
_READ = 65_536  # bytes of a list's file in which a name of it is looked for
_SIZE = re.compile(r"([<>]=?)?\s*(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)i?[bB]?")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_URL = re.compile(r"=?(?:([a-z][a-z0-9+.-]*)://)?(\*\.)?([^/?#]+)([^?#]*)(?:\?(.*))?", re.IGNORECASE)


@dataclass(slots=True)
class Draft:
    """A request being put together; None is what no criterion has asked for yet."""

    host: str = HOST
    scheme: str | None = None
    port: int | None = None
    path: str | None = None
    query: str | None = None
    method: str | None = None
    client: str | None = None
    user: str | None = None
    groups: tuple[str, ...] | None = None
    proxy_port: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    answered: list[tuple[str, str]] | None = None  # response headers
    size: int | None = None
    start: bytes | None = None
    at: datetime = MONDAY

    def question(self) -> Question:
        """Return what was drafted as a question."""
        method = self.method or "GET"
        scheme = self.scheme or ("https" if self.port == 443 or method == "CONNECT" else "http")  # noqa: PLR2004
        default = {"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}.get(scheme, 80)
        port = self.port or default
        host = f"[{self.host}]" if ":" in self.host else self.host
        if method == "CONNECT":
            uri = f"{host}:{port}"
        else:
            where = host if port == default else f"{host}:{port}"
            uri = f"{scheme}://{where}{self.path or '/'}" + ("" if self.query is None else f"?{self.query}")
        response = None
        if self.answered is not None or self.size is not None or self.start is not None:
            response = Answered(200, tuple(self.answered or ()), self.size, self.start)
        asked = Question(
            method,
            uri,
            self.at.timestamp(),
            tuple(self.headers),
            (),
            self.groups,
            proxy_port=self.proxy_port,
            response=response,
        )
        return asked.as_user(self.client, self.user)


def _host(draft: Draft, text: str) -> None:
    name = text.removeprefix("=").removeprefix("*.").removeprefix(".")
    first = name.partition("/")[0] if "/" in name else name
    draft.host = normal_host(first)


def _url(draft: Draft, text: str) -> None:
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(text)
    scheme, _, authority, path, query = match.groups()
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit():
        host, port = authority, ""
    draft.host = normal_host(host)
    draft.scheme = scheme.lower() if scheme else draft.scheme
    draft.port = int(port) if port else draft.port
    draft.path, draft.query = path or draft.path, query if query is not None else draft.query


def _port(draft: Draft, text: str) -> None:
    draft.port = int(text.partition("-")[0])


def _client(draft: Draft, text: str) -> None:
    draft.client = text.partition("/")[0].partition("-")[0].strip()


def _size(draft: Draft, text: str) -> None:
    sign, number, unit = _SIZE.match(text.strip()).groups()  # type: ignore[union-attr]  # loaded, so it fits
    size = int(float(number) * _UNITS[unit.lower()]) + {">": 1, "<": -1}.get(sign, 0)
    draft.size = max(0, size)
    draft.answered = [*(draft.answered or ()), ("Content-Length", str(draft.size))]


def _mime(draft: Draft, text: str) -> None:
    kind = text.replace("/*", "/x-any").replace("*", "application")
    draft.answered = [*(draft.answered or ()), ("Content-Type", kind)]


def _file_type(draft: Draft, text: str) -> None:
    starts = {"exe": b"MZ\x90\0", "zip": b"PK\x03\x04", "pdf": b"%PDF-1.7", "elf": b"\x7fELF"}
    draft.start = starts[text.lower()]
    draft.answered = draft.answered or []


def _direction(draft: Draft, text: str) -> None:
    if text.lower() == "response":
        draft.answered = draft.answered or []


def _header(draft: Draft, text: str) -> None:
    name, _, value = text.partition(":")
    said = (name.strip(), value.strip().replace("*", "x"))
    draft.headers.append(said)
    if draft.answered is not None:
        draft.answered.append(said)


def _set(name: str) -> Callable[[Draft, str], None]:
    return lambda draft, text: setattr(draft, name, text.replace("*", "x"))


_FILL: dict[str, Callable[[Draft, str], None]] = {
    "host": _host,
    "homograph": _host,
    "url": _url,
    "method": lambda draft, text: setattr(draft, "method", text.upper()),
    "port": _port,
    "scheme": lambda draft, text: setattr(draft, "scheme", text.lower()),
    "client": _client,
    "user": _set("user"),
    "group": lambda draft, text: setattr(draft, "groups", (*(draft.groups or ()), text.replace("*", "x"))),
    "proxy_port": lambda draft, text: setattr(draft, "proxy_port", int(text.partition("-")[0])),
    "path": lambda draft, text: setattr(draft, "path", text if text.startswith("/") else f"/{text}"),
    "file_name": lambda draft, text: setattr(draft, "path", "/" + text.replace("*", "file")),
    "user_agent": lambda draft, text: draft.headers.append(("User-Agent", text.replace("*", " x "))),
    "upgrade": lambda draft, text: draft.headers.append(("Upgrade", text.replace("*", "websocket"))),
    "header": _header,
    "request_header": _header,
    "direction": _direction,
    "mime": _mime,
    "size": _size,
    "content_length": _size,
    "file_type": _file_type,
}
_LATE = frozenset({"schedule", "workspace"})  # found by trying, or by who asks


class Witnesses:
    """Drafts requests for the rules of one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._members = members_of(policy)
        self._times: dict[tuple[str, ...], datetime | None] = {}
        self._known: dict[tuple[int, Point], tuple[Question, Facts | None]] = {}
        self._who = {workspace.name: workspace.when for workspace in policy.workspaces}

    def has_members(self, name: str) -> bool:
        """Whether a name of the list was found."""
        return name in self._members

    def for_rule(self, rule: Rule, *also: Matcher, limit: int = MAX_CHOICES) -> Iterator[Question]:
        """Yield requests that `rule` holds for, and `also` too, at the last point that they are asked at."""
        for draft in itertools.islice(self.drafts((*rule.when, *also)), limit):
            for variant in _variants(draft, excepted=bool(rule.unless)):
                question = variant.question()
                if self.truth(rule, question):
                    yield question
                    break

    def drafts(self, matchers: Sequence[Matcher]) -> Iterator[Draft]:
        """Yield drafts for `matchers`, each value of the criterion with most values once."""
        matchers = [*matchers, *self._members_of(matchers)]
        values = [self._values(one) for one in matchers]
        for number in range(max((1, *map(len, values)))):
            draft = Draft()
            try:
                for matcher, each in sorted(zip(matchers, values, strict=True), key=_hosts_first):
                    if each:
                        fill = _FILL.get("host" if matcher.criterion in _LISTS else matcher.criterion)
                        if fill is not None:
                            fill(draft, each[number % len(each)])
                    when = self._time(matcher) if matcher.criterion == "schedule" else None
                    draft.at = when or draft.at
            except (ValueError, KeyError, AttributeError):  # nothing can be drafted from that value
                continue
            yield draft

    def _members_of(self, matchers: Sequence[Matcher]) -> Iterator[Matcher]:
        """Yield the criteria of the workspaces that `matchers` ask for."""
        for one in matchers:
            if one.criterion == "workspace":
                yield from self._who.get(one.wanted[0], ())

    def _values(self, matcher: Matcher) -> tuple[str, ...]:
        if matcher.criterion in _LISTS:
            lists: tuple[str, ...] = getattr(matcher, "lists", matcher.wanted)
            return tuple(self._members[name] for name in lists if name in self._members)
        return () if matcher.criterion in _LATE else matcher.wanted

    def _time(self, matcher: Matcher) -> datetime | None:
        """Return a time at which a schedule holds, tried in quarters of an hour over a week."""
        if matcher.wanted not in self._times:
            times = (MONDAY + number * _STEP for number in range(_WEEK))
            ask = Draft().question()
            facts = ((at, self.facts(replace(ask, at=at.timestamp()), Point.REQMOD)) for at in times)
            self._times[matcher.wanted] = next(
                (at for at, one in facts if one is not None and matcher.truth(one, strict=False)), None
            )
        return self._times[matcher.wanted]

    def facts(self, question: Question, point: Point) -> Facts | None:
        """Return what matchers may ask of the question, or None where it is ill-formed."""
        key = id(question), point  # which stays its own as long as it is kept here
        if key in self._known:
            return self._known[key][1]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        try:
            facts = self.policy.facts(question.transaction(point))
        except HeadError:
            facts = None
        self._known[key] = question, facts
        return facts

    def truth(self, rule: Rule, question: Question) -> Truth:
        """Say whether `rule` holds at the last point that the question reaches."""
        point = Point.REQMOD if question.response is None or question.is_connect else Point.RESPMOD
        facts = self.facts(question, point)
        return None if facts is None else rule.truth(facts)


_LISTS = frozenset({"list", "category"})


def _hosts_first(pair: tuple[Matcher, tuple[str, ...]]) -> int:
    order = ("list", "category", "host", "homograph", "url", "direction", "mime", "size")
    return order.index(pair[0].criterion) if pair[0].criterion in order else len(order)


def _variants(draft: Draft, *, excepted: bool) -> Iterable[Draft]:
    """Yield the draft, and others near it that an `unless` entry might not except."""
    yield draft
    if not excepted:
        return
    if not is_address(draft.host):
        yield replace(draft, host=f"other.{draft.host}")
    yield replace(draft, path=f"{(draft.path or '').rstrip('/')}/other")
    if draft.method is None:
        yield replace(draft, method="POST")
        yield replace(draft, method="CONNECT", port=draft.port or 443)
    yield replace(draft, at=draft.at + timedelta(hours=12))


def members_of(policy: Policy) -> dict[str, str]:
    """Return a host of each list that has one near the beginning of its files."""
    found: dict[str, str] = {}
    for file in policy.lists.files:
        for word in _words(file):
            try:
                host = normal_host(word)
            except TargetError:
                continue
            for name in policy.lists.lookup(host):
                found.setdefault(name, host)
    return found


def _words(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_READ).decode("utf-8", "replace")
    except OSError:
        return
    seen = 0
    for line in text.splitlines():
        for word in re.split(r"[\s,;|^]+", line.partition("#")[0]):
            name = word.removeprefix("*.").strip(".")
            if "." in name and "/" not in name:
                yield name
                seen += 1
        if seen > 200:  # noqa: PLR2004  (one member is enough)
            return
