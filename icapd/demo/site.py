"""The lab's directory: certificates, policy, icapd.yaml, Squid's configuration and the logs."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Template
from typing import TYPE_CHECKING

from icapd.config import load_config
from icapd.demo.plan import BUMP, ORIGIN
from icapd.errors import IcapdError
from icapd.pki import CERTGEN, SQUID_USER, make_bump_ca, make_certgen_db, make_server_certificate
from icapd.squid import squid_version, write_fragments

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

    from icapd.demo.plan import Plan

_DAYS = 30  # that a kept directory's certificates are good for

# Every path is absolute. `cache deny all` and closed server connections make each request that is
# let through reach the origin as a connection of its own, so that its accept log is the whole truth.
_SQUID_CONF = Template("""\
pid_filename $directory/run/squid.pid
cache_log $directory/logs/cache.log
access_log stdio:$directory/logs/access.log
coredump_dir $directory/run
netdb_filename none
pinger_enable off
cache deny all
cache_mem 8 MB
server_persistent_connections off
hosts_file $directory/hosts
dns_nameservers 127.0.0.1
dns_timeout 2 seconds
shutdown_lifetime 1 second
visible_hostname proxy.demo.test
$extra
include $directory/squid/icapd.conf
""")
_ICAPD_YAML = Template("""\
listen: ["icap://127.0.0.1:$icap"]
policy: policy.yaml
decisions: logs/decisions.jsonl
squid:
  version: "$version"
  certgen: $certgen
  ports: [$squid_ports]
  clients: [127.0.0.0/8, 10.0.0.0/8]
  ca: ca/bump.pem
  ssl_db: run/ssl_db
  origin_ca: ca/origin.crt
  allow_origins: ["$origin:$http", "$origin:$https"]
""")


@dataclass(frozen=True, slots=True)
class Site:
    """The files and ports of a lab in `directory`; all paths are absolute."""

    directory: Path
    plan: Plan
    ports: Mapping[str, int]
    squid: Path

    @property
    def certgen(self) -> Path:
        """The certificate maker beside a Squid that is not the system's; else the system's."""
        beside = self.squid.with_name(CERTGEN.name)
        return beside if beside.exists() else CERTGEN

    @property
    def logs(self) -> Path:
        """Where icapd and Squid write what they say."""
        return self.directory / "logs"

    @property
    def run(self) -> Path:
        """Squid's process id, and its database of generated certificates."""
        return self.directory / "run"

    @property
    def decisions(self) -> Path:
        """Icapd's decision log."""
        return self.logs / "decisions.jsonl"

    @property
    def config(self) -> Path:
        """Icapd's configuration file."""
        return self.directory / "icapd.yaml"

    @property
    def squid_conf(self) -> Path:
        """Squid's configuration file, which includes icapd's fragment."""
        return self.directory / "squid.conf"

    def authority(self, name: str) -> Path:
        """Return the certificate of the CA `name`: BUMP, Squid's, or ORIGIN, the origins'."""
        return self.directory / "ca" / f"{name}.crt"

    def proxy(self, name: str) -> str:
        """Return the URL of Squid's port `name`."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def fill(self, text: str) -> str:
        """Replace $http, $https and the other ports' names in `text`; a single $ stays."""
        return Template(text).safe_substitute(self.ports, directory=self.directory)


def write_site(site: Site, context: ssl.SSLContext) -> None:
    """Write all files of `site`, and load the HTTPS origin's certificate into `context`.

    Raises IcapdError if Squid could not reach them or one is in the way.
    """
    directory = site.directory
    _require_reachable(directory)
    site.run.mkdir()
    site.logs.mkdir()
    if os.geteuid() == 0:
        with contextlib.suppress(LookupError):  # a Squid built for another user than Debian's says so itself
            shutil.chown(site.logs, SQUID_USER)
    _write_certificates(site, context)
    ports = site.ports
    squid_ports = [
        f'{{address: "{port.listen}{ports[port.name]}", bump: {str(port.bump).lower()}, mode: {port.mode}}}'
        for port in site.plan.proxy_ports
    ]
    names = " ".join(site.plan.names + site.plan.uncertified)
    texts = {
        "hosts": f"127.0.0.1 localhost\n::1 localhost\n{site.plan.address} {names}\n",
        "policy.yaml": site.fill(site.plan.policy),
        "icapd.yaml": _ICAPD_YAML.substitute(
            ports,
            origin=site.plan.address,
            squid_ports=", ".join(squid_ports),
            version=squid_version(str(site.squid)),
            certgen=site.certgen,
        )
        + site.fill(site.plan.options),
        "squid.conf": _SQUID_CONF.substitute(directory=directory, extra=site.fill(site.plan.squid_lines)),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    config = load_config(site.config)
    make_certgen_db(config.squid.ssl_db, certgen=config.squid.certgen)
    write_fragments(config, directory / "squid")


def _require_reachable(directory: Path) -> None:
    """Open `directory` to the user that Squid becomes when root starts it."""
    directory.chmod(0o755)
    closed = next((parent for parent in directory.parents if not parent.stat().st_mode & stat.S_IXOTH), None)
    if os.geteuid() == 0 and closed is not None:
        msg = f"{directory}: the user that Squid runs as cannot enter {closed}"
        raise IcapdError(msg)


def _write_certificates(site: Site, context: ssl.SSLContext) -> None:
    """Make the CA of decrypted sites, that of the origins, and one certificate with all origins' names."""
    directory, now = site.directory / "ca", datetime.now(UTC)
    make_bump_ca(directory, name="icapd demo: decrypted sites", now=now, days=_DAYS, stem=BUMP)
    issuer = make_bump_ca(directory, name="icapd demo: origins", now=now, days=_DAYS, stem=ORIGIN, key="ec")
    made = make_server_certificate(directory, names=site.plan.names, now=now, days=_DAYS, issuer=issuer)
    context.load_cert_chain(made.certificate, made.key)
