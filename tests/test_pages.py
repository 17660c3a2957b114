import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icapd.errors import ConfigErrors
from icapd.http import RequestHead, ResponseHead
from icapd.macros import MACROS, Template
from icapd.pages import MAX_LOCATION, MAX_PAGE, SCAN_RESULTS, Pages, page_values
from icapd.policy import Block, Decision, Refuse
from icapd.transaction import Client, Point, Transaction
from icapd.verdicts import Finding, Kind

PAGES = Pages.load(None)
PLAIN = dict.fromkeys(MACROS, "") | {
    "url": "http://casino.example/",
    "host": "casino.example",
    "rule": "no gambling",
    "user": "maria",
    "date": "2026-11-24T11:40:07+01:00",
    "decision_id": "7f3a-19",
    "type": "Request",
}
ANYTHING = st.text(st.characters(codec=None), max_size=300)  # lone surrogates too
VALUES = st.fixed_dictionaries(dict.fromkeys(sorted(MACROS), ANYTHING))
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Elements as opened, whether they nest, and the text of each dt and dd."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.texts[tag][-1] += data

    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]


def test_the_page_says_what_was_blocked_and_why() -> None:
    outline = Outline(PAGES.block(PLAIN))
    facts = dict(zip(outline.texts["dt"], outline.texts["dd"], strict=True))
    assert facts == {
        "Address": "http://casino.example/",
        "Rule": "no gambling",
        "User": "maria",
        "Time": "2026-11-24T11:40:07+01:00",
        "Reference": "7f3a-19",
    }
    assert outline.texts["title"] == ["Request blocked: casino.example"]
    assert outline.texts["h1"] == ["This page is blocked"]


def test_the_page_is_accessible_and_loads_nothing() -> None:
    outline = Outline(PAGES.block(PLAIN))
    names = outline.names()
    assert outline.open == []
    assert outline.tags[0] == ("html", {"lang": "en"})
    assert [names.count(name) for name in ("title", "main", "h1", "dl")] == [1, 1, 1, 1]
    assert ("meta", {"charset": "utf-8"}) in outline.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in outline.tags
    assert not {"script", "link", "img", "iframe", "form", "object"} & set(names)
    assert not {name for _, attrs in outline.tags for name in attrs} & {"src", "href", "style", "onload"}
    assert not re.search(rb"url\(|@import|//", PAGES.block(PLAIN | {"url": "x"}))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    digits = colour.lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_enough_contrast_light_and_dark() -> None:
    schemes = re.findall(r":root \{([^}]*--card[^}]*)\}", PAGES.block(PLAIN).decode())
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for name in ("text", "soft"):
            high, low = sorted((luminance(colours[name]), luminance(colours["card"])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 7, (name, colours)  # WCAG AAA


@given(VALUES)
@example(dict.fromkeys(MACROS, "</dd><script>alert(1)</script>"))
@example(dict.fromkeys(MACROS, "\" onmouseover='alert(1)' x=\""))
@example(dict.fromkeys(MACROS, "a\r\nSet-Cookie: b\r\n\r\n<h1>"))
@example(dict.fromkeys(MACROS, "\u202egnp.exe\u2066\u200f\x00\x1b[2J"))
@example(dict.fromkeys(MACROS, "<!-- --> ]]> &lt; {url} \ud800"))
def test_no_value_adds_markup_lines_or_hidden_characters(values: dict[str, str]) -> None:
    page = PAGES.block(values)
    text = page.decode()  # strictly UTF-8
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", text)
    assert len(page) <= MAX_PAGE
    outline = Outline(page)
    assert outline.open == []
    assert len([name for name in outline.names() if name != "div"]) <= len(Outline(FULL).names())
    for tag, attrs in outline.tags:
        assert not [name for name in attrs if name.startswith("on")], tag


FULL = PAGES.block(dict.fromkeys(MACROS, "x"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=60))
def test_a_reader_sees_the_value_unchanged(value: str) -> None:
    outline = Outline(PAGES.block(PLAIN | {"rule": "=" + value}))
    assert "=" + value in outline.texts["dd"]


@pytest.mark.parametrize("char", ["a", "&", "ä", "😀", "\u202e", "\ud800", "\x00"])
@pytest.mark.parametrize("length", [100, 511, 512, 513, 70_000])
def test_long_values_are_cut_between_characters(char: str, length: int) -> None:
    page = PAGES.block(dict.fromkeys(MACROS, char * length))
    assert len(page) <= MAX_PAGE
    for value in Outline(page).texts["dd"]:
        shown = {"\u202e": "[U+202E]", "\ud800": "[U+D800]", "\x00": "[U+0000]"}.get(char, char)
        assert value.rstrip("…") == shown * (len(value.rstrip("…")) // len(shown))
        assert value.endswith("…") == (len(html.escape(shown * length).encode()) > PAGES.limit)
        assert len(html.escape(value).encode()) <= PAGES.limit


def test_a_template_that_fills_the_page_still_stays_below_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<p>" + "x" * 50_000 + "\n" + "<p>{url}\n" * 100)
    pages = Pages.load(file)
    for char in "a&😀":
        page = pages.block({"url": char * 70_000})
        assert 55_000 < len(page) <= MAX_PAGE


def template_faults(directory: Path, text: str | bytes) -> list[str]:
    file = directory / "page.html"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigErrors) as caught:
        Pages.load(file)
    return [f"{error.line}: {error.message}" for error in caught.value.errors]


def test_every_unknown_macro_is_reported_with_its_line(tmp_path: Path) -> None:
    faults = template_faults(tmp_path, "<p>{url}\n<p>{uri}\n<p>\n{usr}")
    assert [fault[:22] for fault in faults] == ["2: unknown macro {uri}", "4: unknown macro {usr}"]


@pytest.mark.parametrize(
    ("markup", "where"),
    [
        ("<script>let u = '{url}'</script>", "inside <script>"),
        ("<style>p { color: {url} }</style>", "inside <style>"),
        ("<p onclick='go(\"{url}\")'>", "in onclick="),
        ("<p style='color: {url}'>", "in style="),
        ("<iframe srcdoc='{url}'>", "in srcdoc="),
        ("<p title={url}>", "in an attribute without quotes"),
        ("<p {url}>", "as part of a tag"),
        ("<a href='{url}'>", "in href="),
        ("<img src='{url}'>", "in src="),
    ],
)
def test_macros_where_no_escaping_holds_are_refused(tmp_path: Path, markup: str, where: str) -> None:
    [fault] = template_faults(tmp_path, f"<p>\n{markup}")
    assert fault.startswith(f"2: a macro may not stand {where}")


def test_macros_in_quoted_attributes_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("<p title=\"{rule}\" data-x='{url}'>")
    page = Pages.load(file).block({"rule": '"><b>', "url": "'><b>"})
    assert page == b"<p title=\"&quot;&gt;&lt;b&gt;\" data-x='&#x27;&gt;&lt;b&gt;'> "


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"<p>\n\x00", "2: a control character"),
        (b"<p>\n\xff", "2: not UTF-8"),
        ("x" * 60_000, f"0: too large: with 0 macros it can exceed {MAX_PAGE} bytes"),
        ("<p>{url}\n" * 1000, f"0: too large: with 1000 macros it can exceed {MAX_PAGE} bytes"),
    ],
)
def test_bad_templates(tmp_path: Path, text: str | bytes, fault: str) -> None:
    assert template_faults(tmp_path, text) == [fault]


def test_a_missing_template_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        Pages.load(tmp_path / "none.html")


def test_comments_go_and_line_numbers_stay(tmp_path: Path) -> None:
    assert template_faults(tmp_path, "<!--\n{nonsense}\n-->\r\n{uri}")[0].startswith("4: unknown macro {uri}")
    assert b"<!--" not in PAGES.block(PLAIN)


REDIRECT = Template.parse("https://new.example/a b/ä?from={url}&user={user}#{rule}")


@given(VALUES)
@example(dict.fromkeys(MACROS, "a\r\nLocation: http://evil.example/"))
@example(dict.fromkeys(MACROS, "&admin=1#/../%2e%2e;?"))
@example(dict.fromkeys(MACROS, "ä" * 70_000))
@example(dict.fromkeys(MACROS, "\ud800"))
def test_values_cannot_leave_their_place_in_a_redirect(values: dict[str, str]) -> None:
    location = PAGES.location(REDIRECT, values)
    assert re.fullmatch(r"[!-~]*", location)
    assert len(location) <= MAX_LOCATION
    parts = urlsplit(location)
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("https", "new.example", "/a b/ä")
    query = parse_qs(parts.query, keep_blank_values=True, errors="strict")
    assert sorted(query) == ["from", "user"]
    seen = values["url"].encode("utf-8", "replace").decode()
    assert seen.startswith(query["from"][0])
    if len(seen) < 200:
        assert query["from"] == [seen]


def test_page_values_fill_every_macro() -> None:
    request = RequestHead(b"GET http://Casino.example/x HTTP/1.1\r\nUser-Agent: Fox\r\n\r\n")
    response = ResponseHead(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    tx = Transaction(Point.RESPMOD, Client("10.0.0.1", "maria"), request, response, now=1_795_520_407.2)
    decision = Decision(action=Block(), stage="access", rule=None, category="gambling", trace=())
    values = page_values(tx=tx, decision=decision, decision_id="7f", url="http://casino.example/x")
    assert set(values) == MACROS
    assert re.fullmatch(r"2026-11-2\dT\d\d:\d\d:07[+-]\d\d:\d\d", values["date"])
    picked = ("category", "client_ip", "host", "method", "mime_type", "type", "user", "user_agent")
    assert [values[name] for name in picked] == [
        "gambling",
        "10.0.0.1",
        "casino.example",
        "GET",
        "text/html",
        "Response",
        "maria",
        "Fox",
    ]


def test_a_refused_target_says_why_and_names_the_host_it_knows() -> None:
    tx = Transaction(
        Point.REQMOD, Client(), RequestHead(b"GET http:// HTTP/1.1\r\n\r\n"), connect_host="a.example"
    )
    decision = Decision(action=Refuse("no host"), stage="target", rule=None, category=None, trace=())
    values = page_values(tx=tx, decision=decision, decision_id="7f", url="http://")
    assert (values["scan_result"], values["host"], values["rule"]) == ("no host", "a.example", "")


def test_what_scanning_found_is_named_and_said_in_words() -> None:
    tx = Transaction(Point.RESPMOD, Client(), RequestHead(b"GET http://a.example/ HTTP/1.1\r\n\r\n"))
    hostile = "EICAR\r\n<script>\u202e"
    worst, other = Finding(Kind.MALWARE, hostile, "clamd"), Finding(Kind.ENCRYPTED, "zip", "content")
    decision = Decision(
        Block(), "protection", findings=(worst, other), violations=(worst, other), workspace="lab"
    )
    values = page_values(tx=tx, decision=decision, decision_id="7f", url="http://a.example/")
    assert (values["threat"], values["scan_result"], values["workspace"]) == (hostile, "Malware", "lab")
    page = Pages.load(None).block(values)
    assert b"EICAR[U+000D][U+000A]&lt;script&gt;[U+202E]" in page
    assert b"\r" not in page
    assert b"\n" not in page
    failed = Decision(Block(), "protection", violations=(Finding(Kind.UNSCANNABLE, "", "clamd"),))
    values = page_values(tx=tx, decision=failed, decision_id="7f", url="http://a.example/")
    assert (values["threat"], values["scan_result"]) == ("", "Could not be scanned")
    assert b"Found" not in Pages.load(None).block(values)


def test_every_kind_of_finding_has_words_for_people() -> None:
    assert set(SCAN_RESULTS) == set(Kind)


@given(VALUES, st.sets(st.sampled_from(sorted(MACROS))))
@example(dict.fromkeys(MACROS, "100 % %s {url}"), {"url", "user"})
def test_a_page_begun_and_ended_is_the_page(values: dict[str, str], later: set[str]) -> None:
    filled = {name for name in later if values[name]}
    assert PAGES.begun(values, filled).block(values) == PAGES.block(values)
