"""What clients trust, in the forms in which people and systems take it. Never a private key."""

from __future__ import annotations

import base64
import html
import plistlib
import uuid
from string import Template
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from icapd.data import read_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icapd.pki.make import CertificateFacts

_FILE = "icapd-ca.crt"
_ONE = Template("""\
<section aria-label="Certificate $number">
<p><a class="get" download="$file" href="data:application/x-x509-ca-cert;base64,$der">Download $file</a></p>
<dl>
<dt>Name</dt><dd>$subject</dd>
<dt>Valid</dt><dd>from $begin to $end (UTC)</dd>
<dt>SHA-256 fingerprint</dt><dd><code>$sha256</code></dd>
</dl>
</section>""")


def to_der(facts: CertificateFacts) -> bytes:
    """Return the certificate in DER form, as Windows and Android take it."""
    return x509.load_pem_x509_certificate(facts.pem.encode("ascii")).public_bytes(Encoding.DER)


def install_page(all_facts: Sequence[CertificateFacts]) -> str:
    """Return a page, HTML without scripts, that gives the certificates and says how to trust them where.

    It needs nothing else, and can be sent by mail or put on any server.
    """
    files = [_FILE if i == 0 else f"icapd-ca-{i + 1}.crt" for i in range(len(all_facts))]
    sections = [
        _ONE.substitute(
            number=i + 1,
            file=files[i],
            der=base64.b64encode(to_der(facts)).decode("ascii"),
            subject=html.escape(facts.subject),
            begin=f"{facts.not_before:%Y-%m-%d}",
            end=f"{facts.not_after:%Y-%m-%d}",
            sha256=facts.sha256,
        )
        for i, facts in enumerate(all_facts)
    ]
    if len(sections) > 1:
        sections.insert(0, "<p>There are two, the one in use and its successor: install both.</p>")
    return Template(read_shared("rules", "pages", "trust.html")).substitute(
        subject=html.escape(all_facts[0].subject), file=files[0], certificates="\n".join(sections)
    )


def mobile_profile(all_facts: Sequence[CertificateFacts]) -> bytes:
    """Return a configuration profile (.mobileconfig, unsigned) for iOS and macOS, the same each time."""
    payloads = [
        {
            "PayloadType": "com.apple.security.root",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"icapd.ca.{_id(facts.sha256)}",
            "PayloadUUID": _id(facts.sha256),
            "PayloadDisplayName": facts.subject,
            "PayloadContent": to_der(facts),
        }
        for facts in all_facts
    ]
    whole = _id(" ".join(facts.sha256 for facts in all_facts))
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"icapd.profile.{whole}",
            "PayloadUUID": whole,
            "PayloadDisplayName": "Web filter's certificate",
            "PayloadContent": payloads,
        }
    )


def _id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text)).upper()
