"""Which rules say the same to every request for a host: their answer can be remembered under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.addresses import embedded_addresses
from icapd.policy.listed import ListIs
from icapd.policy.match import HostIs

if TYPE_CHECKING:
    from icapd.policy.facts import Directory
    from icapd.policy.rules import Rule


def asks_host_alone(rule: Rule, host: str, lists: Directory) -> bool:
    """Tell whether nothing but `host`, the one name of a request, counts for `rule`.

    So it is without exceptions, where all criteria are on hosts, or on lists that hold no URL of the host.
    A rule in shadow mode says more than its answer: False.
    """
    if rule.unless or rule.shadow or rule.workspace is not None:
        return False
    return all(
        isinstance(matcher, HostIs)
        or (
            isinstance(matcher, ListIs)
            and not matcher.has_digests
            and not any(map(lists.may_hold_url, (host, *embedded_addresses(host))))
        )
        for matcher in rule.when
    )
