"""Policies and transactions in one line each, for the tests of the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.http import RequestHead
from icapd.policy import Policy, load_policy
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from pathlib import Path


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


def early(sni: str | None = None, connect_host: str | None = None) -> Transaction:
    """Return the TLS step before any request is known."""
    return Transaction(Point.TLS, sni=sni, connect_host=connect_host)


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
    action = type(decision.action).__name__.lower()
    return action if decision.rule is None else f"{action}: {decision.rule.name}"
