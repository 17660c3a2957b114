"""Probes of what users get to see, in the open and in tunnels, and of what icapd is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from icapd.doctor.bench import BLOCKED, HERE, MOVED, as_seen, unexpected
from icapd.doctor.model import Outcome, fault, ok, warning

if TYPE_CHECKING:
    from icapd.doctor.bench import Bench
    from icapd.doctor.client import Answer

_FORBIDDEN, _FOUND, _OK = 403, 302, 200
_RULE = "icapd doctor: page"
_PLAIN = "not tried: no port decrypts, so users see their browser's own error"
_INCLUDE = "include the fragment that `icapd squid-conf` writes, and squid -k reconfigure"


class Page:
    """A blocked site over HTTP."""

    name = "block page"
    did = "asked for a blocked page over HTTP"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See icapd's page."""
        return _page(bench.get(f"http://{BLOCKED}/"), "over HTTP")


class Redirect:
    """A redirected site over HTTP."""

    name = "redirect"
    did = "asked for a redirected page over HTTP"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See the redirect."""
        return _redirect(bench.get(f"http://{MOVED}/"), "over HTTP")


class TunnelPage:
    """A blocked site over HTTPS: CONNECT is denied, and the page comes inside of the tunnel."""

    name = "block page, HTTPS"
    did = "asked for a blocked page over HTTPS, trusting the bump CA alone"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See icapd's page in the tunnel, under a certificate of the CA."""
        if not bench.bumps:
            return ok(_PLAIN)
        return _page(bench.inside(BLOCKED), "over HTTPS, under the bump CA's certificate")


class TunnelRedirect:
    """A redirected site over HTTPS."""

    name = "redirect, HTTPS"
    did = "asked for a redirected page over HTTPS, trusting the bump CA alone"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See the redirect in the tunnel."""
        if not bench.bumps:
            return ok(_PLAIN)
        return _redirect(bench.inside(MOVED), "over HTTPS, under the bump CA's certificate")


class Asked:
    """Whether Squid asks about requests and about responses."""

    name = "Squid asks icapd"
    did = "fetched a page of our own through Squid, and asked icapd what it saw"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """See the request and the response."""
        if bench.origin is None:
            return warning("this machine has no address but loopback to serve a page on", "look from another")
        before = len(bench.seen())
        answer = bench.get(f"{bench.origin.url}/plain")
        seen = bench.seen()[before:]
        for point, service in (("reqmod", "requests"), ("respmod", "responses")):
            if not as_seen(seen, point):
                text, mend = unexpected(answer)
                if answer.status == _OK:
                    text, mend = f"Squid does not ask icapd about {service}", _INCLUDE
                return fault(text, mend)
        if answer.status != _OK:
            return fault(*unexpected(answer))
        return ok("about requests and responses")


class Headers:
    """What Squid tells icapd of the client has to have the names and the form that icapd reads."""

    name = "who asks"
    did = "asked icapd which client, user and port Squid told it of"
    needs: Literal["", "squid", "icapd"] = "icapd"

    def look(self, bench: Bench) -> Outcome:
        """Compare with what we know of ourselves."""
        answer = bench.get(f"http://{BLOCKED}/")
        seen = as_seen(bench.seen(), "reqmod")
        if not seen:
            return fault(*unexpected(answer))
        told = seen[-1]
        user_header = bench.config.users.header.lower()
        if "x-icapd-fragment" not in told:
            return fault("the Squid that asks icapd does not use icapd's fragment", _INCLUDE)
        if "x-client-ip" not in told:
            return fault(
                "Squid does not tell who asks (no X-Client-IP)",
                "adaptation_send_client_ip on, as in the fragment",
            )
        if told["x-client-ip"] != answer.here:
            return warning(
                f"icapd takes us for {told['x-client-ip']}, and we are {answer.here}",
                "right behind NAT or another proxy; else see follow_x_forwarded_for in squid.conf",
            )
        if bench.where.credentials and user_header not in told:
            return fault(
                f"Squid does not tell the user's name in {bench.config.users.header}",
                "users.header of icapd.yaml; adaptation_send_username on, as in the fragment",
            )
        user = "and its user" if user_header in told else "no user (Squid asked for none)"
        return ok(f"icapd is told the client ({told['x-client-ip']}), {user}")


def _page(answer: Answer, how: str) -> Outcome:
    if answer.status == _FORBIDDEN and _RULE in answer.text:
        return ok(f"shown {how}")
    return fault(*_explained(answer))


def _redirect(answer: Answer, how: str) -> Outcome:
    if answer.status == _FOUND and answer.headers.get("location", "").startswith(HERE):
        return ok(f"given {how}")
    return fault(*_explained(answer))


def _explained(answer: Answer) -> tuple[str, str]:
    if answer.error.startswith("certificate not trusted"):
        return (
            answer.error,
            "Squid signs with another CA than squid.ca: restart Squid, or name its CA",
        )
    if answer.connect not in {0, _OK}:
        text, mend = unexpected(answer)
        return f"CONNECT is answered {answer.connect}: {text}", mend
    return unexpected(answer)
