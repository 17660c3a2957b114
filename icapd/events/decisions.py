r"""The decision line: one JSON object a line, left open for the log, which adds its number and closes it.

Every value goes through the JSON string escape into ASCII: a CR, LF, ESC or bidi mark of a client
arrives in the log as `\\u…`. Built with one f-string, since json.dumps costs five times as much
(measured). Credentials never reach it: URLs are in normal form, without userinfo.
"""

from __future__ import annotations

import datetime as dt
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icapd.policy import Action, Decision, ProtectionRule, Rule, TlsDecision, TlsRule, TrafficRule
    from icapd.transaction import Transaction
    from icapd.verdicts import Finding

_quote = encode_basestring_ascii
_PASSES = frozenset({"allow", "bypass"})
_NAMES = frozenset({"host", "list"})
_MAX_METHOD = 64
_MAX_FINDINGS = 20  # the worst; of the rest the number
_MAX_NAME = 200  # characters of what content names
_MAX_URL = 4096  # longer ones are cut: a line must not cost what the longest URL costs


class _Stamp:
    """ISO 8601 text of a time, made once a millisecond, and its part above the second once a second."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._above = self._text = ""

    def text(self, now: float) -> str:
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, below = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._above = dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._text = f"{self._above}.{below:03d}Z"
        return self._text


_stamp = _Stamp()


def stamp(now: float) -> str:
    """Return a time, in s since 1970, as the log writes it: ISO 8601, UTC, to the ms."""
    return _stamp.text(now)


def decision_line(
    tx: Transaction,
    decision: Decision | None,
    *,
    decision_id: str,
    url: str,
    status: int,
    tls: TlsDecision | None = None,
    scan: str = "",
    late: bool = False,
) -> str:
    """Return one line, open: the log closes it. `status` is the ICAP status of the answer.

    `decision` None: there is none, since deciding failed; the line says so, as the action `error`.
    `tls` is given for a CONNECT that was let through, and only then is in the line; so are what was found,
    who could not look, `scan` (what became of the body: "scanned", "cached", "skipped" or "error") and
    `late`: part of the message had been passed on when it was blocked.
    """
    request = tx.request
    return record_line(
        tx.now,
        decision_id,
        tx.point,
        None if request is None else request.method,
        url,
        asker_part(tx.client.address, tx.client.user),
        _ERROR if decision is None else verdict_part(decision),
        ("" if tls is None else _tunnel(tls)) + _scanned(decision, scan, late=late) + _heads(tx, decision),
        status,
    )


def record_line(  # noqa: PLR0917  # by position: names would cost a tenth of it
    now: float,
    decision_id: str,
    point: str,
    method: str | None,
    url: str,
    asker: str,
    verdict: str,
    tunnel: str,
    status: int,
) -> str:
    """Return the line of these, open; `asker`, `verdict` (ALLOWED, say) and `tunnel` are parts of JSON."""
    return (
        f'{{"time":"{_stamp.text(now)}","id":"{decision_id}","point":"{point}",'
        f'"method":{"null" if method is None else _quote(method[:_MAX_METHOD])},'
        f'"url":{_quote(url[:_MAX_URL])},{asker}{verdict}{tunnel}"status":{status}'
    )


def plain_line(  # noqa: PLR0917  # as above
    now: float, decision_id: str, point: str, method: str, url: str, asker: str, verdict: str, status: int
) -> str:
    """Return the same of a method and a URL that JSON writes as they are: no quote, backslash or control."""
    if len(url) > _MAX_URL:
        url = url[:_MAX_URL]
    return (
        f'{{"time":"{_stamp.text(now)}","id":"{decision_id}","point":"{point}",'
        f'"method":"{method}","url":"{url}",{asker}{verdict}"status":{status}'
    )


def asker_part(address: str | None, user: str | None) -> str:
    """Return the part of a record that tells who asked, for `record_line`."""
    client = "null" if address is None else _quote(address)
    return f'"client":{client},"user":{"null" if user is None else _quote(user)},'


_ERROR = '"action":"error","stage":"error","rule":null,"source":null,"category":null,'
ALLOWED = '"action":"allow","stage":"default","rule":null,"source":null,"category":null,'


def verdict_part(decision: Decision) -> str:
    """Return the part of a record that tells what was decided, for `record_line`."""
    rule, category = decision.rule, decision.category
    if rule is None and decision.stage == "default" and not decision.shadow:
        return ALLOWED
    shadow = f'"shadow":[{_shadow(decision.shadow)}],' if decision.shadow else ""
    return (
        f'"action":"{_word(decision.action)}","stage":"{decision.stage}",'
        f"{_NO_RULE if rule is None else _by(rule)},"
        f'"category":{"null" if category is None else _quote(category)},{shadow}'
    )


_NO_RULE = '"rule":null,"source":null'


def _by(rule: Rule) -> str:
    return f'"rule":{_quote(rule.name)},"source":{_quote(rule.source)}'


def _shadow(rules: Iterable[TrafficRule | ProtectionRule | TlsRule]) -> str:
    """What rules in shadow mode would have done: nothing else tells that they matched."""
    return ",".join(f'{{{_by(rule)},"action":"{_word(rule.action)}"}}' for rule in rules)


def _scanned(decision: Decision | None, scan: str, *, late: bool) -> str:
    """What scanning said: nothing where there was none."""
    out = f'"scan":{_quote(scan)},' if scan else ""
    if late:
        out += '"late":true,'
    if decision is not None and (decision.findings or decision.violations):
        found = ",".join(map(_finding, decision.findings[:_MAX_FINDINGS]))
        more = f'"findings_more":{len(decision.findings) - _MAX_FINDINGS},'
        out += f'"threat":{_quote(decision.threat[:_MAX_NAME])},"findings":[{found}],'
        out += more if len(decision.findings) > _MAX_FINDINGS else ""
    if decision is not None and decision.errors:
        errors = ",".join(
            f'{{"by":{_quote(one.by[:_MAX_NAME])},"text":{_quote(one.text[:_MAX_NAME])}}}'
            for one in decision.errors[:_MAX_FINDINGS]
        )
        out += f'"unscanned":[{",".join(map(_quote, decision.unscanned))}],"errors":[{errors}],'
    return out


def _heads(tx: Transaction, decision: Decision | None) -> str:
    """What the heads of a message say: nothing of one that just passes, or is blocked for its name alone."""
    if decision is None or (_word(decision.action) in _PASSES and not (decision.findings or decision.errors)):
        return ""
    response, request, out = tx.response, tx.request, ""
    if response is not None:
        mime = (response.headers.text(b"content-type") or "").partition(";")[0].strip().lower()
        out = f'"http_status":{response.status},' + (f'"mime":{_quote(mime[:_MAX_NAME])},' if mime else "")
    elif _word(decision.action) == "block" and not decision.findings and _is_of_names(decision.rule):
        return ""  # as icapd.server.quick has it
    agent = None if request is None else request.headers.text(b"user-agent")
    return f'{out}"user_agent":{_quote(agent[:_MAX_NAME])},' if agent else out


def _is_of_names(rule: Rule | None) -> bool:
    return rule is None or all(matcher.criterion in _NAMES for matcher in rule.when)


def _finding(one: Finding) -> str:
    return (
        f'{{"kind":"{one.kind}","threat":{_quote(one.threat[:_MAX_NAME])},'
        f'"by":{_quote(one.by[:_MAX_NAME])},"where":{_quote(one.where[:_MAX_NAME])}}}'
    )


def _word(action: Action | str) -> str:
    return action if isinstance(action, str) else type(action).__name__.lower()


def _tunnel(tls: TlsDecision) -> str:
    rule = "null" if tls.rule is None else _quote(tls.rule.name)
    shadow = f'"tls_shadow":[{_shadow(tls.shadow)}],' if tls.shadow else ""
    return f'"tls":"{tls.action}","tls_rule":{rule},{shadow}'
