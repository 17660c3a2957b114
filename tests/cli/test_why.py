"""`icapd why`: a decision told with its rule as it was, also when rule, policy and lists have changed since."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from icapd.cli.main import main
from icapd.events.store import open_store
from icapd.policy import load_policy
from tests.events.recorded import record
from tests.reports import hostile

POLICY = """lists:
  games: {domains: [games.txt], category: Games}
access:
  - name: no games
    when: {list: [games], client: [10.0.0.0/8]}
    unless:
      - {group: [testers]}
    action: block
  - {name: old browsers, when: {user_agent: ["*MSIE*"]}, action: block}
"""
BLOCKED = {"action": "block", "stage": "access", "rule": "no games", "category": "Games", "status": 200}


class Site:
    """A configuration with a store or a log, and what `icapd why` prints of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.policy, self.list = (
            folder / name for name in ("icapd.yaml", "policy.yaml", "games.txt")
        )
        self.capsys = capsys
        self.config.write_text(
            'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\ndecisions: decisions.log\n'
        )
        self.policy.write_text(POLICY)
        self.list.write_text("games.example\n")
        self.digest = load_policy(self.policy).digest
        self.blocked = record(2, **BLOCKED, source=f"{self.policy}:4")
        begun = {
            "time": record(1)["time"],
            "event": "policy",
            "source": "k3v7q2xa",
            "seq": 1,
            "digest": self.digest,
        }
        self.records = [begun, self.blocked]

    def store(self, *, texts: bool = True, more: tuple[dict[str, Any], ...] = ()) -> None:
        with closing(open_store(self.config.with_name("events.db"), readonly=False)) as store:
            store.add([*self.records, *more], None)
            if texts:
                store.add_policy(self.digest, 0.0, {"policy.yaml": POLICY})

    def log(self, *, more: tuple[dict[str, Any], ...] = ()) -> None:
        lines = [json.dumps(each) + "\n" for each in (*self.records, *more)]
        self.config.with_name("decisions.log").write_text("".join(lines))

    def why(self, *words: str, status: int = 0) -> str:
        assert main(["why", "-c", str(self.config), *words]) == status
        out = self.capsys.readouterr()
        return out.out if status == 0 else out.err


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Site(tmp_path, capsys)


def test_a_decision_is_told_with_its_rule(site: Site) -> None:
    site.store()
    text = site.why("k3v7q2xa-2")
    head, _, trace = text.partition("The policy of then, asked about the facts that were recorded:\n")
    assert (
        head
        == f"""BLOCK  GET https://www.games.example:8443/2?b=c
  reference  k3v7q2xa-2
  when       2026-11-24T10:00:02.000Z
  who        Anna, from 10.1.2.2
  asked for  the request, which Squid asked about (REQMOD)
  decided    block, by the rule "no games" (access, {site.policy}:4)
  category   Games
  answered   ICAP 200: by a message of icapd, or a changed one
  policy     {site.digest}

The rule as it was ({site.policy}:4):
    - name: no games
      when: {{list: [games], client: [10.0.0.0/8]}}
      unless:
        - {{group: [testers]}}
      action: block

The policy is the same today, and so are its lists.
On the facts that were recorded it decides the same today: block by "no games" (access, {site.policy}:4).

Not in the record, though rules ask for it, so that they may have said something else:
  group          groups are not recorded, today's are asked: "no games"

"""
    )
    assert trace.startswith(
        "BLOCK  GET https://www.games.example:8443/2?b=c\n  rule       no games (access, "
    )
    assert "yes      list games; is " in trace


def test_what_has_changed_since_is_told(site: Site) -> None:
    site.store()
    site.policy.write_text(POLICY.replace("action: block", "action: allow", 1))
    site.list.write_text("other.example\n")
    text = site.why("k3v7q2xa-2")
    assert "The policy, or a list of it, has changed since: today's is " in text
    assert "This rule reads otherwise today:\n    - name: no games\n" in text
    assert "Lists are not kept. They have changed since, so the trace asks those of today." in text
    assert "The trace below does not come to what was decided" in text
    assert "today's says allow; more was known then (below)." in text


def test_a_rule_that_moved_reads_the_same_and_one_that_went_is_missed(site: Site) -> None:
    site.store()
    site.policy.write_text("# a line above\n" + POLICY)
    text = site.why("k3v7q2xa-2")
    assert "The policy is the same today, and so are its lists." in text  # a comment changes no policy
    assert f'decides the same today: block by "no games" (access, {site.policy}:5).' in text
    site.policy.write_text("# a line above\n" + POLICY.replace("MSIE", "Mosaic"))
    assert "This rule reads the same." in site.why("k3v7q2xa-2")
    site.policy.write_text(POLICY.replace("name: no games", "name: no play"))
    text = site.why("k3v7q2xa-2")
    assert "There is no such rule in it any more." in text
    assert 'On the facts that were recorded it decides otherwise today: block by "no play"' in text


def test_a_rule_is_found_by_its_name_where_a_comment_moved_it(site: Site) -> None:
    """The text that is kept may be of before the comment: it changes no digest."""
    site.blocked["source"] = f"{site.policy}:9"
    site.store()
    text = site.why("k3v7q2xa-2")
    assert f"The rule as it was ({site.policy}:9):\n    - name: no games\n" in text
    assert "    - name: old browsers" not in text


def test_a_list_that_alone_has_changed_is_told(site: Site) -> None:
    site.store()
    site.list.write_text("other.example\n")
    text = site.why("k3v7q2xa-2")
    assert "The rules are the same today; a list of theirs has changed since." in text
    assert "Lists are not kept. They have changed since, so the trace asks those of today." in text


def test_a_list_that_is_gone_is_named(site: Site) -> None:
    site.store()
    site.list.unlink()
    text = site.why("k3v7q2xa-2")
    assert "Today's policy cannot be loaded: " in text
    assert "Of these, files are gone, and nothing is in them: games." in text
    assert "    - name: no games\n" in text


def test_without_the_text_of_then_it_says_so(site: Site) -> None:
    site.store(texts=False)
    site.policy.write_text("access: []\n")
    text = site.why("k3v7q2xa-2")
    assert "The rule as it was is not known: its policy's text was not kept." in text
    assert "today's says allow, which may be for want of the others." in text
    assert "asked about the facts" not in text


def test_the_text_of_a_policy_that_serves_still_is_known_without_a_store(site: Site) -> None:
    site.log()
    text = site.why("k3v7q2xa-2")
    assert "    - name: no games\n" in text
    assert "decides the same today" in text


def test_texts_that_wait_for_the_store_are_read(site: Site) -> None:
    site.log()
    waiting = site.config.with_name("events.db.policies")
    waiting.mkdir()
    (waiting / f"{site.digest}.json").write_text(json.dumps({"files": {str(site.policy): POLICY}}))
    site.policy.write_text("access: []\n")
    assert "    - name: no games\n" in site.why("k3v7q2xa-2")


def test_request_and_response_are_told_together(site: Site) -> None:
    response = {
        **record(3, point="respmod", scan="scanned"),
        "url": site.blocked["url"],
        "client": "10.1.2.2",
    }
    site.store(more=(response,))
    assert "  1.0 s later    its response, probably" in site.why("k3v7q2xa-2")
    assert "  1.0 s earlier  its request, probably" in site.why("k3v7q2xa-3")


def test_a_line_of_squids_log_will_do(site: Site) -> None:
    site.store()
    line = "1795543981.3 12 10.1.2.2 TCP_DENIED/403 47 GET https://a/ - HIER_NONE/- text/html bump k3v7q2xa-2 a -/-"
    assert site.why(line).startswith("BLOCK  GET")


def test_an_object_has_all_of_it(site: Site) -> None:
    site.store()
    told = json.loads(site.why("k3v7q2xa-2", "--json"))
    assert told["record"] == site.blocked
    assert told["rule_text"].startswith("- name: no games\n")
    assert told["lists"] == {"same": True, "gone": []}
    assert told["agrees"] is True
    assert told["explanation"]["action"] == "block"
    assert told["lacking"] == [
        {
            "criterion": "group",
            "why": "groups are not recorded, today's are asked",
            "rules": ["no games"],
        }
    ]
    assert told["today"]["changed"] is False
    assert (told["today"]["action"], told["today"]["rule"]) == ("block", "no games")


def test_an_unknown_reference_says_what_to_look_at(site: Site) -> None:
    assert "there is no event store yet: `icapd serve` makes" in site.why("k3v7q2xa-ff", status=1)
    site.store()
    text = site.why("k3v7q2xa-ff", status=1)
    assert text.startswith("icapd: k3v7q2xa-ff is not known here\n  looked for in ")
    assert "the store keeps 90 days, and 1024 MB (`events.days`, `events.megabytes`): it may be older" in text
    site.config.write_text(site.config.read_text() + "events: {store: off}\n")
    assert "there is no event store (`events.store: off`)" in site.why("k3v7q2xa-ff", status=1)
    site.config.write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n')
    assert "decisions go to standard output" in site.why("k3v7q2xa-ff", status=1)


def test_what_is_no_reference_or_no_configuration_is_refused(site: Site) -> None:
    assert "that is no reference of a decision, such as k3v7q2xa-1f" in site.why("hello", status=2)
    assert main(["why", "-c", str(site.policy), "k3v7q2xa-2"]) == 1
    assert "a policy has no decisions: name the icapd.yaml" in site.capsys.readouterr().err


def test_records_that_no_policy_can_be_asked_about_are_told(site: Site) -> None:
    refused = record(3, method=None, url="", action="refuse", stage="message")
    event = {
        "time": record(4)["time"],
        "event": "ticket-unused",
        "id": "k3v7q2xa-4",
        "seq": 4,
        "host": "a.example",
    }
    site.store(more=(refused, event))
    assert site.why("k3v7q2xa-3").startswith("REFUSE  \n  reference  k3v7q2xa-3\n")
    assert site.why("k3v7q2xa-4").startswith("TICKET-UNUSED  a.example\n")


def test_of_rules_of_one_name_the_one_that_decided_is_shown(site: Site) -> None:
    text = """workspaces:
  - {name: a, when: {client: [10.0.0.0/8]}, access: [{name: no games, when: {host: [a.example]}, action: block}]}
  - name: b
    when: {client: [10.1.0.0/16]}
    access:
      - {name: no games, when: {host: [b.example]}, action: block}
"""
    site.policy.write_text(text)
    site.digest = site.records[0]["digest"] = load_policy(site.policy).digest
    site.blocked["source"] = f"{site.policy}:6"
    site.log()
    assert "    - {name: no games, when: {host: [b.example]}, action: block}\n" in site.why("k3v7q2xa-2")


def test_hostile_records_are_shown_harmless(site: Site) -> None:
    begun = site.records[0] | {"seq": 99}
    site.records = [begun, *hostile.records()]
    site.store()
    for number in range(1, len(hostile.VALUES) + 1):
        text = site.why(f"k3v7q2xa-{number:x}")
        assert all(line.isprintable() for line in text.split("\n"))
        assert "asked about the facts that were recorded:\n" in text
        assert site.why(f"k3v7q2xa-{number:x}", "--json").isascii()


def test_the_page_shows_what_it_prints(site: Site) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    shown = page.partition("```console\n")[2].partition("```")[0]
    text = "access:\n  - name: no games\n    when: {url: [https://www.games.example/chess]}\n    unless:\n      - {group: [testers]}\n"
    site.digest = "5bf2a9c01d3e4f67"
    game = {"url": "https://www.games.example/chess", "client": "10.1.2.3", "user": "anna"}
    source = {"source": "/etc/icapd/policy.yaml:2", "category": None}
    site.records[0] |= {"digest": site.digest}
    tunnel = record(30, **game | {"url": "www.games.example:443", "method": "CONNECT"})
    site.records[1:] = [tunnel, record(31, **game, **BLOCKED | source)]
    with closing(open_store(site.config.with_name("events.db"), readonly=False)) as store:
        store.add(site.records, None)
        store.add_policy(site.digest, 0.0, {"policy.yaml": f"{text}    action: block\n"})
    site.policy.write_text("access: []\n")
    assert site.why("k3v7q2xa-1f") == shown
