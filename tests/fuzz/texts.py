"""What people and programs write: policies, configurations, lists, users, schedules, patterns."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from icapd.accounts import bare_name, group_names, groups_in, guessed, user_forms
from icapd.config import load_config, render_config
from icapd.directory.file import read_users
from icapd.errors import ConfigErrors
from icapd.events.search import read_moment
from icapd.http import RequestHead
from icapd.lists.formats.read import NoListError, read_source
from icapd.macros import MacroError, Template
from icapd.pages import Pages
from icapd.policy import load_policy
from icapd.policy.regexes import RegexError, check_regex
from icapd.policy.schedule import read_hours
from icapd.policy.testfile import read_suite
from icapd.policy.wildcards import fits, read_wildcard
from icapd.source import parse_document
from icapd.transaction import Client, Point, Transaction
from tests.fuzz.mutation import EDITS, changed_tree, spoilt_bytes, spoilt_text
from tests.fuzz.targets import target
from tests.lists.formats.test_read import HOSTILE, JUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@functools.cache
def folder() -> Path:
    """A folder of this process, with a list in it."""
    made = tempfile.TemporaryDirectory(prefix="icapd-fuzz")
    atexit.register(made.cleanup)
    path = Path(made.name)
    (path / "names.txt").write_text("ads.example\n")
    (path / "hashes.txt").write_text("a" * 64 + "\n")
    (path / "policy.yaml").write_text("access: []\n")
    return path


POLICY: dict[str, Any] = {
    "lists": {"ads": {"domains": ["names.txt"], "category": "Ads"}, "bad": {"sha256": ["hashes.txt"], "threat": "malware"}},
    "bypass": [{"name": "trusted", "when": {"host": ["trusted.example"], "client": ["10.0.0.0/8"]}}],
    "access": [
        {"name": "ads", "when": {"list": ["ads"]}, "unless": [{"method": ["GET"]}], "action": "block"},
        {"name": "night", "when": {"schedule": ["mon-fri 22:00-06:00 UTC"], "user": ["ann"], "group": ["staff"]}, "action": "block"},
        {"name": "old", "when": {"regex": ["^http://old\\."], "port": ["1-99"]}, "action": {"redirect": "https://new.example/?u={url}"}},
        {"name": "types", "when": {"file_type": ["exe"], "file_name": ["*.exe"], "size": [">10MB"]}, "mode": "shadow", "action": "block"},
    ],
    "protection": [{"name": "p", "when": {"host": ["a.example"]}, "scan": {"macro": "skip"}}],
    "default_protection": {"malware": "block", "encrypted": "skip"},
    "tls": [{"name": "bank", "when": {"host": ["bank.example"]}, "action": "splice"}],
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "listen": ["icap://127.0.0.1:0"], "policy": "policy.yaml", "peers": ["127.0.0.0/8"], "decisions": "-", "workers": "2",
    "limits": {"head": "2", "body": "3", "idle": "61"}, "service": {"preview": "1024"}, "delivery": {}, "spool": {},
    "squid": {"ports": [{"address": "127.0.0.1:3128", "bump": "true"}], "clients": ["10.0.0.0/8"], "version": "5.7"},
    "adapters": [{"clamd": {"address": "/run/clamd.ctl", "on_error": "open"}}], "content": {"depth": "9"}, "verdict_cache": {},
    "users": {}, "control": "control.sock",
}  # fmt: skip
USERS: dict[str, Any] = {
    "users": {"alice": ["staff", "m"], "CORP\\bob": "staff"},
    "groups": {"kids": ["carol", "dave@S.TEST"]},
}


def _told(errors: ConfigErrors) -> None:
    """Whatever is wrong, each fault is one line, and says in which file and where."""
    assert errors.errors
    for error in errors.errors:
        assert error.file
        assert error.line >= 0
        assert str(error).startswith(error.file)
    assert "Traceback" not in str(errors)


def _loaded(name: str, text: str, load: Callable[[Path], object]) -> object | None:
    path = folder() / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return load(path)
    except ConfigErrors as errors:
        _told(errors)
        return None


TRANSACTION = Transaction(
    Point.REQMOD,
    Client("10.0.0.1", "ann"),
    RequestHead(b"GET http://ads.example/a.exe HTTP/1.1\r\nHost: ads.example\r\n\r\n"),
    now=1e9,
)


def _works(policy: Any) -> None:
    """Never half-loaded: what was accepted decides."""
    if policy is not None:
        assert policy.decide(TRANSACTION).action is not None
        assert len(policy.digest) == 16


def _pretty(tree: object) -> str:
    return json.dumps(tree, indent=1, ensure_ascii=False)


CHANGED = (
    "name: x\n",
    "\ttab",
    "&a [*a]",
    "!!python/object:x",
    "- ",
    "? [a]: b",
    "<<: *x",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "[" * 60,
    "\u2028",
    "'",
    '"',
    "|\n",
    "{",
    "]",
)


@target("policy-trees", st.tuples(st.just(POLICY), EDITS), spare=16 << 20)
def policy_trees(value: tuple[Any, list[tuple[int, str, Any]]]) -> None:
    _works(_loaded("policy-under-fuzz.yaml", _pretty(changed_tree(*value)), load_policy))


@target(
    "policy-text",
    spoilt_text(
        _pretty(POLICY), (Path(__file__).parents[2] / "rules/default.yaml").read_text(), more=CHANGED
    ),
    spare=16 << 20,
)
def policy_text(text: str) -> None:
    _works(_loaded("policy-under-fuzz.yaml", text, load_policy))


@target("configurations", st.tuples(st.just(CONFIG), EDITS), spare=16 << 20)
def configurations(value: tuple[Any, list[tuple[int, str, Any]]]) -> None:
    config = _loaded("icapd-under-fuzz.yaml", _pretty(changed_tree(*value)), load_config)
    if config is not None:
        assert render_config(config)  # type: ignore[arg-type]


@target("users-files", st.tuples(st.just(USERS), EDITS), spare=4 << 20)
def users_files(value: tuple[Any, list[tuple[int, str, Any]]]) -> None:
    groups: Any = _loaded("users-under-fuzz.yaml", _pretty(changed_tree(*value)), read_users)
    if groups is not None:
        assert all(name == name.casefold() for name in groups.by_user)


SUITE: dict[str, Any] = {
    "policy": "policy.yaml",
    "tests": [{"name": "x", "request": "GET http://a.example/", "client": "10.0.0.1", "expect": "block"}],
}


@target("policy-tests", st.tuples(st.just(SUITE), EDITS), spare=4 << 20)
def policy_tests(value: tuple[Any, list[tuple[int, str, Any]]]) -> None:
    _loaded("tests-under-fuzz.yaml", _pretty(changed_tree(*value)), lambda path: read_suite(path, 1e9))


def _lines(mark: Any) -> Iterator[int]:
    """All lines of a document's marks: a number, or the number of a part and the marks of its parts."""
    if isinstance(mark, int):
        yield mark
        return
    yield mark[0]
    for part in mark[1].values() if isinstance(mark[1], dict) else mark[1]:
        yield from _lines(part)


@target("yaml", spoilt_text(_pretty(POLICY), "a: [b, {c: d}]\ne: |\n  f\n", "a: &x {b: 1}\nc: *x\n", more=CHANGED), spare=8 << 20,
        known=("[" * 3000, "a: " + "9" * 5000, "a: " + "{a: " * 500, '"\\ud800": x', "? ? ? a"))  # fmt: skip
def yaml(text: str) -> None:
    try:
        document = parse_document(text, "x.yaml")
    except ConfigErrors as errors:
        _told(errors)
        return
    assert all(line >= 1 for line in _lines(document.marks))


LISTS = (
    "ads.example\n*.b.example\n10.0.0.0/8 # x\n0.0.0.0 c.example\n", "||a.example^\n@@||b.example^$third-party\n! x\n[Adblock Plus]\n",
    "$TTL 1h\n@ SOA a. b. 1 1 1 1 1\na.example CNAME .\n*.b CNAME rpz-drop.\n32.1.0.0.10.rpz-ip CNAME .\n",
    '# id,dateadded,url\n"1","2026","http://a.example/x"\n', '[{"url": "http://a.example/"}, "http://b.example/x%41"]',
    "http://a.example/x?y\nb.example/z\n", "^a\\.example/[0-9]+$\n(?i)x{1,9}\n", "10.0.0.0/8\n::1\n1.2.3.4-1.2.3.9\n", "a" * 64 + "\n" + "b" * 32 + "  name.exe\n",
)  # fmt: skip
KINDS = ("files", "domains", "urls", "expressions", "cidr", "sha256", "md5")


@target(
    "lists",
    st.tuples(st.sampled_from(KINDS), spoilt_text(*LISTS, more=("\\ud800", "||", "CNAME", "{", '"url":')) | JUNK),
    known=(("urls", '[{"url": "http://\\ud800a.example/"}]'), ("urls", '["http://\\udfff/"]'), *[(kind, line) for kind in KINDS for line in HOSTILE.values()]),
    spare=8 << 20,
)  # fmt: skip
def lists(value: tuple[str, str]) -> None:
    kind, text = value
    data = text.encode("utf-8", "surrogatepass")
    try:
        _, items = read_source(io.BytesIO(data), kind, data[: 1 << 16])
    except NoListError:
        return
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for line, what, entry in items:
        assert 0 <= line <= lines + 1
        assert what
        assert "\n" not in entry


@target(
    "list-bytes",
    st.tuples(
        st.sampled_from(KINDS),
        spoilt_bytes(*[text.encode("utf-16") for text in LISTS], *[t.encode() for t in LISTS]),
    ),
    spare=8 << 20,
)
def list_bytes(value: tuple[str, bytes]) -> None:
    kind, data = value
    with contextlib.suppress(NoListError):
        list(read_source(io.BytesIO(data), kind, data)[1])


NAMES = (
    "CN=Alice,OU=Us\\,ers,DC=corp,DC=test",
    "CORP\\alice",
    "alice@CORP.TEST",
    "LDAP://h/CN=a",
    "WinNT://D/n",
    "YWxpY2U=",
    "Local://a,Local://b",
    "a=b,c=\\zz\\41",
)


@target("accounts", spoilt_text(*NAMES, more=("\\", ",", "=", "://", "%00", "\\e4", "@")))
def accounts(text: str) -> None:
    for encoding in ("auto", "raw", "base64"):
        groups_in(text, encoding)
    assert all(user_forms(text)) or not text
    guessed(text)
    bare_name(text)
    group_names(text)


@target(
    "expressions",
    spoilt_text(
        "^a+b$",
        "(?i)[a-z]{1,9}|x",
        "(a+)+$",
        "\\b\\w+\\b",
        "(?P<n>x)\\Qy\\E",
        more=("{1000}", "(", ")", "[^", "\\p{L}", "(?=", "\\1", "*+", "++", "\ud800"),
    ),
    known=("\ud800^a+b$",),
    spare=4 << 20,
)
def expressions(pattern: str) -> None:
    with contextlib.suppress(RegexError):
        check_regex(pattern)


@target(
    "hours",
    spoilt_text(
        "mon-fri 22:00-06:00 Europe/Berlin",
        "08:00-17:30",
        "sat,sun 00:00-24:00 UTC",
        more=("../", "/etc/passwd", "24:01", "-"),
    ),
)
def hours(text: str) -> None:
    try:
        found = read_hours(text)
    except ValueError:
        return
    for now in (0.0, 1e9, 1.7e9):
        assert found.hold(now) in {True, False}


@target(
    "wildcards",
    st.tuples(spoilt_text("*.exe", "a*b*c*d", "**", more=("*", "?")), spoilt_text("a" * 60, "a.exe")),
    known=(("*a" * 50 + "b", "a" * 5000),),
)
def wildcards(value: tuple[str, str]) -> None:
    fits(read_wildcard(value[0]), value[1])


@target(
    "templates",
    spoilt_text(
        "https://a.example/?u={url}&r={rule}", "{host}{host}{{url}}", more=("{", "}", "{threat}", "{nothing}")
    ),
)
def templates(text: str) -> None:
    with contextlib.suppress(MacroError):
        template = Template.parse(text)
        assert template.expand({"url": "{rule}"}, str).count("{rule}") >= template.parts[1::2].count("url")


PAGE = (Path(__file__).parents[2] / "rules/pages/block.html").read_text()


@target(
    "page-templates",
    spoilt_text(
        PAGE,
        "<p>{url}</p>\n<b title='{rule}'>",
        more=("<script>", "{url}", "<a href={url}>", "<!--", " onclick='{rule}'", "<style>{url}", "\0"),
    ),
    spare=4 << 20,
)
def page_templates(text: str) -> None:
    pages: Any = _loaded("page-under-fuzz.html", text, Pages.load)
    if pages is not None:
        page = pages.block(dict.fromkeys(pages.names, "<x>\r\n"))
        assert b"<x>" not in page or "<x>" in text
        assert b"\n" not in page
        assert b"\r" not in page


@target(
    "moments",
    spoilt_text(
        "2026-11-24T10:00",
        "90m",
        "7d",
        "999999d",
        "2026-11-24T10:00:00+25:00",
        "0001-01-01",
        more=("9" * 30,),
    ),
    known=("999999d", "0001-01-01T00:00", "9999-12-31T23:59"),
)
def moments(text: str) -> None:
    from datetime import UTC, datetime

    with contextlib.suppress(ValueError):
        read_moment(text, datetime(2026, 11, 24, tzinfo=UTC))
