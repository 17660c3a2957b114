"""The index: exact, parents included, all lists in one lookup, and equal to plain sets."""

from __future__ import annotations

import ipaddress
import random
import zlib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.lists.collect import Collector
from icapd.lists.entry import FIELD
from icapd.lists.index import ListIndex, key_of, shard_of, url_host
from icapd.lists.store import MemoryParts, open_parts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest


def index_of(
    lists: dict[str, Iterable[tuple[str, str]]], tries: int = 1, scratch: Path | None = None
) -> ListIndex:
    collector = Collector(len(lists), tries, scratch)
    for at, entries in enumerate(lists.values()):
        for kind, value in entries:
            collector.add(1 << at, kind, value)
    parts = MemoryParts()
    about = collector.finish(parts.write)
    return open_parts({**about, "lists": list(lists)}, parts)


def names(*values: str) -> list[tuple[str, str]]:
    return [("name", value) for value in values]


def url(text: str) -> tuple[str, str]:
    host, slash, rest = text.partition("/")
    path, mark, query = rest.partition("?")
    return "url", FIELD.join((host, slash + path, query) if mark else (host, slash + path))


def span(network: str) -> tuple[str, str]:
    one = ipaddress.ip_network(network)
    return "range", f"{one.version} {int(one[0])} {int(one[-1])}"


def test_keys_put_parents_first() -> None:
    assert key_of("www.a.example") == "example.a.www."
    assert key_of("::1") == "::1."


def test_one_lookup_tells_every_list() -> None:
    index = index_of(
        {"x": names("a.example"), "y": [*names("www.a.example"), span("1.2.3.4/32")], "z": names("b.example")}
    )
    assert index.lookup("a.example") == ("x",)
    assert index.lookup("www.a.example") == ("x", "y")
    assert index.lookup("deep.www.a.example") == ("x", "y")
    assert index.lookup("nota.example") == ()
    assert index.lookup("example") == ()
    assert index.lookup("a.example.b") == ()
    assert index.lookup("1.2.3.4") == ("y",)
    assert index.lookup("1.2.3.40") == ()
    assert index.lookup("") == ()


def test_no_lists_hold_nothing() -> None:
    for index in (index_of({}), index_of({"empty": []})):
        assert index.lookup("a.example") == ()
        assert index.lookup_url("a.example", ("/",), "q") == ()
        assert index.may_hold_url("a.example") == ()
        assert index.lookup_address("1.2.3.4") == ()
        assert index.lookup_hash("ab" * 16) == ()


def test_a_name_alone_holds_nothing_below() -> None:
    index = index_of({"x": [("exact", "a.example")]})
    assert index.lookup("a.example") == ("x",)
    assert index.lookup("www.a.example") == ()


def test_an_exception_takes_out_what_is_below_in_its_own_list() -> None:
    index = index_of(
        {
            "x": [*names("a.example"), ("except", "ok.a.example"), url("ok.a.example/p")],
            "y": names("a.example"),
        }
    )
    assert index.lookup("a.example") == ("x", "y")
    assert index.lookup("ok.a.example") == ("y",)
    assert index.lookup("www.ok.a.example") == ("y",)
    assert index.lookup("nok.a.example") == ("x", "y")
    assert index.lookup_url("ok.a.example", ("/p",)) == ()
    assert index_of({"x": [*names("a.example"), ("except", "a.example")]}).lookup("a.example") == ()
    assert index_of({"x": [("except", "a.example")]}).lookup("a.example") == ()


def test_urls_hold_by_whole_segments() -> None:
    index = index_of({"x": [url("a.example/p/q"), url("a.example/s?id=1")], "y": [url("b.example/")]})
    assert index.lookup_url("a.example", ("/p/q",)) == ("x",)
    assert index.lookup_url("a.example", ("/p/q/",)) == ("x",)
    assert index.lookup_url("a.example", ("/p/q/r",), "z") == ("x",)
    assert index.lookup_url("a.example", ("/p/qq",)) == ()
    assert index.lookup_url("a.example", ("/p",)) == ()
    assert index.lookup_url("www.a.example", ("/p/q",)) == ("x",)
    assert index.lookup_url("w.a.example", ("/p/q",)) == ()
    assert index.lookup_url("a.example", ("/s",), "id=1") == ("x",)
    assert index.lookup_url("a.example", ("/s",)) == ()
    assert index.lookup_url("a.example", ("/s",), "id=12") == ()
    assert index.lookup_url("a.example", ("/s/t",), "id=1") == ()
    assert index.lookup_url("b.example", ("/any",)) == ("y",)
    assert index.lookup("a.example") == index.lookup("b.example") == ()


def test_urls_are_generous_to_block_and_strict_to_exempt() -> None:
    index = index_of({"x": [url("a.example/P"), ("spelling", f"a.example{FIELD}/p/deep")]})
    assert index.lookup_url("a.example", ("/p", "/other")) == ("x",)
    assert index.lookup_url("a.example", ("/p",), strict=True) == ()
    assert index.lookup_url("a.example", ("/P", "/P/x"), strict=True) == ("x",)
    assert index.lookup_url("a.example", ("/P", "/other"), strict=True) == ()
    assert index.lookup_url("a.example", (), strict=True) == ()


def test_hosts_with_urls_are_known_before_the_path_is() -> None:
    index = index_of({"x": [url("a.example/p")], "e": [("expression", "casino")]})
    assert index.may_hold_url("a.example") == ("x", "e")
    assert index.may_hold_url("www.a.example") == ("x", "e")
    assert index.may_hold_url("b.a.example") == ("e",)


def test_expressions_see_host_path_and_query_in_any_case() -> None:
    index = index_of({"x": [("expression", "^a\\.example/.*CASINO")], "y": [("expression", "\\?q=1$")]})
    assert index.lookup_url("a.example", ("/x", "/my-casino")) == ("x",)
    assert index.lookup_url("b.example", ("/casino",)) == ()
    assert index.lookup_url("a.example", ("/casino",), "q=1") == ("x", "y")


def test_www_is_dropped_only_before_a_name_with_a_dot() -> None:
    assert url_host("www2.a.example") == "a.example"
    assert url_host("www.example") == "www.example"
    assert url_host("wwwx.a.example") == "wwwx.a.example"


def test_networks_of_both_families_stay_apart() -> None:
    index = index_of({"x": [span("10.0.0.0/8")], "y": [span("10.1.0.0/16"), span("a00::/16")]})
    assert index.lookup_address("10.1.2.3") == ("x", "y")
    assert index.lookup_address("10.2.2.3") == ("x",)
    assert index.lookup_address("::ffff:10.1.2.3") == ("x", "y")
    assert index.lookup_address("a00::1") == ("y",)
    assert index.lookup_address("::a01:203") == ()
    assert index.lookup_address("11.0.0.0") == index.lookup_address("9.255.255.255") == ()
    assert index.lookup_address("nonsense") == ()
    assert index.lookup("2001:db8::1") == ()


def test_the_last_address_has_an_end() -> None:
    index = index_of(
        {"x": [("range", f"4 {2**32 - 2} {2**32 - 1}"), ("range", f"6 {2**128 - 1} {2**128 - 1}")]}
    )
    assert index.lookup_address("255.255.255.255") == ("x",)
    assert index.lookup_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == ("x",)
    assert index.lookup_address("255.255.255.253") == ()


def test_digests_are_compared_whole() -> None:
    index = index_of({"x": [("md5", "ab" * 16)], "y": [("sha256", "cd" * 32), ("md5", "ab" * 16)]})
    assert index.lookup_hash("AB" * 16) == ("x", "y")
    assert index.lookup_hash("cd" * 32) == ("y",)
    assert (
        index.lookup_hash("ab" * 15 + "ac") == index.lookup_hash("cd" * 16) == index.lookup_hash("zz") == ()
    )


def test_digests_have_names() -> None:
    entries = [("md5", f"{n:032x}{FIELD}Family{n % 3}") for n in range(50)]
    entries += [("sha256", f"{7:064x}{FIELD}" + "\u00fc" * 100), ("sha256", f"{8:064x}")]
    index = index_of({"x": entries})
    assert [index.hash_name(f"{n:032x}") for n in (0, 1, 49)] == ["Family0", "Family1", "Family1"]
    assert index.hash_name(f"{7:064X}") == "\u00fc" * 100
    assert index.hash_name(f"{8:064x}") == ""


def test_names_that_collide_under_a_hash_are_told_apart() -> None:
    """CRC-32 chooses the trie only: what it confuses, the trie does not."""
    source = random.Random(1)
    seen: dict[int, str] = {}
    while True:
        name = "".join(source.choices("abcdefghijklmnop", k=12)) + ".example"
        other = seen.setdefault(zlib.crc32(key_of(name).encode()), name)
        if other != name:
            break
    assert index_of({"x": names(name)}).lookup(other) == ()


LABELS = st.sampled_from(["a", "b", "ab", "a-b", "x", "xx", "co", "uk"])
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)
LISTS = st.dictionaries(st.sampled_from("pqr"), st.sets(NAMES, max_size=6))


def parents(host: str) -> set[str]:
    labels = host.split(".")
    return {".".join(labels[at:]) for at in range(len(labels))}


@given(LISTS, NAMES)
def test_the_index_agrees_with_sets(lists: dict[str, set[str]], host: str) -> None:
    expected = tuple(name for name, held in lists.items() if held & parents(host))
    assert index_of({name: names(*held) for name, held in lists.items()}).lookup(host) == expected


@settings(max_examples=40)
@given(
    kinds=st.tuples(LISTS, LISTS, LISTS),
    hosts=st.lists(NAMES, min_size=1, max_size=8),
    tries=st.sampled_from([1, 2, 8]),
)
def test_every_kind_of_name_agrees_with_sets_however_many_tries(
    kinds: tuple[dict[str, set[str]], ...],
    hosts: list[str],
    tries: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # Public suffixes are refused, so that every entry has two labels: what tries are chosen by.
    lists, exact, exceptions = (
        {name: {one for one in held.get(name, ()) if "." in one} for name in "pqr"} for held in kinds
    )
    entries: dict[str, Iterable[tuple[str, str]]] = {
        name: [
            *names(*lists[name]),
            *(("exact", one) for one in exact[name]),
            *(("except", one) for one in exceptions[name]),
        ]
        for name in "pqr"
    }
    index = index_of(entries, tries, tmp_path_factory.mktemp("scratch"))
    for host in hosts:
        expected = tuple(
            name
            for name in "pqr"
            if (lists[name] & parents(host) or host in exact[name]) and not exceptions[name] & parents(host)
        )
        assert index.lookup(host) == expected


@given(NAMES, st.sampled_from([2, 8, 64]))
def test_a_name_its_parents_and_its_urls_share_a_trie(host: str, tries: int) -> None:
    chosen = shard_of(key_of(host) + "=", tries)
    for parent in parents(host):
        if "." in parent:
            assert shard_of(key_of(parent), tries) == chosen
            assert shard_of(key_of(parent) + "/a.b/c.d/", tries) == chosen
