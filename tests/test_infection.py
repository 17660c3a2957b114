"""The fields that tell an ICAP client what was found, whatever the content calls itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icapd.infection import MAX_NAME, MAX_VIOLATIONS, infection_headers, threat_name
from icapd.policy import Allow, Block, Decision
from icapd.verdicts import Finding, Kind

EICAR = Finding(Kind.MALWARE, "Win.Test.EICAR_HDB-1", "clamd", "a b.zip/x.com")
LOCKED = Finding(Kind.ENCRYPTED, "", "content")


def blocked(*found: Finding) -> dict[bytes, bytes]:
    return dict(infection_headers(Decision(Block(), "protection", findings=found, violations=found)))


def test_one_infection() -> None:
    assert blocked(EICAR) == {
        b"X-Infection-Found": b"Type=0; Resolution=2; Threat=Win.Test.EICAR_HDB-1;",
        b"X-Virus-ID": b"Win.Test.EICAR_HDB-1",
        b"X-Response-Info": b"Blocked",
    }


def test_what_breaks_a_rule_without_a_name_has_that_of_its_kind() -> None:
    assert blocked(LOCKED)[b"X-Infection-Found"] == b"Type=2; Resolution=2; Threat=encrypted;"


def test_several_are_told_one_by_one() -> None:
    value = blocked(EICAR, LOCKED)[b"X-Violations-Found"]
    assert value == b"2 a_b.zip/x.com Win.Test.EICAR_HDB-1 0 2 - encrypted 2 2"
    many = blocked(*[EICAR] * 1000)[b"X-Violations-Found"]
    assert many.startswith(b"%d " % MAX_VIOLATIONS)
    assert len(many) < 10_000


def test_nothing_is_said_of_what_passes_or_was_blocked_otherwise() -> None:
    assert infection_headers(Decision(Block(), "access")) == ()
    assert infection_headers(Decision(Allow(), "protection", findings=(EICAR,))) == ()


@given(st.text(), st.text())
def test_no_name_breaks_out_of_its_value(threat: str, where: str) -> None:
    one = Finding(Kind.MALWARE, threat, "x", where)
    for value in blocked(one, one).values():
        text = value.decode("ascii")
        assert text.isprintable()
        assert text.count(";") <= 3  # those of the field itself
    assert len(threat_name(one)) <= MAX_NAME
