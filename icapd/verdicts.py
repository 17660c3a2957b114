"""What scanning may claim about a message: kinds of findings, findings, verdicts.

Data alone: who finds (icapd.adapters, icapd.content) and who decides (icapd.policy, icapd.adaptation)
share these words and nothing else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class Kind(enum.StrEnum):
    """What can be found in a message; the worst first, which is the order in which one is shown."""

    MALWARE = "malware"
    PHISHING = "phishing"
    MALICIOUS_URL = "malicious_url"
    MACRO = "macro"
    ENCRYPTED = "encrypted"
    UNSCANNABLE = "unscannable"  # no scanner can see inside, a scanner failed, or the content is broken
    LIMIT = "limit"  # depth, ratio, members, unpacked size or time: what lies past it was not seen
    TOO_LARGE = "too_large"  # the message itself is larger than what is scanned
    PARTIAL = "partial"  # a slice of an object: a range, or a body that ended early
    TYPE_MISMATCH = "type_mismatch"  # the content is of another type than was declared or named
    ACTIVE_CONTENT = "active_content"  # PDF actions, objects in RTF, scripts in SVG, HTA, smuggling
    STREAM = "stream"  # a response that does not end: nothing of it can be judged whole


CONTENT = "content"  # `by` of what content inspection finds itself; no adapter has this name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    `threat` is what the finder calls it ("Win.Test.EICAR_HDB-1"): printable, at most 200 characters.
    `where` is the path inside the message, "" for the whole: "invoice.zip/a.doc". `by` is the finder.
    """

    kind: Kind
    threat: str
    by: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one adapter says of one message. With `error` it could not look, and claims nothing."""

    findings: tuple[Finding, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class ScanError:
    """A scanner that could not look: `by` whom, why, and what its rule says is then to happen."""

    by: str
    text: str
    on_error: Literal["open", "closed"]
