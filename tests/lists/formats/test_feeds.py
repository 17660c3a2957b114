"""PhishTank, URLhaus and other tables with a URL."""

from __future__ import annotations

import json

import pytest

from tests.lists.reading import ignored, taken


def test_urlhaus() -> None:
    text = (
        "######\n# id,dateadded,url,url_status,last_online\n"
        '"1","2026-01-01","http://192.0.2.1:8080/a/bin.sh","online",""\n"2","x","no url","o",""\n"3"\n'
    )
    assert taken("files", text) == ["url 192.0.2.1 /a/bin.sh"]
    assert taken("urls", text) == ["url 192.0.2.1 /a/bin.sh"]
    assert ignored("files", text) == [(4, "a URL has no blanks"), (5, "a row without a URL")]


def test_a_row_that_is_no_csv_is_told() -> None:
    assert ignored("files", "id,url\n1,a\rb,c\n") == [(2, "a row without a URL")]


def test_phishtank_csv() -> None:
    text = 'phish_id,url,verified\n1,"http://a.example/x,y?z=1",yes\n'
    assert taken("files", text) == ["url a.example /x,y z=1"]


def test_phishtank_json() -> None:
    rows = [{"phish_id": "1", "url": "http://a.example/login?x=1"}, {"phish_id": 2}, "http://b.example/", 7]
    text = json.dumps(rows, indent=1)
    assert taken("files", text) == ["url a.example /login x=1", "url b.example /"]
    assert [reason for _, reason in ignored("files", text)] == ["no URL in it", "no URL in it"]


def test_json_is_read_in_pieces() -> None:
    rows = [{"phish_id": n, "url": f"http://a.example/{n}", "x": "\u00fc" * 20} for n in range(30_000)]
    text = json.dumps(rows, ensure_ascii=False)
    assert len(taken("files", text)) == 30_000
    assert ignored("files", text) == []


@pytest.mark.parametrize(
    "cut", ['[{"url": "http://a.example/"}, {"url": "http', '[{"url": "http://a.example/"}']
)
def test_json_cut_short_is_told(cut: str) -> None:
    assert taken("files", cut) == ["url a.example /"]
    assert ignored("files", cut) == [(1, "cut short, or not JSON from here on")]


def test_json_nested_without_end_is_told() -> None:
    assert ignored("files", "[" * 100_000) == [(1, "cut short, or not JSON from here on")]


def test_half_a_character_in_json_is_no_url() -> None:
    text = '[{"url": "http://\\ud800a.example/"}, {"url": "http://b.example/x"}]'
    assert taken("urls", text) == ["url b.example /x"]
    assert ignored("urls", text) == [(1, "not a URL")]
