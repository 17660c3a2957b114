"""Macros: known names only, expanded once, each value escaped once."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.macros import MACROS, MacroError, Template


def test_a_template_is_split_once() -> None:
    template = Template.parse("https://x/?u={url}&r={rule}")
    assert template.names == {"url", "rule"}
    assert template.expand({"url": "a&b", "rule": "c d"}, quote) == "https://x/?u=a%26b&r=c%20d"


def test_an_unknown_macro_is_refused_with_those_there_are() -> None:
    with pytest.raises(MacroError, match=r"unknown macro \{urls\}; known are .*url"):
        Template.parse("{urls}")


@pytest.mark.parametrize("text", ["{", "}", "{}", "{{url}}", "{URL}", "{url", "{0}", "{url!r}"])
def test_braces_that_are_no_macro_stay(text: str) -> None:
    expected = text.replace("{url}", "X")
    assert Template.parse(text).expand({"url": "X"}, str) == expected


def test_a_macro_without_a_value_is_empty() -> None:
    assert Template.parse("[{user}]").expand({}, str) == "[]"


@given(st.sampled_from(sorted(MACROS)), st.text())
def test_what_a_value_holds_is_never_expanded_again(name: str, value: str) -> None:
    values = dict.fromkeys(MACROS, "{url}{rule}") | {name: value}
    assert Template.parse(f"<{{{name}}}>").expand(values, str) == f"<{value}>"
