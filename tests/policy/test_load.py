"""policy.yaml: every fault at once, with its line; nothing half-loaded; a digest of what it means."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.errors import ConfigErrors
from icapd.lists import load as loading
from icapd.policy import Block, Bypass, load_policy, reload_policy
from icapd.policy.texts import CriteriaText
from tests.policy.asking import outcome, policy, transaction, write_policy

if TYPE_CHECKING:
    from icapd.transaction import Transaction

RULES = Path(__file__).parents[2] / "rules"
WHOLE = (RULES / "examples" / "five-rules.yaml").read_text("utf-8").replace("../lists/gambling.domains", "g")


def faults(folder: Path, text: str, **lists: str) -> list[str]:
    path = write_policy(folder, text, **lists)
    with pytest.raises(ConfigErrors) as caught:
        load_policy(path, cache=folder / "cache")
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_all_faults_of_all_parts_are_told_at_once(tmp_path: Path) -> None:
    text = """\
lists:
  adult: {domains: [nowhere]}
  games: {domans: [g]}
bypass:
  - {name: one, when: {host: ["a b"]}}
  - {name: two, action: block}
access:
  - name: three
    whn: {host: [a.test]}
    action: block
  - name: four
    when: {port: [80, 99999], methd: [GET], list: [gams]}
    action: block
  - name: five
    when: {list: [adlt], client: [10.0.0.1/8]}
    action: {redirect: "https://x/?{urls}"}
  - {name: five, action: drop}
  - {name: six}
tls:
  - {name: seven, action: tunnel}
  - {name: eight, when: {host: []}, action: bump}
protection:
  - {name: nine}
"""
    assert [line.split(":", 2)[1] for line in faults(tmp_path, text)] == [
        *("2", "3", "5", "6", "9", "12", "15", "15", "16", "17", "17", "18", "20", "21", "23"),
    ]
    told = "\n".join(faults(tmp_path, text))
    for part in (
        "policy.yaml:2: list 'adult': '"
        + str(tmp_path / "nowhere")
        + "' cannot be read: No such file or directory",
        "policy.yaml:3: unknown key 'domans'; did you mean 'domains'?",
        "policy.yaml:9: unknown key 'whn'; did you mean 'when'?",
        "policy.yaml:12: unknown key 'methd'; did you mean 'method'?",
        "policy.yaml:15: list: unknown list 'adlt'; did you mean 'adult'?",
        "policy.yaml:16: unknown macro {urls}",
        "policy.yaml:17: rule 'five' is already at",
        "policy.yaml:23: a rule of protection says what it does",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("access:\n- {name: a, action: {redirect: 'ftp://x/'}}", "policy.yaml:2: a redirect goes to a URL"),
        (
            "access:\n- {name: a, action: {redirect: 'https://{host}/'}}",
            "policy.yaml:2: a redirect's host must not",
        ),
        (
            "access:\n- {name: a, action: {redirect: 'https://x{host}'}}",
            "policy.yaml:2: a redirect's host must not",
        ),
        ("access:\n- {name: a, action: {redirect: [x]}}", "policy.yaml:2: a redirect goes to a URL"),
        ("access:\n- {name: a, action: {block: x}}", "policy.yaml:2: an access rule's action is"),
        ("access:\n- {name: a, action: [block]}", "policy.yaml:2: an access rule's action is"),
        ("tls:\n- {name: a, action: [bump]}", "policy.yaml:2: a tls rule's action is one of bump"),
        ('access:\n- {name: "a\\eb", action: block}', "policy.yaml:2: a rule's name has no control"),
        ("access:\n- {name: a, unless: [{}], action: block}", "policy.yaml:2: an empty `unless` entry"),
        ("access:\n- {name: a, when: {host: ['']}, action: block}", "policy.yaml:2: access.0.when.host.0"),
        ("access:\n- {name: a, when: text, action: block}", "policy.yaml:2: access.0.when must be a mapping"),
        ("access: {name: a}", "policy.yaml:1: access must be a list"),
        ("default_protection: {malware: allow}", "policy.yaml:1: default_protection.malware"),
        ('lists: {"a\\nb": {domains: [policy.yaml]}}', "policy.yaml:1: a list's name has no control"),
        ('lists: {a: {domains: ["x\\0y"]}}', "policy.yaml:1: list 'a':"),
        ("lists: {a: {domains: [.]}}", "policy.yaml:1: list 'a':"),
        ("acess: []", "policy.yaml:1: unknown key 'acess'; did you mean 'access'?"),
    ],
)
def test_a_fault_is_one_clear_line(tmp_path: Path, text: str, fault: str) -> None:
    (line,) = faults(tmp_path, text)
    assert line.startswith(fault)


def test_a_missing_policy_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"none.yaml: cannot be read: No such file"):
        load_policy(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("criteria", "tx"),
    [
        ("port: [0443]", transaction(target="https://a.test/")),
        ("user: [no]", transaction(user="no")),
        ("user: [0123]", transaction(user="0123")),
        ("user: [22:00]", transaction(user="22:00")),
        ("user: [1e3]", transaction(user="1e3")),
        ("user: [~]", transaction(user="~")),
        ("host: [2130706433]", transaction(target="http://127.0.0.1/")),
        ("host: on", transaction(target="http://on/")),
    ],
)
def test_yaml_changes_no_value(tmp_path: Path, criteria: str, tx: Transaction) -> None:
    rules = policy(tmp_path, f"access:\n- {{name: no, when: {{{criteria}}}, action: block}}")
    assert outcome(rules, tx) == "block: no"


def test_a_rule_knows_where_it_stands(tmp_path: Path) -> None:
    rules = policy(tmp_path, "bypass:\n- {when: {host: a.test}}\naccess:\n\n- action: block\n")
    assert (rules.bypass[0].name, rules.bypass[0].action) == ("bypass rule 1", Bypass())
    assert rules.bypass[0].source == f"{tmp_path}/policy.yaml:2"
    assert (rules.access[0].source, rules.access[0].action) == (f"{tmp_path}/policy.yaml:5", Block())
    assert rules.files == (tmp_path / "policy.yaml",)


def test_the_digest_changes_exactly_when_the_policy_does(tmp_path: Path) -> None:
    def digest(text: str, names: str = "a.test\n") -> str:
        return policy(tmp_path, text, g=names).digest

    text = "lists: {g: {domains: [g]}}\naccess:\n- {name: a, when: {list: [g]}, action: block}\n"
    first = digest(text)
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert digest(text) == first
    assert digest("# comment\n" + text.replace("[g]", '["g"]')) == first
    assert digest(text, "# comment\nA.TEST\n") == first
    changes = [
        digest(text.replace("name: a", "name: b")),
        digest(text.replace("block", "allow")),
        digest(text + "- {name: b, action: allow}"),
        digest(text, "b.test\n"),
        digest(text, "a.test\nb.test\n"),
    ]
    assert len({first, *changes}) == 6


def test_the_shipped_policies_load_and_do_what_they_say() -> None:
    default = load_policy(RULES / "default.yaml")
    assert outcome(default, transaction(target="http://example.com/")) == "allow"
    for host in ("localhost", "127.1", "[::1]", "0", "[::ffff:127.0.0.1]", "169.254.169.254", "0x7f000001"):
        assert outcome(default, transaction(target=f"http://{host}/")) == "block: no way to this machine"
    assert outcome(default, transaction("CONNECT", "example.com:22")) == "block: tunnels to TLS ports only"
    assert outcome(default, transaction("CONNECT", "example.com:443")) == "allow"
    assert outcome(default, transaction(target="http://x.blocked.example/")) == "block: blocked sites"
    assert default.decide_tls(transaction("CONNECT", "bank.example:443")).action == "splice_if_sni_matches"
    assert default.decide_tls(transaction("CONNECT", "example.com:443")).action == "bump"
    assert all(report.ignored == 0 for report in default.lists.reports)

    five = load_policy(RULES / "examples" / "five-rules.yaml")
    inside = "10.1.1.1"
    assert outcome(five, transaction(target="http://casino.example/", client=inside)).startswith(
        "block: no gambling"
    )
    assert (
        outcome(five, transaction(target="http://casino.example/", client=inside, user="audit-1")) == "allow"
    )
    assert outcome(five, transaction("CONNECT", "files.example:443")) == "allow"
    assert outcome(five, transaction(target="https://files.example/games/x")).startswith("block: one folder")
    assert len(five.bypass) + len(five.access) + len(five.tls) == 5


EVERY = f"""
lists:
  g: {{domains: [g], category: Gambling}}
workspaces:
  - name: labs
    when: {{client: 10.1.0.0/16, user: [a*], group: staff, proxy_port: "3128"}}
    access:
      - {{name: own, when: {{host: [a.test]}}, action: allow}}
bypass:
  - {{name: big, when: {{content_length: ">10MB", direction: response}}}}
access:
  - name: all
    when:
      host: [a.test]
      url: ["https://a.test/x"]
      path: [/x]
      regex: ["^https://a"]
      method: [GET]
      port: ["443"]
      scheme: https
      list: g
      category: Gambling
      homograph: apple.test
      user_agent: ["*MSIE*"]
      workspace: labs
      mime: [video/*]
      file_type: [exe]
      file_name: ["*.exe"]
      size: ["<10k", 1M-2M]
      md5: {"0" * 32}
      sha256: {"0" * 64}
      header: {{X-A: b}}
      request_header: ["X-A: b"]
      upgrade: websocket
      schedule: {{days: [mon-fri], from: "08:00", to: "18:00", tz: Europe/Berlin}}
    unless: [{{user: bob, group: [admins]}}]
    action: block
  - workspace_rules
  - group: more
    enabled: true
    rules:
      - {{name: redirect, mode: shadow, when: {{host: b.test}}, action: {{redirect: "https://c.test/?{{url}}"}}}}
tls:
  - {{name: bank, when: {{host: [bank.test]}}, action: splice}}
"""


def test_every_criterion_loads_and_every_change_of_it_shows_in_the_digest(tmp_path: Path) -> None:
    whole = policy(tmp_path, EVERY, g="a.test\n")
    assert len(whole.access[0].when) == len(CriteriaText.model_fields) - 6  # those not in this rule
    seen = {whole.digest}
    lines = EVERY.splitlines()
    for number, line in enumerate(lines):
        changed = line.replace("a.test", "aa.test").replace("10", "11").replace("0" * 32, "1" * 32)
        changed = changed.replace("[a*]", "[b*]").replace("exe", "png").replace("mon-fri", "mon")
        changed = changed.replace("[GET]", "[PUT]").replace("shadow", "enforce").replace("true", "false")
        changed = changed.replace("MSIE", "Opera").replace("X-A: b", "X-A: c").replace("video", "audio")
        if changed != line:
            digest = policy(
                tmp_path, "\n".join([*lines[:number], changed, *lines[number + 1 :]]), g="a.test\n"
            ).digest
            assert digest not in seen
            seen.add(digest)
    assert len(seen) > 15


def mutated(text: str, seed: int) -> str:
    """Cut, double, swap or replace some part of `text`."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice((1, 1, 3, 20)))
        rubbish = chance.choice("\0\t\n :-[]{},&*!|>'\"%@`#=?~é\u202e") * chance.choice((1, 2, 60))
        text = (
            text[:start]
            + chance.choice(("", text[start:end] * 2, text[start:end][::-1], rubbish))
            + text[end:]
        )
        text = text or "x"
    return text


def test_five_hundred_mutated_policies_end_in_no_traceback(tmp_path: Path) -> None:
    loaded = 0
    asked = [
        transaction(),
        transaction("CONNECT", "a.test:443"),
        transaction(target="http://casino.example/"),
    ]
    for seed in range(500):
        path = write_policy(tmp_path, mutated((WHOLE, EVERY)[seed % 2], seed), g="casino.example\n")
        try:
            rules = load_policy(path, cache=tmp_path / "cache")
        except ConfigErrors as errors:
            told = str(errors).splitlines()
            assert told
            assert all(line.startswith(str(path)) for line in told)
            continue
        loaded += 1
        for tx in asked:
            outcome(rules, tx)
    assert 20 < loaded < 480


def test_what_has_not_changed_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SETTLED", -(10**18))
    path = write_policy(tmp_path, "lists: {l: {domains: [l]}}\naccess: []\n", l="a.test\n")
    old = load_policy(path)
    assert reload_policy(old, path) is old
    (tmp_path / "l").write_text("a.test\nb.test\n")
    new = reload_policy(old, path)
    assert new is not old
    assert new.lists.lookup("b.test") == ("l",)
    path.write_text(path.read_text() + "# said\n")
    assert reload_policy(new, path) is not new
    (tmp_path / "l").unlink()
    with pytest.raises(ConfigErrors):
        reload_policy(new, path)


def test_a_list_that_has_just_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SETTLED", 10**18)
    path = write_policy(tmp_path, "lists: {l: {domains: [l]}}\naccess: []\n", l="a.test\n")
    old = load_policy(path)
    assert reload_policy(old, path) is not old


def test_a_policy_goes_when_it_is_let_go_of(tmp_path: Path) -> None:
    loaded = policy(tmp_path, "access:\n  - {name: r, when: {host: [a.test], regex: [x]}, action: block}\n")
    loaded.decide(transaction(target="http://a.test/x"))
    seen = weakref.ref(loaded)
    gc.disable()  # no collector looks at it, once it serves
    try:
        del loaded
        assert seen() is None
    finally:
        gc.enable()
