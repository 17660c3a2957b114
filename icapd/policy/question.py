"""A question about a transaction that has not happened: as JSON, YAML or options give it.

The heads are put together as they would come over the wire and read by the same code that
reads them from Squid; only what somebody else finds out (names of the tunnel, addresses,
facts of a body) is set beside them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from icapd.facts import FRAGMENT, USUAL, UserHeaders, transaction_of
from icapd.http import HeadError
from icapd.policy.filetypes import sniff
from icapd.policy.scanned import BodyText, ErrorsText, FindingsText, Scanned, scanned_of
from icapd.transaction import BodyFacts, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icapd.transaction import Client, Transaction

Fields = tuple[tuple[str, str], ...]
NOTHING = Scanned()

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FOLD = re.compile(r"\r\n(?=[ \t])")
_LINE_BREAK = re.compile(r"[\r\n\x00]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_SHOWN = 8  # faults of one line


@dataclass(frozen=True, slots=True)
class Answered:
    """The response that a RESPMOD would bring. `size` is of its body in bytes, `start` its first bytes."""

    status: int = 200
    headers: Fields = ()
    size: int | None = None
    start: bytes | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a request with everything that is known beside it, at `at` (seconds, epoch)."""

    method: str
    uri: str
    at: float
    headers: Fields = ()
    icap_headers: Fields = ()
    groups: tuple[str, ...] | None = None
    sni: str | None = None
    connect_host: str | None = None
    proxy_port: int | None = None
    addresses: tuple[str, ...] = ()
    response: Answered | None = None
    scanned: Scanned = NOTHING
    unread: tuple[str, ...] = field(default=(), compare=False)  # keys that mean nothing here
    names: UserHeaders = USUAL  # how the configuration has users named
    complete: Callable[[Client], object] | None = field(default=None, compare=False)  # adds known groups

    @property
    def is_connect(self) -> bool:
        """Whether a tunnel is asked for, as icapd reads methods."""
        return self.method.upper() in {"CONNECT", "NONE"}

    def as_user(self, client: str | None, user: str | None) -> Question:
        """Return the same question asked by another client or user (None leaves it)."""
        if client is None and user is None:
            return self
        names = self.names
        fragment = any(name.lower() == FRAGMENT.decode("ascii") for name, _ in self.icap_headers)
        if user is not None and (names.encoding == "base64" or (names.encoding == "auto" and fragment)):
            user = base64.b64encode(user.encode("utf-8", "surrogateescape")).decode("ascii")
        said = [("X-Client-IP", client), (names.name.decode("ascii"), user)]
        new = tuple((name, value) for name, value in said if value is not None)
        gone = {name.lower() for name, _ in new}
        kept = tuple(one for one in self.icap_headers if one[0].lower() not in gone)
        return replace(self, icap_headers=(*new, *kept))

    def request(self) -> bytes:
        """Return the head of the request. Raises HeadError where it can be none."""
        line = f"{self.method} {self.uri} HTTP/1.1"
        if "\r\n" in line:
            raise HeadError("the request line holds a line break")
        return _head(line, self.headers)

    def transaction(self, point: Point) -> Transaction:
        """Return the facts at `point`. Raises HeadError where no reader could agree upon the message."""
        icap = {
            _name(name).lower().encode("ascii"): _icap_value(name, value) for name, value in self.icap_headers
        }
        response = self.response if point is Point.RESPMOD else None
        head = None if response is None else _head(f"HTTP/1.1 {response.status} Given", response.headers)
        tx = transaction_of(point, icap, self.request(), head, self.at, self.names)
        if self.groups is not None:
            tx.client.groups = self.groups
        elif self.complete is not None:
            self.complete(tx.client)
        tx.sni = self.sni or tx.sni
        tx.connect_host = self.connect_host or tx.connect_host
        tx.proxy_port = self.proxy_port or tx.proxy_port
        tx.addresses += self.addresses
        if response is not None:
            tx.body = _body(response)
            if response.server is not None:
                tx.addresses += (response.server,)
        if self.scanned.body is not None and point is self.last_point:
            tx.body = _both(self.scanned.body, tx.body)
        return tx

    @property
    def last_point(self) -> Point:
        """Where the message is asked about that was scanned: the response, if there is one."""
        return Point.REQMOD if self.response is None or self.is_connect else Point.RESPMOD


def _body(response: Answered) -> BodyFacts | None:
    if response.size is None and response.start is None:
        return None
    return BodyFacts(size=response.size, file_types=_types_of(response.start))


def _both(one: BodyFacts, other: BodyFacts | None) -> BodyFacts:
    """Return `one`, and of the other what it does not say."""
    if other is None:
        return one
    said = (getattr(one, part.name) for part in fields(one))
    return BodyFacts(
        *(
            value if value is not None else getattr(other, part.name)
            for value, part in zip(said, fields(one), strict=True)
        )
    )


def _types_of(start: bytes | None) -> tuple[str, ...] | None:
    return None if start is None else sniff(start)


def _name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise HeadError(f"{name[:40]!r} is no header name")
    return name


def _icap_value(name: str, value: str) -> bytes:
    if _CONTROL.search(value):
        raise HeadError(f"the ICAP header {name} holds a control character")
    return value.strip().encode("utf-8", "surrogateescape")


def _head(line: str, headers: Fields) -> bytes:
    fields = []
    for name, value in headers:
        if _LINE_BREAK.search(_FOLD.sub("", value)):
            raise HeadError(f"the header {_name(name)} holds a line break")
        fields.append(f"{_name(name)}: {value}")
    return "\r\n".join((line, *fields, "", "")).encode("utf-8", "surrogatepass")


# --- From JSON and YAML -------------------------------------------------------------------


def _as_fields(value: object) -> object:
    """Take {name: value or list of values}, or a list of "Name: value"."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        return tuple(map(read_field, value))
    if not isinstance(value, dict):
        raise ValueError("headers are {name: value} or a list of 'Name: value'")  # noqa: TRY004  (pydantic's)
    return tuple(
        (str(name), str(one))
        for name, given in value.items()
        for one in (given if isinstance(given, (list, tuple)) else (given,))
    )


def read_field(text: object) -> tuple[str, str]:
    """Return the name and value of "Name: value". Raises ValueError."""
    if isinstance(text, (list, tuple)) and len(text) == 2:  # noqa: PLR2004  (name and value)
        return str(text[0]), str(text[1])
    name, colon, value = str(text).partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()):
        raise ValueError(f"{text!r} is not 'Name: value'")
    return name.strip(), value.strip()


def read_time(value: object) -> float:
    """Return seconds since the epoch of ISO 8601 text (local time where no zone is given) or of a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        msg = f"{value!r} is no time such as 2026-11-27T22:00:00+01:00"
        raise ValueError(msg) from error


def _as_texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


FieldsText = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_as_fields)]
Time = Annotated[float, BeforeValidator(read_time)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class ResponseText(_Loose):
    """`response` of a question."""

    status: int = Field(default=200, ge=100, le=999)
    headers: FieldsText = ()
    body_len: int | None = Field(default=None, ge=0)
    body_head_hex: str | None = Field(default=None, pattern="^([0-9A-Fa-f]{2})*$")
    server_ip: str | None = None


class MetaText(_Loose):
    """`meta` of a question: what Squid or a resolver would tell."""

    sni: str | None = None
    connect_host: str | None = None
    proxy_port: int | None = Field(default=None, ge=1, le=65535)
    resolved: Texts = ()


class QuestionText(_Loose):
    """One question as a JSON line gives it."""

    id: Any = None
    method: str = "GET"
    uri: str
    headers: FieldsText = ()
    icap_headers: FieldsText = ()
    groups: Texts | None = None
    meta: MetaText = MetaText()
    response: ResponseText | None = None
    body: BodyText | None = None
    findings: FindingsText = ()
    errors: ErrorsText = ()
    at: Time | None = None


def read_question(value: object, now: float) -> Question:
    """Return the question that a JSON value asks; without `at` it is asked `now`. Raises ValueError."""
    try:
        text = QuestionText.model_validate(value)
    except ValidationError as error:
        raise ValueError("; ".join(_faults(error))) from None
    return question_of(text, now)


def question_of(text: QuestionText, now: float) -> Question:
    """Return the question that was read."""
    return Question(
        text.method,
        text.uri,
        now if text.at is None else text.at,
        text.headers,
        text.icap_headers,
        text.groups,
        text.meta.sni,
        text.meta.connect_host,
        text.meta.proxy_port,
        text.meta.resolved,
        None if text.response is None else answered_of(text.response),
        scanned_of(text.findings, text.errors, text.body),
        tuple(_unread(text)),
    )


def answered_of(text: ResponseText) -> Answered:
    """Return the response that was read."""
    start = None if text.body_head_hex is None else bytes.fromhex(text.body_head_hex)
    return Answered(text.status, text.headers, text.body_len, start, text.server_ip)


def _unread(text: QuestionText) -> Iterable[str]:
    yield from text.model_extra or ()
    yield from (f"meta.{key}" for key in text.meta.model_extra or ())
    if text.response is not None:
        yield from (f"response.{key}" for key in text.response.model_extra or ())


def _faults(error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors(include_url=False)[:_MAX_SHOWN]:
        place = ".".join(map(str, fault["loc"]))
        text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        found.append(f"{place}: {text}" if place else f"a question is an object: {text}")
    return found
