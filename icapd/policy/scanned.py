"""What scanning would bring, in a question about a message: findings, failures, facts of the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from icapd.policy.filetypes import TYPES
from icapd.transaction import BodyFacts
from icapd.verdicts import CONTENT, Finding, Kind, ScanError

_KINDS = ", ".join(Kind)
_DIGEST = r"^([0-9a-fA-F]{32}|[0-9a-fA-F]{64})$"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What is presumed of the message asked about last: the response where there is one."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[ScanError, ...] = ()
    body: BodyFacts | None = None


def read_finding(text: str) -> Finding:
    """Return the finding "KIND=NAME" or "KIND". Raises ValueError."""
    kind, _, threat = text.partition("=")
    if kind.strip() not in set(Kind):
        raise ValueError(f"{text!r} is no KIND=NAME such as malware=EICAR; kinds are {_KINDS}")
    return Finding(Kind(kind.strip()), threat.strip(), CONTENT)


def read_error(text: str) -> ScanError:
    """Return the failure "ADAPTER=open" or "ADAPTER=closed" (or "ADAPTER": closed). Raises ValueError."""
    by, equals, what = text.partition("=")
    if not by.strip() or what.strip() not in {"", "open", "closed"} or (equals and not what.strip()):
        raise ValueError(f"{text!r} is no ADAPTER=open or ADAPTER=closed")
    return ScanError(by.strip(), "presumed", "open" if what.strip() == "open" else "closed")


def _as_finding(value: object) -> object:
    if not isinstance(value, str):
        return value
    one = read_finding(value)
    return {"kind": one.kind.value, "threat": one.threat}


def _as_error(value: object) -> object:
    if not isinstance(value, str):
        return value
    one = read_error(value)
    return {"by": one.by, "on_error": one.on_error}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, (str, dict)) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class FindingText(_Strict):
    """One finding: {kind, threat, by, where}, or "malware=EICAR"."""

    kind: Kind
    threat: str = Field(default="", max_length=200)
    by: str = CONTENT
    where: str = ""


class ErrorText(_Strict):
    """One scanner that fails: {by, on_error}, or "clamd=open"."""

    by: str = Field(min_length=1)
    on_error: Literal["open", "closed"] = "closed"


_Type = Annotated[str, Field(pattern=f"^({'|'.join(sorted(TYPES))})$")]
_Digest = Annotated[str, Field(pattern=_DIGEST)]


class BodyText(_Strict):
    """Facts of the body; digests of both kinds stand together, told apart by their length."""

    size: int | None = Field(default=None, ge=0)
    file_type: Annotated[tuple[_Type, ...], BeforeValidator(_as_list)] | None = None
    hash: Annotated[tuple[_Digest, ...], BeforeValidator(_as_list)] | None = None

    def facts(self) -> BodyFacts:
        """Return them as rules ask for them."""
        digests = None if self.hash is None else tuple(each.lower() for each in self.hash)
        return BodyFacts(self.size, self.file_type, _long(digests, 32), _long(digests, 64))


def _long(digests: tuple[str, ...] | None, size: int) -> tuple[str, ...] | None:
    return None if digests is None else tuple(each for each in digests if len(each) == size)


_Finding = Annotated[FindingText, BeforeValidator(_as_finding)]
_Error = Annotated[ErrorText, BeforeValidator(_as_error)]
FindingsText = Annotated[tuple[_Finding, ...], BeforeValidator(_as_list)]
ErrorsText = Annotated[tuple[_Error, ...], BeforeValidator(_as_list)]


def scanned_of(
    findings: tuple[FindingText, ...], errors: tuple[ErrorText, ...], body: BodyText | None
) -> Scanned:
    """Return what was read."""
    return Scanned(
        tuple(Finding(one.kind, one.threat, one.by, one.where) for one in findings),
        tuple(ScanError(one.by, "presumed", one.on_error) for one in errors),
        None if body is None else body.facts(),
    )
