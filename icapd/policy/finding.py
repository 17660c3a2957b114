"""What the linter says: where, what, why, how to mend it, and the question that proves it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.policy.question import Question

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `line` is 1-based, 0 is the file as a whole; `proof` asks `icapd explain`."""

    file: str
    line: int
    level: Level
    code: str
    what: str
    why: str = ""
    mend: str = ""
    proof: Question | None = None

    def text(self) -> str:
        """Return `file:line: level: what — why — how to mend`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        said = " — ".join(part for part in (self.what, self.why, self.mend) if part)
        return f"{place}: {self.level}: {said}"

    def command(self, policy: Path | str) -> str | None:
        """Return the command line that shows it, for a shell."""
        if self.proof is None:
            return None
        return shlex.join(["icapd", "explain", "-c", str(policy), *arguments_of(self.proof)])

    def as_json(self, policy: Path | str) -> dict[str, Any]:
        """Return the finding as an object."""
        return {
            "file": self.file,
            "line": self.line,
            "level": self.level,
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "mend": self.mend,
            "explain": self.command(policy),
        }


def place_of(source: str) -> tuple[str, int]:
    """Return file and line of a rule's "file:line"."""
    file, _, line = source.rpartition(":")
    return (file, int(line)) if line.isdigit() else (source, 0)


def arguments_of(question: Question) -> list[str]:
    """Return the options and arguments that ask `question` of `icapd explain`."""
    said = {name.lower(): value for name, value in question.icap_headers}
    out: list[str] = []
    for option, value in (
        ("--client", said.get("x-client-ip")),
        ("--user", said.get("x-client-username")),
        ("--sni", question.sni),
        ("--connect-host", question.connect_host),
        ("--proxy-port", question.proxy_port),
    ):
        if value is not None:
            out += [option, str(value)]
    for group in question.groups or ():
        out += ["--group", group]
    out += ["--at", datetime.fromtimestamp(question.at, UTC).isoformat(timespec="minutes")]
    for name, value in question.headers:
        out += ["-H", f"{name}: {value}"]
    if question.response is not None:
        out += ["--status", str(question.response.status)]
        for name, value in question.response.headers:
            out += ["--response-header", f"{name}: {value}"]
        if question.response.size is not None:
            out += ["--response-size", str(question.response.size)]
    body = question.scanned.body
    for name in (body.file_types if body is not None else None) or ():
        out += ["--file-type", name]
    for one in question.scanned.findings:
        out += ["--finding", f"{one.kind}={one.threat}"]
    return [*out, question.method, question.uri]
