"""Workspaces that two descriptions of who asks share: the first in the file is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.cover import covers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.question import Question
    from icapd.policy.rules import Workspace
    from icapd.policy.study import Study


def lint_workspaces(study: Study) -> Iterator[Finding]:
    """Yield findings on workspaces of which another takes some or all."""
    workspaces = study.policy.workspaces
    for number, one in enumerate(workspaces):
        for earlier in workspaces[:number]:
            question = _shared(study, earlier, one)
            if question is None:
                continue
            if covers(earlier, one):
                why = f"{earlier.name!r} ({earlier.source}) fits all whom it fits, and comes first"
                what, mend = f"workspace {one.name!r} is never chosen", "move it above the other"
                yield study.finding(one, "warning", "workspace-covered", what, why, mend, proof=question)
            elif not covers(
                one, earlier
            ):  # the narrow one first and the wide one after it is as it should be
                what = f"workspaces {earlier.name!r} and {one.name!r} overlap"
                why = (
                    f"for some users both fit, and {earlier.name!r} ({earlier.source}), the first, is chosen"
                )
                mend = "make them disjoint, if that is not meant"
                yield study.finding(one, "note", "workspace-overlap", what, why, mend, proof=question)


def _shared(study: Study, earlier: Workspace, one: Workspace) -> Question | None:
    """Return a request that both fit, and for which the earlier one is chosen."""
    for question in study.witnesses.for_rule(one, *earlier.when):
        if study.witnesses.truth(earlier, question) and study.decide(question).workspace == earlier.name:
            return question
    return next(
        (
            question
            for question in study.witnesses.for_rule(one)
            if study.decide(question).workspace == earlier.name
        ),
        None,
    )
