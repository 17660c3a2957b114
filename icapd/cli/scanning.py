"""What `icapd check` finds out of scanning: if each adapter has what it needs, and if it can ever block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icapd.cli.awaiting import await_on_reactor
from icapd.policy.finding import Finding, place_of
from icapd.source import read_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from icapd.adapters.registry import Loaded
    from icapd.config import Config
    from icapd.policy import Policy

_PATIENCE = 10.0  # s for all adapters together to say how they are
_NO_WORD = "has no check of its own"


class Asked:
    """How each adapter says it is: by name, what it said, and why it could not."""

    def __init__(self, adapters: Sequence[Loaded]) -> None:
        """Ask those that have a `check`, all at once; the reactor runs only if one of them needs it."""
        self.said: dict[str, str] = {one.name: _NO_WORD for one in adapters}
        self.failed: dict[str, str] = {}
        checks = {one.name: getattr(one.adapter, "check", None) for one in adapters}
        self._ask({name: check for name, check in checks.items() if callable(check)})

    def _ask(self, checks: Mapping[str, Callable[[], Awaitable[str]]]) -> None:
        if not checks:
            return
        from twisted.internet import reactor  # noqa: PLC0415  (installing it costs 0.2 s)
        from twisted.internet.defer import DeferredList  # noqa: PLC0415

        from icapd.adapters.deadline import within  # noqa: PLC0415

        waiting = {name: within(reactor, _PATIENCE, check) for name, check in checks.items()}
        for name, each in waiting.items():
            each.addCallbacks(self._hear, self._miss, callbackArgs=(name,), errbackArgs=(name,))
        if not all(each.called for each in waiting.values()):
            await_on_reactor(lambda: DeferredList(list(waiting.values())))

    def _hear(self, said: str, name: str) -> None:
        self.said[name] = " ".join(str(said).split())[:300]

    def _miss(self, failure: Any, name: str) -> None:  # noqa: ANN401  (twisted's Failure)
        del self.said[name]
        self.failed[name] = " ".join(str(failure.value).split())[:300] or type(failure.value).__name__


def adapter_findings(config: Config, adapters: Sequence[Loaded], asked: Asked) -> Iterator[Finding]:
    """Yield a warning for each adapter that cannot look at anything now."""
    for one in adapters:
        why = asked.failed.get(one.name)
        if why is None:
            continue
        what = f"adapter {one.name} cannot scan as it should: {why}"
        then = (
            "till then what it should look at is blocked (on_error: closed)"
            if one.on_error == "closed"
            else "till then messages pass without it (on_error: open)"
        )
        yield Finding(str(config.file), one.line, "warning", "adapter", what, then)


def use_findings(config: Config, policy: Policy) -> Iterator[Finding]:
    """Yield what is configured for scanning and comes to nothing."""
    protection = policy.protection
    blocks = protection.default.union(*(rule.blocks for rule in protection.rules if not rule.shadow))
    if config.adapters and not blocks:
        what = "adapters are configured, but the policy blocks nothing that they find"
        why = "each rule of `protection` and `default_protection` skip every kind, so nothing is scanned"
        mend = "let `default_protection` block malware at least, or remove `adapters`"
        line = read_document(config.file).where(("adapters",))
        yield Finding(str(config.file), line, "warning", "blocks-nothing", what, why, mend)
    if config.adapters or policy.threats or not policy.scans:
        return
    file, line = str(config.policy), 0
    if protection.rules:
        file, line = place_of(protection.rules[0].source)
    else:
        line = read_document(config.policy).where(("default_protection",))
    what = "the policy says what scanning may block, but nothing scans"
    why = f"{config.file} has no `adapters`, and no list of the policy has `threat`: every body passes unread"
    mend = "add `adapters: [clamd]` to it (docs/adapters.md)"
    yield Finding(file, line, "warning", "no-scanner", what, why, mend)


def interception_findings(config: Config, policy: Policy) -> Iterator[Finding]:
    """Yield a note on tls rules that compare a name, where connections come without one."""
    if not any(port.intercepts and port.bump for port in config.squid.ports):
        return
    for rule in policy.tls:
        if rule.action != "splice_if_sni_matches" or rule.shadow:
            continue
        file, line = place_of(rule.source)
        what = f"tls rule {rule.name!r} has nothing to compare on ports that intercept"
        why = (
            "there is no CONNECT but the one Squid makes of the connection: with a TLS name it is spliced "
            "whatever its address, without one the rule holds only by address, and ends it"
        )
        mend = "say `splice` or `bump`; `host_verify_strict on` in squid.conf compares addresses"
        yield Finding(file, line, "note", "nothing-to-compare", what, why, mend)
