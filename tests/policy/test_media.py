"""What Content-Type and Content-Length say, however they say it."""

from __future__ import annotations

import pytest

from icapd.http import HeadError, Headers
from icapd.policy.media import content_length, media_types, members


def headers(*lines: str) -> Headers:
    return Headers(b"".join(b"\r\n" + line.encode() for line in lines) + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["text/plain"], ("text/plain",)),
        (["Text/PLAIN; charset=utf-8"], ("text/plain",)),
        ([" text/plain ;"], ("text/plain",)),
        (["text / plain"], ("text/plain",)),
        (['"text/plain"'], ("text/plain",)),
        (["a/b, c/d;x=y, a/b"], ("a/b", "c/d")),
        (['a/b; x="1, c/d", e/f'], ("a/b", "e/f")),
        (['a/b; x="1, c/d'], ("a/b",)),
        (['a/b; x="\\", c/d", e/f'], ("a/b", "e/f")),
        (["a/b", "c/d"], ("a/b", "c/d")),
        ([""], ()),
        ([], ()),
    ],
)
def test_every_type_declared_counts(values: list[str], found: tuple[str, ...]) -> None:
    assert media_types(headers(*(f"Content-Type: {value}" for value in values))) == found


def test_a_long_list_of_open_quotes_takes_linear_time() -> None:
    assert len(members('"' * 20_001 + "," * 20_000 + "\\" * 20_000)) == 1


@pytest.mark.parametrize(
    ("values", "length"),
    [
        ([], None),
        (["0"], 0),
        (["007"], 7),
        (["5, 5"], 5),
        (["5", "5"], 5),
        (["9223372036854775807"], 2**63 - 1),
    ],
)
def test_one_number_is_the_length(values: list[str], length: int | None) -> None:
    assert content_length(headers(*(f"Content-Length: {value}" for value in values))) == length


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["-1"],
        ["+1"],
        ["1e3"],
        ["0x1"],
        ["1 1"],
        ["5, 6"],
        ["5", "6"],
        ["9223372036854775808"],
        ["9" * 30],
        ["\u0661"],
    ],
)
def test_anything_else_is_ill_formed(values: list[str]) -> None:
    with pytest.raises(HeadError):
        content_length(headers(*(f"Content-Length: {value}" for value in values)))
