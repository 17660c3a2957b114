"""What the reply to a client says of what was found: X-Infection-Found, X-Virus-ID and their like.

Other proxies, mail gateways and logs read these; the names come from hostile content, so nothing but
printable ASCII that ends no field goes into a value. Source: draft-stecher-icap-subid-00 §2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.policy import Block
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from icapd.policy import Decision
    from icapd.verdicts import Finding

MAX_NAME = 200  # characters of one name
MAX_VIOLATIONS = 20  # told one by one; a header has no room for all that an archive may hold
_UNSAFE = re.compile(r"[^A-Za-z0-9._:/+()@#-]")
_INFECTION, _CONTAINER = 0, 2  # the draft's Type: a virus; a container that breaks a rule
_TYPES = dict.fromkeys(
    (Kind.MALWARE, Kind.PHISHING, Kind.MALICIOUS_URL, Kind.MACRO, Kind.ACTIVE_CONTENT), _INFECTION
)
_BLOCKED = 2  # the draft's Resolution


def infection_headers(decision: Decision) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields for the ICAP reply that carries `decision` out; () unless scanning blocked it.

    X-Violations-Found is there where several findings block: their number, then of each file, name, type
    and resolution, as a reader sees it once it has unfolded the draft's lines.
    """
    found = decision.violations
    if not found or not isinstance(decision.action, Block):
        return ()
    name = threat_name(found[0])
    infection = f"Type={_type(found[0])}; Resolution={_BLOCKED}; Threat={name};"
    fields = [
        (b"X-Infection-Found", infection.encode("ascii")),
        (b"X-Virus-ID", name.encode("ascii")),
        (b"X-Response-Info", b"Blocked"),
    ]
    if len(found) > 1:
        told = found[:MAX_VIOLATIONS]
        each = (f"{_safe(one.where) or '-'} {threat_name(one)} {_type(one)} {_BLOCKED}" for one in told)
        fields.append((b"X-Violations-Found", " ".join((str(len(told)), *each)).encode("ascii")))
    return tuple(fields)


def threat_name(finding: Finding) -> str:
    """Return what a finding is called, fit for a header: its kind where it has no name."""
    return _safe(finding.threat) or finding.kind.value


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text[:MAX_NAME])


def _type(finding: Finding) -> int:
    return _TYPES.get(finding.kind, _CONTAINER)
