"""Policies and transactions in one line each, for the tests of the policy."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from icapd.http import RequestHead, ResponseHead
from icapd.policy import Policy, load_policy
from icapd.policy.compile import compile_criterion
from icapd.policy.facts import Facts, names_of
from icapd.policy.regexes import RegexSet
from icapd.transaction import BodyFacts, Client, Point, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from icapd.policy.match import Truth
    from icapd.verdicts import Kind


def transaction(
    method: str = "GET",
    target: str = "http://good.test/",
    *headers: str,
    client: str | None = None,
    user: str | None = None,
    sni: str | None = None,
    connect_host: str | None = None,
    point: Point = Point.REQMOD,
) -> Transaction:
    """Return a request with its facts; text goes onto the wire as UTF-8."""
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *headers, "", "")).encode()
    return Transaction(
        point, Client(client, user), RequestHead(head), sni=sni, connect_host=connect_host, now=0.0
    )


def answered(
    *headers: str,
    status: int = 200,
    target: str = "http://good.test/",
    method: str = "GET",
    body: BodyFacts | None = None,
    asked: tuple[str, ...] = (),
    body_follows: bool = False,
) -> Transaction:
    """Return a response with its facts; `asked` are the request's header fields."""
    tx = transaction(method, target, *asked, point=Point.RESPMOD)
    head = "\r\n".join((f"HTTP/1.1 {status} X", *headers, "", "")).encode()
    tx.response, tx.body, tx.body_follows = ResponseHead(head), body, body_follows
    return tx


class Lists:
    """A directory of lists: hosts by their end, URLs below host/path, addresses and digests."""

    digest = ""
    files = ()
    threats: Mapping[str, Kind] = {}

    def __init__(
        self, hosts: dict[str, str] | None = None, urls: dict[str, str] | None = None, **others: str
    ) -> None:
        self.hosts, self.urls, self.others = hosts or {}, urls or {}, others

    def lookup(self, host: str) -> tuple[str, ...]:
        return tuple(name for end, name in self.hosts.items() if host.endswith(end))

    def lookup_url(
        self, host: str, paths: Sequence[str], query: str | None = None, *, strict: bool = False
    ) -> tuple[str, ...]:  # a URL's query does not count here
        del query
        fits = all if strict else any
        return tuple(
            name
            for url, name in self.urls.items()
            if url.partition("/")[0] == host and fits(f"{host}{path}".startswith(url) for path in paths)
        )

    def may_hold_url(self, host: str) -> tuple[str, ...]:
        return tuple(name for url, name in self.urls.items() if url.partition("/")[0] == host)

    def lookup_address(self, address: str) -> tuple[str, ...]:
        return tuple(name for name, value in self.others.items() if value == address)

    lookup_hash = lookup_address


def early(sni: str | None = None, connect_host: str | None = None) -> Transaction:
    """Return the TLS step before any request is known."""
    return Transaction(Point.TLS, sni=sni, connect_host=connect_host)


YES, NO, LAX, STRICT_ONLY = (True, True), (False, False), (True, False), (False, True)
UNKNOWN, MAYBE = (None, None), (True, None)


def both(
    criterion: str, value: str, tx: Transaction, *, lists: Lists | None = None, waits: bool = True
) -> tuple[Truth, Truth]:
    """Return what a criterion says (generously, strictly); "a | b" are two values."""
    matcher = compile_criterion(criterion, tuple(value.split(" | ")), ["x", "y"])
    if not waits:
        matcher = dataclasses.replace(matcher, waits=False)  # type: ignore[type-var]
    facts = Facts(tx, names_of(tx), lists or Lists(), RegexSet((), ()))
    return matcher.truth(facts, strict=False), matcher.truth(facts, strict=True)


def write_policy(folder: Path, text: str, **lists: str) -> Path:
    """Write a policy and its list files; `{name: text}` becomes the file `name`."""
    for name, content in lists.items():
        (folder / name).write_text(content, "utf-8")
    path = folder / "policy.yaml"
    path.write_text(text, "utf-8")
    return path


def policy(folder: Path, text: str, **lists: str) -> Policy:
    """Load a policy from its text."""
    return load_policy(write_policy(folder, text, **lists), cache=folder / "cache")


def outcome(policy: Policy, tx: Transaction) -> str:
    """Return "action" or "action: rule", having made sure that explain says the same."""
    decision, explained = policy.decide(tx), policy.explain(tx)
    assert (decision.action, decision.rule, decision.category) == (
        explained.action,
        explained.rule,
        explained.category,
    )
    assert (decision.stage, decision.undecided) == (explained.stage, explained.undecided)
    assert (decision.shadow, decision.workspace) == (explained.shadow, explained.workspace)
    action = type(decision.action).__name__.lower()
    return action if decision.rule is None else f"{action}: {decision.rule.name}"
