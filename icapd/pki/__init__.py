"""Certificates: the CA that Squid signs decrypted sites with, its successor, and those of servers.

`make` builds and reads them, `authority` is the life of the bump CA (a root of its own, renewal, findings),
`export` gives what clients trust to people.
"""

from icapd.pki.authority import (
    INTERMEDIATE_DAYS,
    ROOT_DAYS,
    Finding,
    database_findings,
    findings,
    make_intermediate,
    make_root,
    next_of,
    renew,
    root_of,
    switch,
    trusted_of,
)
from icapd.pki.export import install_page, mobile_profile, to_der
from icapd.pki.make import (
    CERTGEN,
    SQUID_USER,
    BumpCa,
    CertificateFacts,
    KeyKind,
    ServerCertificate,
    check_bump_ca,
    make_bump_ca,
    make_certgen_db,
    make_server_certificate,
    read_certificate,
)

__all__ = [
    "CERTGEN",
    "INTERMEDIATE_DAYS",
    "ROOT_DAYS",
    "SQUID_USER",
    "BumpCa",
    "CertificateFacts",
    "Finding",
    "KeyKind",
    "ServerCertificate",
    "check_bump_ca",
    "database_findings",
    "findings",
    "install_page",
    "make_bump_ca",
    "make_certgen_db",
    "make_intermediate",
    "make_root",
    "make_server_certificate",
    "mobile_profile",
    "next_of",
    "read_certificate",
    "renew",
    "root_of",
    "switch",
    "to_der",
    "trusted_of",
]
