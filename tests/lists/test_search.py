"""Expressions asked together answer as they would alone."""

from __future__ import annotations

import pytest

from icapd.lists.search import Expressions


@pytest.mark.parametrize("memory", [1 << 14, 1 << 16, 1 << 28])
def test_expressions_too_many_for_one_automaton_are_all_asked(memory: int) -> None:
    """An automaton without memory finds nothing, and must not be believed."""
    written = [(f"(^|[-./])w{number}[a-z]*x.*y{number}z", (f"l{number}",)) for number in range(40)]
    expressions = Expressions(written, memory)
    for number in (0, 7, 39):
        assert expressions.find(f"a.example/w{number}abx/{'w1x w2x w3x ' * 300}y{number}z") == {f"l{number}"}
    assert expressions.find("a.example/w40x/y40z") == set()


def test_an_automaton_without_memory_is_not_believed() -> None:
    class Dead:
        @staticmethod
        def Match(_text: str) -> None:
            return None

    expressions = Expressions([("casino", ("x",)), ("poker", ("y",))])
    expressions._sets[0][1]._set = Dead()
    assert expressions.find("a.example/poker") == {"y"}
    assert expressions.find("a.example/") == set()


def test_an_answer_without_the_witness_is_not_believed() -> None:
    class Half:
        @staticmethod
        def Match(_text: bytes) -> list[int]:
            return [1]  # the first expression alone, whatever the text is

    expressions = Expressions([("casino", ("x",)), ("poker", ("y",))])
    expressions._sets[0][1]._set = Half()
    assert expressions.find("a.example/poker") == {"y"}
