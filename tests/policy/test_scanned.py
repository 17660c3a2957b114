"""What may be presumed of scanning in a question, and how it is written."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from icapd.policy.question import read_question
from icapd.policy.scanned import BodyText, read_error, read_finding
from icapd.transaction import BodyFacts, Point
from icapd.verdicts import CONTENT, Finding, Kind, ScanError

MD5, SHA = "0" * 32, "A" * 64


def test_a_finding_in_one_word() -> None:
    assert read_finding("malware=Win.Test.EICAR=1") == Finding(Kind.MALWARE, "Win.Test.EICAR=1", CONTENT)
    assert read_finding("encrypted") == Finding(Kind.ENCRYPTED, "", CONTENT)
    with pytest.raises(ValueError, match="kinds are malware, phishing"):
        read_finding("virus=EICAR")


def test_a_failure_in_one_word() -> None:
    assert read_error("clamd") == ScanError("clamd", "presumed", "closed")
    assert read_error("clamd=open").on_error == "open"
    for text in ("", "=open", "clamd=", "clamd=maybe"):
        with pytest.raises(ValueError, match="ADAPTER=open"):
            read_error(text)


def test_digests_are_told_apart_by_their_length() -> None:
    text = BodyText.model_validate({"size": 5, "file_type": "exe", "hash": [MD5, SHA]})
    assert text.facts() == BodyFacts(5, ("exe",), (MD5,), (SHA.lower(),))
    assert BodyText().facts() == BodyFacts()
    for wrong in ({"hash": "abc"}, {"file_type": "exx"}, {"sice": 1}):
        with pytest.raises(ValidationError):
            BodyText.model_validate(wrong)


def test_it_is_said_of_the_message_asked_about_last() -> None:
    value = {
        "uri": "http://a.example/",
        "body": {"file_type": ["exe"]},
        "findings": ["malware=EICAR", {"kind": "macro", "threat": "x", "by": "yara", "where": "a.zip"}],
        "errors": ["clamd", {"by": "yara", "on_error": "open"}],
    }
    upload = read_question(value, 0.0)
    assert upload.scanned.findings == (
        Finding(Kind.MALWARE, "EICAR", CONTENT),
        Finding(Kind.MACRO, "x", "yara", "a.zip"),
    )
    assert [one.on_error for one in upload.scanned.errors] == ["closed", "open"]
    assert upload.transaction(Point.REQMOD).body == BodyFacts(file_types=("exe",))
    download = read_question({**value, "response": {"body_len": 7}}, 0.0)
    assert download.transaction(Point.REQMOD).body is None
    assert download.transaction(Point.RESPMOD).body == BodyFacts(7, ("exe",))
    with pytest.raises(ValueError, match="findings"):
        read_question({**value, "findings": ["worm=x"]}, 0.0)
