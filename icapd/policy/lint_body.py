"""Criteria that only a body can answer: icapd decides by heads in this version, so they never hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.study import Study

ON_BODIES = frozenset({"file_type", "md5", "sha256"})


def lint_bodies(study: Study) -> Iterator[Finding]:
    """Yield a finding for each rule that asks for what no head tells."""
    for one in study.studied:
        rule = one.rule
        matchers = (*rule.when, *(matcher for entry in rule.unless for matcher in entry))
        asked = sorted({matcher.criterion for matcher in matchers} & ON_BODIES)
        if asked:
            what = f"rule {rule.name!r} asks for {' and '.join(asked)}"
            why = "only a body tells that, and this version of icapd reads none: in traffic it never holds"
            mend = "ask for file_name, mime or content_length, which heads tell"
            yield study.finding(rule, "warning", "needs-body", what, why, mend)
