"""The index of names: exact, parents included, all lists in one lookup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icapd.lists.index import key_of
from icapd.lists.load import build_index


def test_keys_put_parents_first() -> None:
    assert key_of("www.a.example") == "example.a.www."
    assert key_of("1.2.3.4") == "=1.2.3.4="
    assert key_of("::1") == "=::1="


def test_one_lookup_tells_every_list() -> None:
    index = build_index({"x": {"a.example"}, "y": {"www.a.example", "1.2.3.4"}, "z": {"b.example"}}).index
    assert index.lookup("a.example") == ("x",)
    assert index.lookup("www.a.example") == ("x", "y")
    assert index.lookup("deep.www.a.example") == ("x", "y")
    assert index.lookup("nota.example") == ()
    assert index.lookup("example") == ()
    assert index.lookup("1.2.3.4") == ("y",)
    assert index.lookup("1.2.3.40") == ()
    assert index.lookup("1.2.3") == ()
    assert index.size == 4


def test_no_lists_hold_nothing() -> None:
    assert build_index({}).index.lookup("a.example") == ()
    assert build_index({"empty": set()}).index.lookup("a.example") == ()


LABELS = st.sampled_from(["a", "b", "ab", "a-b", "x", "xx"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@given(st.dictionaries(st.sampled_from("pqr"), st.sets(NAMES, max_size=6)), NAMES)
def test_the_index_agrees_with_sets(lists: dict[str, set[str]], host: str) -> None:
    labels = host.split(".")
    chain = {".".join(labels[at:]) for at in range(len(labels))}
    expected = tuple(name for name, names in lists.items() if names & chain)
    assert build_index(lists).index.lookup(host) == expected
