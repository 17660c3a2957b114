"""The policy: rules as frozen data and one pure question, `Policy.decide(transaction)`.

`load` reads policy.yaml and reports every fault with its line; `compile` turns criteria
into the matchers of `match`, which are evaluated, printed and compiled to Squid ACLs;
`facts` is what matchers may ask of a transaction; `index` leaves out rules that cannot
match. ICAP, `explain`, `check` and `test` ask the same `Policy`.
"""

from icapd.policy.connect import Effect, effect, is_for_inner
from icapd.policy.facts import names_of
from icapd.policy.load import load_policy, reload_policy
from icapd.policy.model import Policy
from icapd.policy.rules import (
    Action,
    Allow,
    Block,
    Bypass,
    Check,
    Decision,
    ProtectionRule,
    Redirect,
    Refuse,
    Rule,
    Step,
    TlsDecision,
    TlsRule,
    TrafficRule,
    Workspace,
)

__all__ = [
    "Action",
    "Allow",
    "Block",
    "Bypass",
    "Check",
    "Decision",
    "Effect",
    "Policy",
    "ProtectionRule",
    "Redirect",
    "Refuse",
    "Rule",
    "Step",
    "TlsDecision",
    "TlsRule",
    "TrafficRule",
    "Workspace",
    "effect",
    "is_for_inner",
    "load_policy",
    "names_of",
    "reload_policy",
]
