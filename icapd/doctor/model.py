"""What a probe is, and what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from icapd.doctor.bench import Bench

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe found: one line in words for an administrator, and how to mend it unless it is ok."""

    level: Level
    text: str
    mend: str = ""


class Probe(Protocol):
    """Looks at one thing. `needs` names what must answer first: "", "squid" or "icapd" (Squid and icapd)."""

    name: str
    did: str
    needs: Literal["", "squid", "icapd"]

    def look(self, bench: Bench) -> Outcome:
        """Look, within some seconds. Raises OSError or IcapdError for what keeps it from looking."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the doctor's: `did` is what was done to find out."""

    name: str
    did: str
    level: Level
    text: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as an object of texts."""
        return asdict(self)


def ok(text: str) -> Outcome:
    """All is well, in words."""
    return Outcome("ok", text)


def warning(text: str, mend: str) -> Outcome:
    """Something works, but not as well as it should."""
    return Outcome("warning", text, mend)


def fault(text: str, mend: str) -> Outcome:
    """Something does not work, or is open."""
    return Outcome("fault", text, mend)
