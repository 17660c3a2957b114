"""Criteria on messages as written: every wrong value is named."""

from __future__ import annotations

import pytest

from icapd.policy.compile import Catalog, compile_criterion
from icapd.policy.compile_message import read_size
from icapd.policy.faults import Faults

RIGHT = {
    "path": "/a",
    "regex": "a",
    "direction": "request",
    "mime": "a/b",
    "file_type": "exe",
    "file_name": "*.exe",
    "size": ">1",
    "content_length": "<1k",
    "md5": "0" * 32,
    "sha256": "0" * 64,
    "header": "A: b",
    "request_header": "A",
    "upgrade": "websocket",
    "schedule": "UTC",
    "homograph": "a.test",
    "proxy_port": "3128",
    "workspace": "labs",
    "category": "Adult",
}


@pytest.mark.parametrize(
    ("criterion", "value"),
    [
        *(("path", value) for value in ("", "a", "http://a/", "//a", "/a#b", "=a")),
        *(("regex", value) for value in ("(?=a)", "(", r"(.)\1")),
        *(("direction", value) for value in ("", "both", "reqmod")),
        *(("mime", value) for value in ("", "a", "a/b; c=d", "a/b/c", "video/", "*")),
        *(("file_type", value) for value in ("", "exee", "application/zip")),
        *(("file_name", value) for value in ("a/b", "a\\b")),
        *(("size", value) for value in ("", "x", "<0", "5-1", ">", "1.5k", "-1", "10 apples", ">=", "=>1")),
        *(("content_length", value) for value in ("<0", "k")),
        *(("md5", value) for value in ("", "0" * 31, "g" * 32)),
        ("sha256", "0" * 32),
        *(("header", value) for value in ("", ":x", "a b: c", "\u00e9: x")),
        ("request_header", ": x"),
        *(("upgrade", value) for value in ("", "a b", "a/1")),
        *(("schedule", value) for value in ("", "mon", "mon 8-9 UTC")),
        *(("homograph", value) for value in ("", "test", "10.0.0.1", "a b.test")),
        ("proxy_port", "0"),
        ("workspace", "lab"),
        ("category", "adlt"),
    ],
)
def test_a_wrong_value_is_named(criterion: str, value: str) -> None:
    known = Catalog({"adult": "Adult"}, frozenset(), ("labs",))
    with pytest.raises(Faults) as caught:
        compile_criterion(criterion, (RIGHT[criterion], value), known)
    ((index, message),) = caught.value.faults
    assert index == 1
    assert message.isprintable()


@pytest.mark.parametrize("criterion", sorted(RIGHT))
def test_a_right_value_stays_as_written_and_compares_by_value(criterion: str) -> None:
    known = Catalog({"adult": "Adult"}, frozenset(), ("labs",))
    one, two = (compile_criterion(criterion, (RIGHT[criterion],), known) for _ in range(2))
    assert (one.criterion, one.wanted) == (criterion, (RIGHT[criterion],))
    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    ("criterion", "value", "advice"),
    [
        ("file_type", "docxx", "did you mean 'docx'?"),
        ("workspace", "lab", "did you mean 'labs'?"),
        ("category", "Adlt", "did you mean 'Adult'?"),
        ("category", "zzz", "no list is of it: see `lists`"),
    ],
)
def test_a_near_miss_is_answered(criterion: str, value: str, advice: str) -> None:
    with pytest.raises(Faults) as caught:
        compile_criterion(criterion, (value,), Catalog({"adult": "Adult"}, frozenset(), ("labs",)))
    assert advice in caught.value.faults[0][1]


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        (">10MB", (10 * 2**20 + 1, None)),
        (">= 10 MiB", (10 * 2**20, None)),
        ("<1k", (0, 1023)),
        ("<=1K", (0, 1024)),
        ("1k-2KB", (1024, 2048)),
        ("0", (0, 0)),
        ("10485760", (10485760, 10485760)),
        ("5 bytes", (5, 5)),
        (">1G", (2**30 + 1, None)),
    ],
)
def test_sizes(text: str, interval: tuple[int, int | None]) -> None:
    assert read_size(text) == interval
