"""`*` stands for any text, in linear steps."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.wildcards import fits, read_wildcard

TEXTS = st.text("ab*", max_size=8)


@given(TEXTS, st.text("ab", max_size=10))
def test_it_matches_as_a_regex_would(pattern: str, text: str) -> None:
    regex = ".*".join(map(re.escape, pattern.split("*")))
    assert fits(read_wildcard(pattern), text) == bool(re.fullmatch(regex, text))


def test_many_stars_take_linear_steps() -> None:
    assert not fits(read_wildcard("*a" * 5000 + "b"), "a" * 100_000)
