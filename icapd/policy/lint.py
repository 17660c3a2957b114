"""The linter: what a policy says that its author hardly means, for Squid and CONNECT in particular.

A finding is proven before it is told: by a request that the policy is asked about, or by what
follows from the words of two rules. What cannot be shown is not said, so there are no false alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.lint_body import lint_bodies
from icapd.policy.lint_lists import lint_lists
from icapd.policy.lint_protection import lint_protection
from icapd.policy.lint_reach import lint_reach
from icapd.policy.lint_redirect import lint_redirects
from icapd.policy.lint_tunnel import lint_tunnels
from icapd.policy.lint_unknown import lint_unknown
from icapd.policy.lint_workspaces import lint_workspaces
from icapd.policy.study import Study

if TYPE_CHECKING:
    from icapd.policy.finding import Finding
    from icapd.policy.model import Policy
    from icapd.policy.study import Locate
    from icapd.source import Document


def lint(policy: Policy, locate: Locate, document: Document | None = None) -> tuple[Finding, ...]:
    """Return the findings on `policy`, in the order of its lines.

    `locate` tells where a redirect leads (the pages know, which stand above the policy); `document` is the
    policy's file, where it was read already.
    """
    study = Study(policy, locate, document)
    found = [
        *lint_lists(study),
        *lint_reach(study),
        *lint_tunnels(study),
        *lint_redirects(study),
        *lint_unknown(study),
        *lint_workspaces(study),
        *lint_bodies(study),
        *lint_protection(study),
    ]
    return tuple(sorted(found, key=lambda one: (one.file, one.line)))
