"""All regexes in one scan; what RE2 cannot do is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import re2

from icapd.errors import ConfigErrors
from icapd.policy import regexes
from icapd.policy.regexes import RegexError, RegexSet, check_regex
from tests.policy.asking import outcome, policy, transaction

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "pattern", ["(?=a)", r"(a)\1", "(a", "a)(b", "[", "a{1000}{1000}", "(?<!a)b", "*", "\ud800"]
)
def test_what_is_not_linear_or_no_regex_is_refused(pattern: str) -> None:
    with pytest.raises(RegexError) as caught:
        check_regex(pattern)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)*b$", "^x", "(?s)a.b", "\u00e9"])
def test_what_is_linear_is_taken(pattern: str) -> None:
    assert check_regex(pattern) == pattern


def test_blocking_ignores_case_and_exempting_does_not() -> None:
    both = RegexSet(["evil", "a.c"], ["good", "[^x]y"])
    assert both.loose("http://EVIL/abc") == {"evil", "a.c"}
    assert both.loose("http://good/") == frozenset()
    assert both.exact("http://good/Xy") == {"good", "[^x]y"}
    assert both.exact("http://GOOD/") == frozenset()
    assert RegexSet((), ()).loose("x") == frozenset()


def test_a_set_that_runs_out_of_memory_asks_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = RegexSet(["evil", "good"], [])
    for silent in (None, [1]):  # nothing found, or not the witness: RE2 gave up
        monkeypatch.setattr(asked._loose, "_set", type("Silent", (), {"Match": lambda _, __, s=silent: s})())
        assert asked.loose("EVIL") == {"evil"}


def test_a_set_too_big_to_compile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"evil{n}\\.test/.*x{n}" for n in range(500)]
    with pytest.raises(RegexError, match="these 500 regexes are too many"):
        RegexSet(many, [], memory=10_000)
    monkeypatch.setattr(regexes, "NO_REGEXES", regexes.NO_REGEXES)
    real = RegexSet.__init__
    monkeypatch.setattr(RegexSet, "__init__", lambda self, loose, exact: real(self, loose, exact, 10_000))
    rules = "".join(
        f"- {{name: r{n}, when: {{regex: 'evil{n}.test/.*x{n}'}}, action: block}}\n" for n in range(500)
    )
    with pytest.raises(ConfigErrors, match="policy.yaml: these 500 regexes are too many"):
        policy(tmp_path, "access:\n" + rules)


def test_a_regex_that_re2_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigErrors, match=r"policy.yaml:3: regex: '\(\?=a\)' is no regex that takes linear time"
    ):
        policy(tmp_path, "access:\n- name: a\n  when: {regex: [ok, '(?=a)']}\n  action: block\n")


def test_five_thousand_regexes_cost_one_scan_for_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "".join(
        f"- {{name: r{n}, when: {{regex: '^https?://h{n}[.]test/.*[.]php'}}, action: block}}\n"
        for n in range(5000)
    )
    loaded = policy(tmp_path, "access:\n" + rules)
    scans: list[bytes] = []
    real = re2.Set.Match

    def counted(self: re2.Set, text: bytes) -> list[int]:
        scans.append(text)
        found: list[int] = real(self, text)
        return found

    monkeypatch.setattr(re2.Set, "Match", counted)
    assert outcome_once(loaded, "http://good.test/a.php") == "Allow"
    assert scans == [b"http://good.test/a.php"]
    assert outcome_once(loaded, "http://h4711.test/a.php") == "Block"
    assert len(scans) == 2


@pytest.mark.parametrize("memory", [12_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000])
def test_a_set_that_compiles_has_room_to_match(memory: int) -> None:
    many = [f"evil{n}\\.test/.*x{n}" for n in range(300)]
    try:
        loaded = RegexSet(many, [], memory)
    except RegexError:
        return
    for n in range(0, 300, 7):
        assert loaded.loose(f"http://EVIL{n}.test/abcx{n}") >= {f"evil{n}\\.test/.*x{n}"}


def outcome_once(rules: object, target: str) -> str:
    return type(rules.decide(transaction(target=target)).action).__name__  # type: ignore[attr-defined]


def test_regexes_in_policies_block_generously_and_exempt_strictly(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        """
access:
  - {name: ok, when: {regex: '^http://good[.]test/safe/'}, action: allow}
  - {name: php, when: {regex: '^https?://([^/]*[.])?evil[.]test(:[0-9]+)?/.*[.]php([?]|$)'}, action: block}
  - {name: rest, when: {host: [good.test]}, action: block}
""",
    )
    for target, expected in (
        ("http://evil.test/a.php", "block: php"),
        ("http://EVIL.test/A.PHP", "block: php"),
        ("http://evil.test/a%2ephp", "block: php"),
        ("http://evil.test/a%252ephp", "block: php"),
        ("http://www.evil.test:8080/x/a.php?q", "block: php"),
        ("http://other.test/?http://evil.test/a.php", "allow"),
        ("http://evil.test/a.phpx", "allow"),
        ("http://good.test/safe/x", "allow: ok"),
        ("http://good.test/SAFE/x", "block: rest"),
        ("http://good.test/safe/../x", "block: rest"),
        ("http://good.test/safe/%252e%252e/x", "block: rest"),
        ("http://good.test/x%2fsafe/", "block: rest"),
    ):
        assert outcome(rules, transaction(target=target)) == expected, target
    assert rules.decide(transaction("CONNECT", "evil.test:443")).undecided is rules.access[0]
    assert outcome(rules, transaction("GET", "http://good.test/safe/", "Host: evil.test")) == "block: rest"
