"""`icapd why`: one decision of the past, with the rule and the policy as they were then."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.cli.story import Story, Today, as_object, as_text
from icapd.cli.subject import Subject, is_policy
from icapd.config import load_config
from icapd.directory import unasked_directory
from icapd.errors import IcapdError
from icapd.events.store import Store, open_store
from icapd.pages import Pages
from icapd.policy import load_policy
from icapd.recording import policies_directory
from icapd.reports.found import Found, in_log, in_store, read_identity, texts_in
from icapd.reports.joined import joined
from icapd.reports.past import Past, made_again, rule_text
from icapd.reports.recorded import Lacking, Withheld, lacking, question_of

if TYPE_CHECKING:
    from icapd.config import Config
    from icapd.policy import Policy
    from icapd.policy.explain import Explanation
    from icapd.policy.question import Question
    from icapd.policy.rules import Rule


@dataclass(frozen=True, slots=True)
class _Known:
    """What icapd.yaml says, and the policy that serves today, or why there is none."""

    config: Config
    policy: Policy | None
    fault: str

    def subject(self, policy: Policy) -> Subject:
        """Return `policy` with what is around it today."""
        config = self.config
        pages = Pages.load(config.page, fits=config.replies == "fit")
        return Subject(policy, pages, config, unasked_directory(config))

    @property
    def store(self) -> Path | None:
        return self.config.events.store_file(self.config.decisions)


@click.command()
@config_option
@click.argument("reference", metavar="DECISION-ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--all", "whole", is_flag=True, help="Print every rule looked at, however many.")
def why(config_file: Path, reference: str, *, as_json: bool, whole: bool) -> int:
    """Tell of one decision who asked, what was decided by which rule, and what that rule said then.

    DECISION-ID is the reference of a block page, of icapd's log or Squid's; a line of Squid's log will do.
    It is looked for in the event store, then in the decision log and its rotated files. The policy of then
    is made again from the texts that the store keeps, and asked about the facts that were recorded.

    Exit status: 0, 1 if the decision is not known, 2 for a reference that is none, or faults in icapd.yaml.
    """
    identity = read_identity(reference)
    if identity is None:
        raise click.UsageError("that is no reference of a decision, such as k3v7q2xa-1f")
    if is_policy(config_file):
        raise IcapdError(f"{config_file}: a policy has no decisions: name the icapd.yaml that serves it")
    known = _known(load_config(config_file))
    store = _open(known.store)
    try:
        found = _find(known, store, identity)
        if found is None:
            print(_not_found(known.config, store, identity), file=sys.stderr)
            return 1
        texts = _texts(known, store, found.policy)
    finally:
        if store is not None:
            store.close()
    with tempfile.TemporaryDirectory(prefix="icapd-why-") as scratch:
        story, subject = _story(known, found, texts, Path(scratch))
    print(json.dumps(as_object(story, subject)) if as_json else as_text(story, subject, whole=whole))
    return 0


def _known(config: Config) -> _Known:
    try:
        return _Known(config, load_policy(config.policy), "")
    except IcapdError as error:
        return _Known(config, None, str(error).partition("\n")[0])


def _open(file: Path | None) -> Store | None:
    return open_store(file) if file is not None and file.exists() else None


def _find(known: _Known, store: Store | None, identity: str) -> Found | None:
    """Look in the store, then in the log: it may be too new for the store, or older than what that keeps."""
    found = None if store is None else in_store(store, identity)
    log = known.config.decisions
    if found is None and log is not None and (log.is_file() or not log.exists()):
        found = in_log(log, identity)
    return found


def _texts(known: _Known, store: Store | None, digest: str | None) -> dict[str, str] | None:
    if digest is None:
        return None
    texts = None if store is None else store.policy_text(digest)
    if texts is None and known.store is not None:
        texts = texts_in(policies_directory(known.store), digest)
    return texts or None


def _story(
    known: _Known, found: Found, texts: dict[str, str] | None, scratch: Path
) -> tuple[Story, Subject | None]:
    record, digest = found.record, found.policy or ""
    source = record.get("source") if isinstance(record.get("source"), str) else None
    past = written = None
    if texts is not None:
        past = made_again(texts, digest, known.config.policy, source, scratch)
    elif known.policy is not None and known.policy.digest == digest:
        past = Past(known.config.policy.read_text("utf-8-sig"), known.policy, same=True)
    if past is not None:
        rule = None if past.policy is None else _rule_of(past.policy, record)
        written = rule_text(past.text, source or "" if rule is None else rule.source)
    subject = explanation = question = None
    missing: tuple[Lacking, ...] = ()
    if past is not None and past.policy is not None:
        subject = known.subject(past.policy)
        question = question_of(record, subject.known)
        if question is not None:
            explanation = subject.explain(question)
            missing = lacking(explanation, past.policy, record, _withheld(known.config))
    story = Story(
        record,
        found.policy,
        joined(record, found.others),
        past,
        written,
        explanation,
        missing,
        _today(known, record, past, question),
    )
    return story, subject


def _withheld(config: Config) -> Withheld:
    events = config.events
    return Withheld(events.strip_query, events.anonymise, events.users != "keep")


def _today(known: _Known, record: dict[str, object], past: Past | None, question: Question | None) -> Today:
    """Say what today's policy makes of the same facts, and of the rule."""
    policy = known.policy
    if policy is None:
        return Today(None, known.fault)
    explanation: Explanation | None = None
    subject = known.subject(policy)
    if question is None:
        question = question_of(record, subject.known)
    if question is not None:
        explanation = subject.explain(question)
    rule = _rule_of(policy, record)
    text = ""
    if rule is not None and past is not None:
        text = rule_text(known.config.policy.read_text("utf-8-sig"), rule.source)
    return Today(policy.digest, "", explanation, rule is not None, text)


def _rule_of(policy: Policy, record: dict[str, object]) -> Rule | None:
    """Return the rule that decided: by its name, for lines move with comments, which change no policy.

    Of rules of one name, which workspaces may have, it is the one where the record says, or else the first.
    """
    wanted = record.get("stage"), record.get("rule")
    rules = (*policy.bypass, *policy.access, *policy.protection.rules)
    named = [rule for rule in rules if (rule.stage, rule.name) == wanted]
    return next((rule for rule in named if rule.source == record.get("source")), named[0] if named else None)


def _not_found(config: Config, store: Store | None, identity: str) -> str:
    """Say that a decision is not known, and what to look at."""
    events = config.events
    lines = [f"icapd: {identity} is not known here"]
    where = [str(one) for one in (None if store is None else store.path, config.decisions) if one is not None]
    if where:
        lines.append(f"  looked for in {' and in '.join(where)}, with what that was rotated to")
    if config.decisions is None:
        lines.append(
            "  decisions go to standard output, so none is kept: set `decisions: FILE` in icapd.yaml"
        )
    elif events.store == "off":
        lines.append("  there is no event store (`events.store: off`), and logs that were removed are gone")
    elif store is None:
        lines.append(
            f"  there is no event store yet: `icapd serve` makes {events.store_file(config.decisions)}"
        )
    else:
        lines.append(
            f"  the store keeps {events.days:g} days, and {events.megabytes} MB (`events.days`, "
            "`events.megabytes`): it may be older"
        )
    lines.append(
        "  it may be of another icapd, or a digit may be wrong: letters and digits, a dash, then 0-9a-f"
    )
    return "\n".join(lines)
