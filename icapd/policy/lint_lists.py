"""Lists that nobody asks, that hold nothing, and lines of them that were passed over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from icapd.errors import ConfigErrors
from icapd.policy.finding import Finding
from icapd.source import read_document
from icapd.verdicts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.lists import ListReport
    from icapd.policy.match import Matcher
    from icapd.policy.study import Study

_OF_URLS = frozenset({Kind.PHISHING, Kind.MALICIOUS_URL})
_DIGESTS = frozenset({"MD5", "SHA-256"})  # formats of files
_SHOWN = 3  # reasons and lines named


def lint_lists(study: Study) -> Iterator[Finding]:
    """Yield findings on the policy's lists."""
    policy = study.policy
    if not policy.files or not policy.lists.reports:
        return
    try:
        document = study.document or read_document(policy.files[0])
    except ConfigErrors:  # it changed since it was loaded
        return
    asked = _asked(study)
    for report in policy.lists.reports:
        name = report.name
        finding = partial(Finding, document.file, document.where(("lists", name)))
        threat = policy.threats.get(name)
        if threat in _OF_URLS and report.entries and _digests_alone(report):
            what = f"list {name!r} is of {threat}, and holds digests alone"
            why = "phishing and malicious links are looked up by host and URL: nothing can be found in it"
            yield finding("warning", "threat-unfit", what, why, "say `threat: malware`, or list URLs")
        if name not in asked and threat is None:
            what, why = f"list {name!r} is used by no rule", "it is read and kept for nothing"
            yield finding(
                "warning", "unused-list", what, why, f"remove it, or add `list: [{name}]` to a rule"
            )
        if not report.entries:
            what, why = f"list {name!r} has no entries", "no request can be in it"
            mend = "fill its files, or remove it with the criteria that name it"
            yield finding("warning", "empty-list", what, why, mend)
        if report.ignored:
            what = f"list {name!r}: {report.ignored:,} lines ignored, {report.entries:,} entries taken"
            yield finding("note", "ignored-lines", what, "; ".join(_reasons(report)))


def _reasons(report: ListReport) -> Iterator[str]:
    """Yield what was ignored in each file, and why, with the first lines."""
    found = [(file.file, each) for file in report.files for each in file.ignored]
    for file, each in found[:_SHOWN]:
        lines = ", ".join(map(str, each.lines[:_SHOWN]))
        yield f"{each.count:,} times {each.reason} ({file}, line {lines})"
    if len(found) > _SHOWN:
        yield "and more"


def _digests_alone(report: ListReport) -> bool:
    return all(file.format in _DIGESTS for file in report.files)


def _asked(study: Study) -> set[str]:
    """Return the lists that any rule asks, disabled by mode or not."""
    policy = study.policy
    rules = (*policy.bypass, *policy.access, *policy.protection.rules, *policy.tls)
    matchers: Iterator[Matcher] = (
        one for rule in rules for entry in (rule.when, *rule.unless) for one in entry
    )
    return {name for one in matchers for name in (*one.wanted, *getattr(one, "lists", ()))}
