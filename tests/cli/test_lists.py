"""`icapd lists`: what it prints, and its exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
lists:
  games: {domains: games, category: Games}
  pages: {urls: pages}
  nets: {cidr: nets}
  bad: {files: bad}
  words: {expressions: words}
"""
MD5 = "44d88612fea8a8f36de82e1278abb02f"
FILES = {
    "games": "# games\ncasino.example\ncom\nCASINO.example.\n",
    "pages": "http://www.shop.example/toys?id=1\nshop.example/a%2562\n",
    "nets": "10.1.0.0/16\n2001:db8::/32\n192.0.2.1-192.0.2.9\n",
    "bad": f"{MD5} eicar\n",
    "words": "(^|/)poker\n",
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "icapd.yaml").write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n')
    (tmp_path / "policy.yaml").write_text(POLICY)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path


def run(
    directory: Path, capsys: pytest.CaptureFixture[str], command: str, *arguments: str
) -> tuple[int, list[str], list[str]]:
    status = main(["lists", command, "-c", str(directory / "icapd.yaml"), *arguments])
    out, err = (text.replace(str(directory), "DIR").splitlines() for text in capsys.readouterr())
    return status, out, err


@pytest.mark.parametrize(
    ("term", "lines"),
    [
        (
            "casino.example",
            ["games (Games): DIR/games:2: casino.example", "games (Games): DIR/games:4: casino.example"],
        ),
        (
            "WWW.Casino.Example.",
            ["games (Games): DIR/games:2: casino.example", "games (Games): DIR/games:4: casino.example"],
        ),
        ("shop.example/toys/1?id=1", []),
        ("https://shop.example/toys?id=1", ["pages: DIR/pages:1: www.shop.example/toys?id=1"]),
        ("shop.example/ab/c", ["pages: DIR/pages:2: shop.example/ab"]),
        ("10.1.2.3", ["nets: DIR/nets:1: 10.1.0.0/16"]),
        ("[2001:DB8::1]", ["nets: DIR/nets:2: 2001:db8::/32"]),
        ("2001:db8::1", ["nets: DIR/nets:2: 2001:db8::/32"]),
        ("http://192.0.2.7/x", ["nets: DIR/nets:3: 192.0.2.1-192.0.2.9"]),
        (MD5.upper(), [f"bad: DIR/bad:1: {MD5} eicar"]),
        ("x.example/Poker", ["words: DIR/words:1: (^|/)poker"]),
        ("nocasino.example", []),
        ("0" * 64, []),
    ],
)
def test_lookup(directory: Path, capsys: pytest.CaptureFixture[str], term: str, lines: list[str]) -> None:
    status, out, err = run(directory, capsys, "lookup", term)
    assert out == (lines or [f"none: {term} is in no list"])
    assert (status, err) == (0 if lines else 1, [])


def test_lookup_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(directory, capsys, "lookup", "10.1.2.3", "--json")
    entry = {"list": "nets", "file": "DIR/nets", "line": 1, "kind": "range", "entry": "10.1.0.0/16"}
    assert (status, json.loads(out[0])) == (0, {"term": "10.1.2.3", "lists": ["nets"], "entries": [entry]})
    status, out, _ = run(directory, capsys, "lookup", "nowhere.example", "--json")
    assert (status, json.loads(out[0])) == (1, {"term": "nowhere.example", "lists": [], "entries": []})


@pytest.mark.parametrize("term", ["a b", "", "http://[::1", "ftp:x//", "a..b"])
def test_what_cannot_be_looked_up_is_one_line(
    directory: Path, capsys: pytest.CaptureFixture[str], term: str
) -> None:
    status, out, err = run(directory, capsys, "lookup", term)
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("icapd: ")


def test_an_exception_is_no_entry(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "games").write_text("||casino.example^\n@@||ok.casino.example^\n")
    assert run(directory, capsys, "lookup", "ok.casino.example")[0] == 1
    status, out, _ = run(directory, capsys, "lookup", "casino.example")
    assert (status, out) == (0, ["games (Games): DIR/games:1: casino.example"])


def test_info(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(directory, capsys, "info")
    assert (status, err) == (0, [])
    assert out[0] == "games: 1 entry, category Games"
    assert out[1].startswith("  DIR/games: domains, 2 taken, 1 ignored, 43 bytes, ")
    assert out[2] == "    1 x a name without a dot: it would cover a whole top-level domain (line 3)"
    assert [line for line in out if not line.startswith(" ")][1:] == [
        "pages: 2 entries",
        "nets: 3 entries",
        "bad: 1 entry",
        "words: 1 entry",
    ]


def test_info_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(directory, capsys, "info", "games", "--json")
    (games,) = json.loads("\n".join(out))
    assert (status, games["name"], games["category"], games["entries"]) == (0, "games", "Games", 1)
    (file,) = games["files"]
    assert (file["file"], file["format"], file["accepted"], file["size"]) == ("DIR/games", "domains", 2, 43)
    assert file["ignored"][0]["lines"] == [3]


def test_info_of_an_unknown_list(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(directory, capsys, "info", "gamse")
    assert (status, err) == (2, ["icapd: there is no list 'gamse' (see `icapd lists info --help`)"])


def test_build(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(directory, capsys, "build")
    assert (status, err) == (0, [])
    assert out[0].startswith("5 lists, 8 entries, ")


def test_build_takes_a_policy_too(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lists", "build", "-c", str(directory / "policy.yaml")]) == 0
    assert capsys.readouterr().out.startswith("5 lists")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "icapd: DIR/games:1: is a web page, not a list (has the download failed?)"),
        (
            None,
            "icapd: DIR/policy.yaml:2: list 'games': 'DIR/games' cannot be read: No such file or directory",
        ),
        (
            "com\n",
            "icapd: DIR/games:1: holds no entry: 1 lines ignored, most of them as 'a name without a dot: it would cover a whole top-level domain'",
        ),
    ],
)
@pytest.mark.parametrize("command", [["build"], ["info"], ["lookup", "a.example"]])
def test_a_list_that_is_none_is_one_line(
    directory: Path, capsys: pytest.CaptureFixture[str], command: list[str], text: str | None, message: str
) -> None:
    (directory / "games").unlink()
    if text is not None:
        (directory / "games").write_text(text)
    status, out, err = run(directory, capsys, *command)
    assert (status, out, err) == (2, [], [message])


def test_a_list_that_shrank_is_taken_when_it_is_meant(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "games").write_text("".join(f"n{number}.example\n" for number in range(1_000)))
    assert run(directory, capsys, "build")[0] == 0
    (directory / "games").write_text("")
    status, _, err = run(directory, capsys, "build")
    assert status == 2
    assert err[0].endswith("if that is meant: icapd lists build --accept-empty")
    assert run(directory, capsys, "build", "--accept-empty")[0] == 0
    assert run(directory, capsys, "build")[0] == 0
