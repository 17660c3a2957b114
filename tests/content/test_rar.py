"""What RAR's headers tell: encryption, and whether there is an archive at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.content.budget import Bounds, Budget
from icapd.content.rar import flaws, is_archive
from icapd.verdicts import Kind
from tests.cases.more_archives import rar4, rar5

TEXT = b"text " * 50


def found(data: bytes) -> list[Kind]:
    return [flaw.kind for flaw in flaws(data, Budget(Bounds(), len(data) + 1))]


@pytest.mark.parametrize(
    "data",
    [
        rar5(b"a", TEXT, encrypted=True),
        rar5(b"a", TEXT, locked=True),
        rar4(b"a", TEXT, flags=4),
        rar4(b"a", TEXT, head_flags=0x80),
        rar5(b"a", TEXT)[:-8] + rar5(b"b", TEXT, encrypted=True)[16:],
    ],
)
def test_encryption_is_told(data: bytes) -> None:
    assert found(data) == [Kind.ENCRYPTED]


@pytest.mark.parametrize("data", [rar5(b"a", TEXT), rar4(b"a", TEXT), b"", b"Rar!", b"MZ"])
def test_what_is_not_encrypted_is_not(data: bytes) -> None:
    assert found(data) == []


@pytest.mark.parametrize("make", [rar4, rar5])
def test_an_archive_has_a_header_whose_sum_is_right(make: object) -> None:
    data = make(b"a", TEXT)  # type: ignore[operator]
    assert is_archive(data)
    assert not is_archive(data[:9] + b"?" + data[10:])
    assert not is_archive(data[:10])


@given(st.sampled_from([b"Rar!\x1a\x07\0", b"Rar!\x1a\x07\1\0"]), st.binary(max_size=300))
def test_nothing_raises(start: bytes, rest: bytes) -> None:
    found(start + rest)
    is_archive(start + rest)
