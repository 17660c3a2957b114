"""What docs/ shows works as it says: its files load, its commands run, its links lead somewhere, nothing is left out.

A block whose first line is a comment with a file's name is that file for the commands below it; a text block right
after commands is the beginning of what they print.
"""

import io
import re
import shlex
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from icapd.cli.check import check
from icapd.cli.explain import explain
from icapd.cli.main import main
from icapd.config import Options, load_config
from icapd.directory.file import read_users
from icapd.lists.spec import KINDS
from icapd.macros import MACROS
from icapd.policy import load_policy
from icapd.policy.build import TLS_ACTIONS
from icapd.policy.filetypes import TYPES
from icapd.policy.lint import lint
from icapd.policy.testfile import CaseText, read_suite
from icapd.policy.texts import CriteriaText, EntryText, PolicyText, RuleText
from icapd.source import read_document, validate
from tests import cli_page, options_page
from tests.policy.linting import locate

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\S+\.\w+)\n")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FINDING = re.compile(r'"(?:error|warning|note)",\s*"(?!error|warning|note)([a-z-]+)"')
# Commands that are shown but not run here, with what keeps them from it.
NOT_RUN = {
    **dict.fromkeys(
        ("icapd init", "icapd init --dry-run"),
        "writes to /etc, or says what it would; tests/cli/test_init.py",
    ),
    "icapd check": "of /etc/icapd; tests/cli/test_check.py",
    "icapd doctor": "asks a running Squid and icapd; tests/e2e/test_doctor.py",
    "icapd serve": "serves until it is told to stop; tests/server/test_run.py",
    "icapd squid-conf --out /etc/squid/icapd": "writes to /etc; tests/cli/test_squid_conf.py",
    "icapd events --user alice --since 1h": "of /var/log/icapd; tests/cli/test_events.py",
    "icapd reload -c icapd.yaml": "asks a running icapd; tests/cli/test_reload.py",
    "icapd ping -c icapd.yaml": "asks a running icapd; tests/cli/test_ping.py",
    "icapd events -c icapd.yaml --since 24h --action block --client 10.0.0.0/8": "tests/cli/test_events.py",
    "icapd events -c icapd.yaml --id k3v7q2xa-1f --format json": "tests/cli/test_events.py",
    "icapd events -c icapd.yaml --follow --limit 20 --format cef": "goes on for ever; tests/cli/test_recorded.py",
    "icapd events -c icapd.yaml --gaps": "of a store that has grown; tests/cli/test_recorded.py",
    "icapd events --format csv --strip-query --anonymise decisions.log.1 decisions.log": "tests/cli/test_events.py",
    "icapd why -c icapd.yaml k3v7q2xa-1f": "of a decision that there was; tests/cli/test_why.py prints the page's",
    **dict.fromkeys(
        (
            "icapd report -c icapd.yaml --since 7d",
            "icapd report -c icapd.yaml --since 2026-11-16 --until 2026-11-23 --html week.html",
            "icapd report -c icapd.yaml --since 24h --top 20 --anonymise",
            "icapd report -c /etc/icapd/icapd.yaml --since 7d --html /var/lib/icapd/report.html",
        ),
        "of a store that has grown; tests/cli/test_report.py",
    ),
    "icapd scan -c icapd.yaml /srv/downloads setup.exe": "a reactor runs once; tests/cli/test_scan.py",
    "icapd doctor -c icapd.yaml": "asks a running Squid and icapd; tests/e2e/test_doctor.py",
    "icapd doctor pins -c icapd.yaml": "reads Squid's log; tests/cli/test_doctor.py",
    **dict.fromkeys(
        (
            "icapd ca create -c icapd.yaml",
            "icapd ca show -c icapd.yaml",
            "icapd ca create -c icapd.yaml --intermediate",
            "icapd ca create -c icapd.yaml --root firm-root.pem",
            "icapd ca create -c icapd.yaml --intermediate --permit example.com --permit example.org",
            "icapd ca export -c icapd.yaml --format install --out trust.html",
            "icapd ca export -c icapd.yaml --format der --out icapd-ca.cer",
        ),
        "needs Squid's certificate maker; tests/cli/test_ca.py",
    ),
}
# Pages whose commands follow from each other on a machine of their own, and what does them.
DONE_ELSEWHERE = {
    "tutorial": "deploy/deb/tutorial, in a Debian 12 that it boots for that",
    "own-adapter": "tests/test_docs_pages.py installs and asks the adapter",
}
# What a page speaks of beside icapd.yaml, where it does not show it.
MADE = {"policy.yaml": "access: []\n", "users.yaml": "users: {}\n", "ldap.secret": "secret\n"}

LISTED = {"cidr": "192.0.2.0/24", "sha256": "ab" * 32, "md5": "ab" * 16}  # a line of such a list


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text and the heading it stands under."""

    language: str
    text: str
    heading: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    headings = [(match.start(), match[2]) for match in _HEADING.finditer(_without_blocks(text))]
    return [
        Block(match[1], match[2], [name for at, name in headings if at < match.start()][-1])
        for match in _BLOCK.finditer(text)
    ]


def _without_blocks(text: str) -> str:
    return _BLOCK.sub(lambda match: " " * len(match[0]), text)


ACTIONS = ("allow", "block", "redirect")
YAML = [(page, block) for page in PAGES for block in blocks(page) if block.language == "yaml"]


def put(folder: Path, block: Block) -> None:
    """Write the file that a block is, if it is one."""
    name = _FILE.match(block.text)
    if name is not None:
        file = folder / name[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)


def furnish(folder: Path, policy: Path) -> None:
    """Make the lists' files that a policy names and its page does not show."""
    for text in validate(read_document(policy), PolicyText).lists.values():
        for kind in (*KINDS, "files"):
            for name in getattr(text, kind) or ():
                _make(folder / name, LISTED.get(kind, "listed.example"))
        for name in text.folder or ():
            _make(folder / name / "adult" / "domains", "listed.example")


def _make(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_text(f"{line}\n")


@pytest.mark.parametrize(("page", "block"), YAML, ids=[f"{page.stem}-{one.heading}" for page, one in YAML])
def test_every_yaml_block_loads(tmp_path: Path, page: Path, block: Block) -> None:
    for other in blocks(page):
        if other.language == "text":
            put(tmp_path, other)
    for name, text in MADE.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    file = tmp_path / "block.yaml"
    file.write_text(block.text)
    keys = set(read_document(file).value)
    if "listen" in keys:
        load_config(file)
    elif "tests" in keys:
        read_suite(file, 0.0)
    elif keys <= {"users", "groups"}:
        read_users(file)
    else:
        furnish(tmp_path, file)
        policy = load_policy(file, cache=tmp_path / "cache")
        codes = {one.code for one in lint(policy, locate)}
        if block.heading in finding_codes():
            assert block.heading in codes
        else:
            assert not codes - {"unused-list"}


def finding_codes() -> set[str]:
    files = [*(ROOT / "icapd" / "policy").glob("lint*.py")]
    files += [ROOT / "icapd" / "cli" / name for name in ("check.py", "scanning.py")]
    return {code for file in files for code in _FINDING.findall(file.read_text())}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in DONE_ELSEWHERE], ids=lambda page: page.stem
)
def test_every_command_runs_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shown = blocks(page)
    (tmp_path / "ldap.secret").write_text(MADE["ldap.secret"])
    (tmp_path / "ldap.secret").chmod(0o600)
    for block in shown:
        put(tmp_path, block)
    if (tmp_path / "policy.yaml").exists():
        furnish(tmp_path, tmp_path / "policy.yaml")
    for block, following in zip_longest(shown, shown[1:]):
        lines = block.text.splitlines() if block.language == "sh" else []
        printed = "".join(run(line, capsys, monkeypatch) for line in lines if line.startswith("icapd "))
        if (
            lines
            and following is not None
            and following.language == "text"
            and not _FILE.match(following.text)
        ):
            assert printed.startswith(following.text)


def run(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a line of a shell, hold its exit status against the comment that tells it, and return what it printed."""
    command, _, comment = line.partition("  #")
    if command.strip() in NOT_RUN:
        return ""
    words = shlex.split(command)[1:]
    if "<" in words:
        at = words.index("<")
        text = Path(words[at + 1]).read_text()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.partition("\n")[2].encode())))
        del words[at : at + 2]
    target = None
    if ">" in words:
        at = words.index(">")
        target = Path(words[at + 1])
        del words[at : at + 2]
    capsys.readouterr()
    status = main(words)
    out = capsys.readouterr()
    expected = re.search(r"exit status (\d)", comment)
    assert status == (int(expected[1]) if expected else 0), (line, out)
    if target is not None:
        target.write_text(out.out)
        return out.err
    return out.out + out.err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = {_anchor(match[2]) for match in _HEADING.finditer(_without_blocks(target.read_text()))}
            assert anchor in headings, link


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(page: str, heading: str) -> str:
    text = _without_blocks((ROOT / "docs" / page).read_text())
    return re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_criterion_is_in_the_table_and_no_other() -> None:
    told = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section("policy.md", "Criteria"), re.MULTILINE)
    names = [name for cell in told for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(names) == sorted(field.rstrip("_") for field in CriteriaText.model_fields)


def test_every_type_of_file_kind_of_list_and_macro_is_told() -> None:
    types = section("policy.md", "Types of files").strip(" \n.").replace("\n", " ").split(", ")
    assert types == list(TYPES)
    assert set(re.findall(r"`\{(\w+)\}`", section("policy.md", "Actions"))) == MACROS
    kinds = re.findall(r"^\| ([^|]+) \|", section("policy.md", "Lists"), re.MULTILINE)
    assert {name for cell in kinds for name in re.findall(r"`(\w+)`", cell)} == {*KINDS, "folder", "files"}


def test_every_finding_is_told_and_no_other() -> None:
    text = (ROOT / "docs" / "check-and-test.md").read_text()
    part = text.partition("## icapd check\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\S+)$", part, re.MULTILINE)) == finding_codes()


def test_every_key_of_a_test_and_every_option_is_told() -> None:
    text = section("check-and-test.md", "icapd test")
    keys = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    assert {name for cell in keys for name in re.findall(r"`(\w+)`", cell)} == CaseText.model_fields.keys()
    for heading, command in (("icapd explain", explain), ("icapd check", check)):
        told = section("check-and-test.md", heading) + section("check-and-test.md", "Editors")
        options = {option.opts[-1] if option.opts[0] != "-H" else "-H" for option in command.params}
        missing = {name for name in options if name.startswith("-") and name not in told} - {"--config"}
        assert not missing


def test_what_other_filters_are_told_to_use_is_there() -> None:
    """The words of icapd in the second column, as far as they are one word or `key: …`."""
    known = {field.rstrip("_") for field in CriteriaText.model_fields}
    known |= {
        *RuleText.model_fields,
        *EntryText.model_fields,
        *PolicyText.model_fields,
        *KINDS,
        *TLS_ACTIONS,
        *ACTIONS,
    }
    for row in re.findall(r"^\|(.*)\|$", (ROOT / "docs" / "moving.md").read_text(), re.MULTILINE):
        here = row.rpartition("|")[2]
        words = [
            word for code in re.findall(r"`([^`]+)`", here) for word in re.findall(r"^(\w+)(?=:|$)", code)
        ]
        assert not set(words) - known - {"adult", "white"} - Options.model_fields.keys(), row


def test_what_is_not_run_is_shown() -> None:
    lines = {line for page in PAGES for block in blocks(page) for line in block.text.splitlines()}
    shown = {line.partition("  #")[0].strip() for line in lines}
    assert shown >= NOT_RUN.keys()


def test_the_page_of_options_is_what_the_program_says() -> None:
    """`python -m tests.options_page` writes it anew."""
    assert options_page.PAGE.read_text(encoding="utf-8") == options_page.page()


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """`python -m tests.cli_page` writes it anew."""
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.page()
