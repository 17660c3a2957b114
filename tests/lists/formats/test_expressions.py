"""Regular expressions, as far as RE2 takes them."""

from __future__ import annotations

from tests.lists.reading import ignored, taken


def test_expressions() -> None:
    text = "(^|[-.?+=/_0-9])porn(s)?\n# x\n(a\n(?=x)y\n(a)\\1\n.*\nhttps?://x\n"
    assert taken("expressions", text) == ["expression (^|[-.?+=/_0-9])porn(s)?"]
    reasons = [reason for _, reason in ignored("expressions", text)]
    assert [reason.partition(":")[0] for reason in reasons] == [
        "not an expression RE2 takes",
        "not an expression RE2 takes",
        "not an expression RE2 takes",
        "an expression that every URL matches",
        "an expression with a scheme",
    ]


def test_an_expression_that_would_grow_without_end_is_refused() -> None:
    assert len(ignored("expressions", "((a{100}){100}){100}")) == 1
