"""A real LDAP server for a test: OpenLDAP's slapd on a free port of loopback, with users and groups."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.demo.child import Child, accepts, free_ports
from tests.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/libexec:/usr/libexec:/usr/bin")
BIND_DN, PASSWORD = "cn=icapd,dc=corp,dc=test", "a secret # 'quoted'"
PEOPLE, GROUPS = "ou=people,dc=corp,dc=test", "ou=groups,dc=corp,dc=test"
_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCACertificateFile {directory}/server.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
database mdb
maxsize 10485760
suffix "dc=corp,dc=test"
rootdn "{bind_dn}"
rootpw "{password}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn="{bind_dn}" read by * {anonymous}
"""


def _entries() -> Iterator[str]:
    yield "dn: dc=corp,dc=test\nobjectClass: dcObject\nobjectClass: organization\no: Corp\ndc: corp"
    for unit in (PEOPLE, GROUPS):
        yield f"dn: {unit}\nobjectClass: organizationalUnit\nou: {unit[3:].partition(',')[0]}"
    for uid, cn in (
        ("alice", "Alice"),
        ("bob", "Smith\\2C Bob"),
        ("a*b", "Star"),
        ("zoë (x)", "Zoë"),
        ("lone", "Lone"),
    ):
        yield (
            f"dn: cn={cn},{PEOPLE}\nobjectClass: inetOrgPerson\nsn: x\nuid: {uid}\n"
            f"mail: {'same' if uid in ('alice', 'bob') else 'own'}@corp.test"
        )
    for cn, members in (
        ("staff", ("Alice", "Smith\\2C Bob", "Zoë")),
        ("Research\\2C Lab", ("Smith\\2C Bob",)),
        ("stars", ("Star",)),
    ):
        lines = "\n".join(f"member: cn={member},{PEOPLE}" for member in members)
        yield f"dn: cn={cn},{GROUPS}\nobjectClass: groupOfNames\n{lines}"
    yield (
        f"dn: ou=elsewhere,{GROUPS}\nobjectClass: referral\nobjectClass: extensibleObject\n"
        "ou: elsewhere\nref: ldap://127.0.0.1:9/ou=groups,dc=other,dc=test"
    )


@dataclass(frozen=True, slots=True)
class LdapServer:
    """A running slapd: its ports for ldap:// and ldaps://, and the CA of its certificate."""

    directory: Path
    port: int
    tls_port: int
    ca: Path
    child: Child

    def settings(self, **more: Any) -> dict[str, Any]:
        """What icapd.yaml says of it under users.ldap; the password is in secret beside it."""
        return {
            "url": f"ldap://127.0.0.1:{self.port}",
            "bind_dn": BIND_DN,
            "password_file": str(self.directory / "secret"),
            "user_base": PEOPLE,
            "user_filter": "(uid={user})",
            "group_base": GROUPS,
            **more,
        }


@contextmanager
def ldap_server(
    directory: Path, *, ports: tuple[int, int] | None = None, anonymous: str = "none"
) -> Iterator[LdapServer]:
    """Run slapd until the block ends; `ports` are chosen if not given. Data made before is kept."""
    assert SLAPD is not None
    port, tls_port = ports or free_ports(2)
    data = directory / "data"
    if not data.exists():
        _prepare(directory, anonymous)
    urls = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}"
    command = [SLAPD, "-d", "0", "-h", urls, "-f", str(directory / "slapd.conf")]
    child = Child.start("slapd", command, directory / "slapd.log")
    try:
        for each in (port, tls_port):
            child.wait_until(partial(accepts, each))
        yield LdapServer(directory, port, tls_port, directory / "server.pem", child)
    finally:
        child.stop()


def _prepare(directory: Path, anonymous: str) -> None:
    assert SLAPD is not None
    (directory / "data").mkdir()
    make_certificate(directory)
    quoted = PASSWORD.replace('"', '\\"')
    conf = _CONF.format(directory=directory, bind_dn=BIND_DN, password=quoted, anonymous=anonymous)
    (directory / "slapd.conf").write_text(conf)
    (directory / "entries.ldif").write_text("\n\n".join(_entries()) + "\n")
    (directory / "secret").write_text(PASSWORD + "\n")
    (directory / "secret").chmod(0o600)
    add = str(Path(SLAPD).with_name("slapadd"))
    command = [add, "-q", "-f", str(directory / "slapd.conf"), "-l", str(directory / "entries.ldif")]
    subprocess.run(command, check=True, capture_output=True)
