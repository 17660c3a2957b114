"""What clamd answers to a scan, read strictly: what is not known word for word is an error, never clean."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from icapd.verdicts import Kind

MAX_REPLY = 4096  # bytes; clamd's own are far shorter
_OF_A_SCAN = re.compile(r"(?:stream|fd\[\d{1,9}\]|instream\([^()]{1,100}\)): (.+)", re.DOTALL)
_FOUND = re.compile(r"([!-~](?:[ -~]*[!-~])?) FOUND")
_ERROR = re.compile(r"([ -~]*?)[. ]*ERROR")
_EXTENDED = re.compile(r"\([0-9a-f]{32}:\d+\)$")  # hash and size, which ExtendedDetectionInfo may add
# Errors that the content brings about, not clamd's state: they are of this content whoever asks.
_LIMITS = re.compile(r"limit|CL_EMAX|exceeded|too (?:large|big|many|deep)", re.IGNORECASE)
_BROKEN = re.compile(r"bad format|broken data|parse|CL_EFORMAT|CL_EPARSE", re.IGNORECASE)
_CALLED = (
    ("Heuristics.Limits.", Kind.LIMIT),
    ("Heuristics.Zip.OverlappingFiles", Kind.LIMIT),
    ("Heuristics.XZ.DicSizeLimit", Kind.LIMIT),
    ("Heuristics.Encrypted.", Kind.ENCRYPTED),
    ("Heuristics.OLE2.ContainsMacros", Kind.MACRO),
    ("Heuristics.Phishing.", Kind.PHISHING),
    ("Heuristics.Broken.", Kind.UNSCANNABLE),
)
# "ClamAV 1.4.3/27822/Tue Nov 24 09:21:16 2026": its version, that of the signatures, when those were made
_DATED = re.compile(
    r"ClamAV [^/]+/\d+/[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Clean:
    """clamd found nothing in what it looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """clamd found `threat`, which is what we call `kind`."""

    kind: Kind
    threat: str


@dataclass(frozen=True, slots=True)
class Failed:
    """clamd, or the way to it, gave no verdict."""

    text: str


Reply = Clean | Found | Failed


def kind_of(threat: str) -> Kind:
    """Return what a name of clamd's means. Names that say nothing else are malware."""
    for prefix, kind in _CALLED:
        if threat.startswith(prefix):
            return kind
    return Kind.PHISHING if "Phishing" in threat.split(".") else Kind.MALWARE


def read_reply(reply: bytes) -> Reply:
    """Read the reply to INSTREAM or FILDES, without session number and terminator."""
    text = reply.decode("ascii", "replace")
    of_scan = _OF_A_SCAN.fullmatch(text)
    said = of_scan[1] if of_scan else text
    if of_scan and said == "OK":
        return Clean()
    if of_scan and (found := _FOUND.fullmatch(said)):
        threat = _EXTENDED.sub("", found[1])[:200]
        return Found(kind_of(threat), threat)
    if error := _ERROR.fullmatch(said):
        return _failure(error[1])
    return Failed(f"clamd answered {text[:60]!a}")


def _failure(text: str) -> Reply:
    what = text[:200] or "an error without a text"
    if _LIMITS.search(text):
        return Found(Kind.LIMIT, what)
    if _BROKEN.search(text):
        return Found(Kind.UNSCANNABLE, what)
    return Failed(f"clamd: {what}")


def database_time(version: str) -> float | None:
    """Return when the signatures of a clamd were made (seconds of the epoch), by its VERSION.

    None if that does not say: clamd does where there is a database of ClamAV's own. It writes local time.
    """
    match = _DATED.fullmatch(version)
    if match is None or match[1] not in _MONTHS:
        return None
    day, hour, minute, second, year = map(int, match.groups()[1:])
    try:
        return time.mktime((year, _MONTHS.index(match[1]) + 1, day, hour, minute, second, 0, 0, -1))
    except (ValueError, OverflowError):
        return None
