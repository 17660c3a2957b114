"""The lab behind interception: Squid between a client and the origins, each in a network of its own."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from icapd.demo.contacts import Accepted, HelloReceived, RequestReceived
from icapd.demo.lab import Lab, squid_program
from icapd.demo.origin import Origin
from icapd.demo.plan import Plan, ProxyPort
from tests.e2e.network import CLIENT, ORIGIN, UNREAD6
from tests.e2e.tunnel_client import Got, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.e2e.network import Network

TLS = ("bump", "splice", "terminate")
ACTIONS = ("allow", "block", "redirect", "bypass")
_SETTLE = 0.05  # s left to a connection that should not come
HOSTS = tuple(f"{action}-{tls}.lab.test" for action, tls in itertools.product(ACTIONS, TLS))
OTHERS = ("other.lab.test", "named.lab.test", "secret.lab.test", "excluded.lab.test", "ended.lab.test")


def _of(action: str) -> str:
    return ", ".join(f"{action}-{tls}.lab.test" for tls in TLS)


def _under(tls: str) -> str:
    return ", ".join(f"{action}-{tls}.lab.test" for action in ACTIONS)


POLICY = f"""\
bypass:
  - name: bypassed
    when: {{host: [{_of("bypass")}]}}
access:
  - name: blocked
    when: {{host: [{_of("block")}, {_of("bypass")}]}}
    action: block
  - name: moved
    when: {{host: [{_of("redirect")}]}}
    action: {{redirect: "https://other.lab.test/?from={{url}}"}}
  - name: ended
    when: {{host: [ended.lab.test]}}
    action: block
    connect: end
  - name: excluded
    when: {{host: [excluded.lab.test]}}
    unless: [{{method: [CONNECT]}}]
    action: block
  - name: secret
    when: {{url: ["https://secret.lab.test/secret"]}}
    action: block
  - name: address
    when: {{host: ["10.9.1.77"]}}
    action: block
tls:
  - name: spliced
    when: {{host: [{_under("splice")}]}}
    action: splice
  - name: cut
    when: {{host: [{_under("terminate")}]}}
    action: terminate
  - name: named
    when: {{host: [named.lab.test]}}
    action: splice_if_sni_matches
  - name: six
    when: {{host: ["{UNREAD6}"]}}
    action: splice
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client saw and how far it got: `contact` is nothing, handshake (TLS, no request) or request."""

    shows: str
    contact: str
    got: Got


class Intercepting:
    """A running lab with an explicit port and, given a `network`, two that intercept."""

    def __init__(self, directory: Path, network: Network | None) -> None:
        self.network = network
        ports = [ProxyPort("bump", bump=True), ProxyPort("plain", bump=False)]
        if network is not None:
            ports += [ProxyPort("in", False, "tproxy", 80), ProxyPort("tls", True, "tproxy", 443)]
            ports += [
                ProxyPort("nat", False, "intercept", 3480),
                ProxyPort("nattls", True, "intercept", 3443),
            ]
        address = "127.0.0.2" if network is None else ORIGIN
        self.plan = Plan(policy=POLICY, names=(*HOSTS, *OTHERS), address=address, proxy_ports=tuple(ports))
        self._directory = directory
        self.lab: Lab

    def __enter__(self) -> Self:
        if self.network is None:
            self.lab = Lab(self._directory, self.plan, squid=squid_program())
            self.lab.__enter__()
        else:
            with self.network.inside("squid"):
                self.lab = Lab(
                    self._directory, self.plan, squid=squid_program(), origin=self._origin, https=443
                )
                self.lab.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.stop()

    def _origin(self, *arguments: object) -> Origin:
        assert self.network is not None
        with self.network.inside("origin"):
            return Origin(*arguments)  # type: ignore[arg-type]

    def explicit(
        self, host: str, *, sni: str | None, inner: str = "", port: str = "bump", said: bytes | None = None
    ) -> Outcome:
        """Open a tunnel to `host` (HOST or HOST:PORT) through the explicit port."""
        ports = self.lab.site.ports
        target = host if host.rpartition(":")[2].isdigit() else f"{host}:{ports['https']}"
        with self.inside("squid"):
            return self._outcome(
                ("127.0.0.1", ports[port]), connect=target, sni=sni, host=inner or sni or host, said=said
            )

    def intercepted(
        self,
        *,
        sni: str | None,
        host: str,
        address: str = ORIGIN,
        said: bytes | None = None,
        source: str = CLIENT,
    ) -> Outcome:
        """Connect to the origin's address, as a client that knows of no proxy."""
        with self.inside("client"):
            return self._outcome((address, 443), connect=None, sni=sni, host=host, said=said, source=source)

    def inside(self, name: str) -> AbstractContextManager[None]:

        return contextlib.nullcontext() if self.network is None else self.network.inside(name)

    def _outcome(self, place: tuple[str, int], **how: object) -> Outcome:
        mark = self.lab.contacts.mark()
        got = ask(place, **how)  # type: ignore[arg-type]
        time.sleep(_SETTLE)
        contacts = self.lab.contacts.since(mark)
        reached = [
            kind
            for kind in (RequestReceived, HelloReceived, Accepted)
            if any(isinstance(c, kind) for c in contacts)
        ]
        words = {RequestReceived: "request", HelloReceived: "handshake", Accepted: "connection"}
        return Outcome(_shows(got), words[reached[0]] if reached else "nothing", got)


def _shows(got: Got) -> str:
    """Name what was seen: site, unread (the site under its own certificate), page, redirect or ended."""
    if got.status == 200 and "origin itself" in got.body:
        return "site" if "decrypted" in got.issuer else "unread"
    if got.status == 403 and "decrypted" in got.issuer:
        return "page"
    if got.status == 302 and got.location.startswith("https://other.lab.test/?from="):
        return "redirect"
    return f"status {got.status}" if got.status else "ended"


def cells() -> Iterator[tuple[str, str, str, str]]:
    """Yield (mode, tls, action, sni) of every cell of the matrix."""
    yield from itertools.product(("explicit", "intercept"), TLS, ACTIONS, ("equal", "other", "none"))
