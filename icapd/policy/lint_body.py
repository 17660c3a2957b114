"""Criteria that only a body can answer: what it costs to ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.policy.listed import ListIs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.policy.finding import Finding
    from icapd.policy.match import Matcher
    from icapd.policy.study import Study

ON_BODIES = frozenset({"file_type", "md5", "sha256"})
# What a head answers before a body is read; the rest of a rule is asked only where these leave it open.
_NARROWS = frozenset(
    {"host", "url", "path", "regex", "file_name", "mime", "content_length", "list", "category"}
)


def lint_bodies(study: Study) -> Iterator[Finding]:
    """Yield a finding for each rule of bypass and access that asks for what no head tells."""
    for one in study.studied:
        rule = one.rule
        matchers = (*rule.when, *(matcher for entry in rule.unless for matcher in entry))
        asked = sorted({_word(matcher) for matcher in matchers if _is_on_body(matcher)})
        if not asked:
            continue
        narrowed = any(each.criterion in _NARROWS and not _is_on_body(each) for each in rule.when)
        which = "each body that its other criteria leave open" if narrowed else "every body"
        what = f"rule {rule.name!r} asks for {' and '.join(asked)}, so {which} is read before it is decided"
        why = "the user waits until all of it is here, and it is held in memory or on disk as long"
        mend = "" if narrowed else "narrow it by what heads tell: host, file_name, mime, content_length"
        yield study.finding(rule, "note", "needs-body", what, why, mend)


def _is_on_body(matcher: Matcher) -> bool:
    return matcher.criterion in ON_BODIES or (isinstance(matcher, ListIs) and matcher.has_digests)


def _word(matcher: Matcher) -> str:
    return "a list of digests" if isinstance(matcher, ListIs) else matcher.criterion
