"""What clamd says, and what is made of it: nothing but its own word for it is clean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.adapters.clam_replies import Clean, Failed, Found, Reply, kind_of, read_reply
from icapd.verdicts import Kind

LIMIT = "Heuristics.Limits.Exceeded.MaxRecursion"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"stream: OK", Clean()),
        (b"fd[10]: OK", Clean()),
        (b"instream(127.0.0.1@3310): OK", Clean()),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND", Found(Kind.MALWARE, "Win.Test.EICAR_HDB-1")),
        (b"fd[3]: Test.Eicar.UNOFFICIAL FOUND", Found(Kind.MALWARE, "Test.Eicar.UNOFFICIAL")),
        (b"stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND", Found(Kind.MALWARE, "Eicar")),
        (b"stream: " + LIMIT.encode() + b" FOUND", Found(Kind.LIMIT, LIMIT)),
        (b"INSTREAM size limit exceeded. ERROR", Found(Kind.LIMIT, "INSTREAM size limit exceeded")),
        (b"stream: Exceeded time limit ERROR", Found(Kind.LIMIT, "Exceeded time limit")),
        (b"fd[9]: CL_EMAXFILES ERROR", Found(Kind.LIMIT, "CL_EMAXFILES")),
        (b"stream: Bad format or broken data ERROR", Found(Kind.UNSCANNABLE, "Bad format or broken data")),
        (b"fd[10]: Not a regular file ERROR", Failed("clamd: Not a regular file")),
        (b"No file descriptor received. ERROR", Failed("clamd: No file descriptor received")),
        (b"stream: ERROR", Failed("clamd: an error without a text")),
        (b"COMMAND READ TIMED OUT", Failed("clamd answered 'COMMAND READ TIMED OUT'")),
    ],
)
def test_what_is_known(said: bytes, reply: Reply) -> None:
    assert read_reply(said) == reply


@pytest.mark.parametrize(
    "said",
    [
        b"", b"OK", b" stream: OK", b"stream: OK ", b"stream: OK\n", b"stream:OK", b"stream: ok", b"STREAM: OK",
        b"stream: stream: OK", b"a FOUND", b"stream:  FOUND", b"stream: \xff FOUND", b"stream: a\nb FOUND",
        b"fd[]: OK", b"PONG", b"UNKNOWN COMMAND", b"stream: OK\0", b"<html>",
    ],
)  # fmt: skip
def test_what_is_nearly_right_is_an_error(said: bytes) -> None:
    assert isinstance(read_reply(said), Failed)


@pytest.mark.parametrize(
    ("threat", "kind"),
    [
        (LIMIT, Kind.LIMIT),
        ("Heuristics.Limits.Exceeded", Kind.LIMIT),
        ("Heuristics.Zip.OverlappingFiles", Kind.LIMIT),
        ("Heuristics.Encrypted.Zip", Kind.ENCRYPTED),
        ("Heuristics.OLE2.ContainsMacros.VBA", Kind.MACRO),
        ("Heuristics.Phishing.Email.SpoofedDomain", Kind.PHISHING),
        ("Html.Phishing.Bank-1", Kind.PHISHING),
        ("Heuristics.Broken.Executable", Kind.UNSCANNABLE),
        ("Heuristics.Structured.CreditCardNumber", Kind.MALWARE),
        ("PUA.Win.Packer", Kind.MALWARE),
        ("Win.Trojan.Heuristics.Encrypted.Zip", Kind.MALWARE),
    ],
)
def test_names(threat: str, kind: Kind) -> None:
    assert kind_of(threat) is kind


@given(
    st.one_of(
        st.binary(max_size=60), st.text(alphabet="stream: OKFUNDER\n\0[]fd0", max_size=40).map(str.encode)
    )
)
def test_nothing_else_is_clean_and_all_is_printable(said: bytes) -> None:
    reply = read_reply(said)
    if isinstance(reply, Clean):
        assert said == b"stream: OK" or (said.startswith((b"fd[", b"instream(")) and said.endswith(b": OK"))
    else:
        text = reply.threat if isinstance(reply, Found) else reply.text
        assert text.isprintable()
        assert text.isascii()
        assert len(text) <= 220
