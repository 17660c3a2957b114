"""Which rules decided nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from icapd.events.report import Period, Report, make_report
from icapd.events.store import open_store
from icapd.policy import load_policy
from icapd.reports.setting import Idle, idle_rules, policies_begun
from tests.events.recorded import BEGIN, record

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """bypass: [{name: updates, when: {host: [u.example]}}]
access:
  - {name: no games, when: {host: [g.example]}, action: block}
  - {name: trial, mode: shadow, when: {host: [t.example]}, action: block}
  - {name: later, mode: shadow, when: {host: [l.example]}, action: block}
tls: [{name: updates, when: {host: [u.example]}, action: splice}]
protection: [{name: office, when: {host: [o.example]}, scan: {macro: skip}}]
"""


def test_a_rule_that_no_record_names_is_idle(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    records = [
        record(1, action="block", stage="access", rule="no games", source="p:3"),
        record(2, shadow=[{"rule": "trial", "source": "p:4", "action": "block"}]),
        record(3, method="CONNECT", tls="splice", tls_rule="updates"),
    ]
    with closing(open_store(tmp_path / "events.db", readonly=False)) as store:
        store.add(records, None)
        report: Report = make_report(store.connection, Period(BEGIN.timestamp(), BEGIN.timestamp() + 60))
    assert idle_rules(load_policy(policy), report) == (
        Idle("bypass", "updates", f"{policy}:1", shadow=False),
        Idle("access", "later", f"{policy}:5", shadow=True),
        Idle("protection", "office", f"{policy}:7", shadow=False),
    )


def test_policies_are_told_once_for_all_processes_and_the_last_ones_alone(tmp_path: Path) -> None:
    def begins(number: int, digest: str) -> dict[str, object]:
        return {
            "time": record(number)["time"],
            "event": "policy",
            "source": f"s{number}",
            "seq": 1,
            "digest": digest,
        }

    digests = [(1, "d0"), (2, "d0"), *((number, f"d{number}") for number in range(10, 20))]
    with closing(open_store(tmp_path / "events.db", readonly=False)) as store:
        store.add([begins(*one) for one in digests], None)
        report = make_report(store.connection, Period(BEGIN.timestamp(), BEGIN.timestamp() + 60))
    assert policies_begun(report) == (
        "Policies that began: 5 others, d14 (24 Nov 10:00), d15 (24 Nov 10:00), d16 (24 Nov 10:00), "
        "d17 (24 Nov 10:00), d18 (24 Nov 10:00), d19 (24 Nov 10:00)."
    )
