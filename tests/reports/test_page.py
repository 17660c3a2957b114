"""The page is one file that loads nothing and runs nothing, whatever the records hold."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from icapd.events.report import Period, make_report
from icapd.events.store import open_store
from icapd.reports.page import as_page
from icapd.reports.setting import Idle, Setting
from tests.events.recorded import BEGIN, record
from tests.reports import hostile, sample

if TYPE_CHECKING:
    from pathlib import Path

HOUR = Period(BEGIN.timestamp(), BEGIN.timestamp() + 3600)
NOTHING = Setting("proxy.example", HOUR.until, ())
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "div", "h1", "h2", "p", "main", "section", "ul", "li",
    "span", "b", "svg", "g", "rect", "path", "text", "table", "thead", "tbody", "tr", "th", "td", "small", "bdi",
    "footer",
}  # fmt: skip
_VOID = {"meta", "rect", "path"}


class Reader(HTMLParser):
    """Checks that tags are closed as they were opened, and notes what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.metas: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "meta":
            self.metas.append(dict(attrs))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


def page_of(
    path: Path, records: Any, setting: Setting = NOTHING, period: Period = HOUR
) -> tuple[str, Reader]:
    with closing(open_store(path / "events.db", readonly=False)) as store:
        store.add(records, None)
        page = as_page(make_report(store.connection, period), setting)
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return page, reader


def test_it_loads_and_runs_nothing(tmp_path: Path) -> None:
    idle = (Idle("access", hostile.MARKUP, hostile.ESCAPES, shadow=True),)
    setting = Setting(hostile.MARKUP, HOUR.until, idle, (hostile.MARKUP + hostile.BIDI,))
    page, reader = page_of(tmp_path, hostile.records(), setting)
    assert reader.tags <= TAGS
    assert not {
        name for name in reader.attributes if name.startswith("on") or name in {"style", "src", "href"}
    }
    assert not re.search(r"url\(|@import|https?://(?!<)", page.partition("</style>")[0])
    assert "[U+001B][2J" in page
    assert "[U+202E]gnp.exe" in page
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\ud800-\udfff]", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a" * 300 not in page
    page.encode()


def test_its_policy_allows_its_own_style_alone(tmp_path: Path) -> None:
    page, reader = page_of(tmp_path, [record(1)])
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policies = [one["content"] for one in reader.metas if one.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_figures_of_a_week_are_in_it(tmp_path: Path) -> None:
    setting = Setting(
        "proxy.example", sample.END, (Idle("access", "no old browsers", "p:19", shadow=False),), ("A note.",)
    )
    page, reader = page_of(tmp_path, sample.records(2000), setting, Period(sample.WEEK, sample.END, 3600))
    for text in ("proxy.example", "16 Nov 2026 01:00 – 23 Nov 2026 01:00, UTC+1", "learn.school.example",  # noqa: RUF001
                 "no gambling", "decisions per 3 hours", "no old browsers", "A note.", "Social networks",
                 "No: the numbers of each process follow each other."):  # fmt: skip
        assert text in reader.text
    assert page.count('<svg class="plot"') == 4
    assert len(page) < 200_000


def test_an_empty_period_says_so(tmp_path: Path) -> None:
    _, reader = page_of(tmp_path, [record(1)], period=Period(0, 3600))
    assert "Nothing was decided in this period" in reader.text
    assert "Its oldest record is of 24 Nov 2026 10:00." in reader.text


def test_a_store_without_records_says_so(tmp_path: Path) -> None:
    assert "It is empty so far." in page_of(tmp_path, [])[1].text


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((3,), "2 records are missing; 0 unexplained. Explained: 2: disk full."),
        ((), "2 records are missing; 2 unexplained."),
    ],
)
def test_gaps_are_told(tmp_path: Path, counts: tuple[int, ...], told: str) -> None:
    lost = [
        {
            "time": record(n)["time"],
            "event": "lost",
            "source": "k3v7q2xa",
            "count": 2,
            "why": "disk full",
            "before": 4,
        }
        for n in counts
    ]
    assert told in page_of(tmp_path, [record(1), *lost, record(4)])[1].text


def test_what_lists_show_is_told_and_idle_rules_are_cut(tmp_path: Path) -> None:
    idle = tuple(Idle("access", f"rule {n}", f"p:{n}", shadow=False) for n in range(250))
    setting = Setting("a", 0, idle, (), "by hash", "by network")
    text = page_of(tmp_path, [record(1, user="3f2a")], setting)[1].text
    assert "by hash" in text
    assert "by network" in text
    assert "and 50 more" in text
    without = page_of(tmp_path, [], Setting("a", 0, None))[1].text
    assert "decided nothing" not in without
