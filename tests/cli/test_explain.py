"""`icapd explain`: text for people, JSON for programs, a line in and a line out for decks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from icapd.cli.main import main

ROOT = Path(__file__).parents[2]
POLICY = """\
lists:
  gambling: {domains: [gambling]}
access:
  - name: folder
    when: {url: [files.example/games]}
    action: block
  - name: no gambling
    when: {list: [gambling], client: [10.0.0.0/8]}
    unless: [{user: [audit-*]}]
    action: block
  - {name: moved, when: {host: [old.example]}, action: {redirect: "https://new.example/?u={url}"}}
  - {name: staff, when: {group: [staff], host: [staff.example]}, action: block}
  - {name: night, when: {host: [night.example], schedule: {from: "22:00", to: "06:00", tz: UTC}}, action: block}
  - {name: video, when: {mime: ["video/*"]}, action: block}
tls:
  - {name: bank, when: {host: [bank.example]}, action: splice}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "gambling").write_text("casino.example\n")
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "icapd.yaml").write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n')
    return tmp_path / "icapd.yaml"


def explain(file: Path, *arguments: str) -> int:
    return main(["explain", "-c", str(file), *arguments])


def answered(file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert explain(file, *arguments, "--json") == 0
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


def batch(file: Path, *lines: str | dict[str, Any], options: tuple[str, ...] = ()) -> tuple[int, list[Any]]:
    """Another process, as decks use it."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    command = [sys.executable, "-m", "icapd", "explain", "-c", str(file), "--batch", *options]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_text_says_the_decision_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(file, "--client", "10.1.2.3", "CONNECT", "casino.example:443") == 0
    out = capsys.readouterr().out.replace(str(file.parent), "DIR")
    assert out == (
        "BLOCK  CONNECT casino.example:443\n"
        "  rule       no gambling (access, DIR/policy.yaml:7)\n"
        "  category   gambling\n"
        "  user gets  the block page, inside the tunnel; the server is not contacted\n"
        "  browser    the block page (403), inside the tunnel\n"
        "  certified  the bump CA's\n"
        "  server     is not contacted\n"
        "\n"
        "asked for the tunnel (CONNECT):\n"
        "  no       access: folder (DIR/policy.yaml:4)\n"
        "           no       url files.example/games; is casino.example:443\n"
        "  yes      access: no gambling (DIR/policy.yaml:7)\n"
        "           yes      client 10.0.0.0/8; is 10.1.2.3\n"
        "           yes      list gambling; is gambling\n"
        "           no       unless 1: user audit-*; is none\n"
    )


def test_why_the_next_point_decides(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(file, "CONNECT", "files.example:443") == 0
    out = capsys.readouterr().out.replace(str(file.parent), "DIR")
    assert "  undecided  folder (DIR/policy.yaml:4) asks for url,\n" in out
    assert "not known yet: the requests inside the tunnel decide, if it is decrypted\n" in out
    assert "  tunnel     bump (no rule)\n" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["GET", "http://casino.example/", "--client", "10.0.0.1"],
            {"action": "block", "category": "gambling"},
        ),
        (["GET", "http://casino.example/", "--client", "10.0.0.1", "--user", "audit-1"], {"action": "allow"}),
        (
            ["GET", "http://casino.example/", "--icap-header", "X-Client-IP: 10.0.0.1"],
            {"rule": "no gambling"},
        ),
        (["GET", "http://a.example/", "-H", "Host: old.example"], {"rule": "moved"}),
        (
            ["GET", "http://old.example/ä"],
            {"location": "https://new.example/?u=http%3A%2F%2Fold.example%2F%25C3%25A4"},
        ),
        (["CONNECT", "old.example:443"], {"location": "https://new.example/?u=https%3A%2F%2Fold.example%2F"}),
        (["GET", "http://staff.example/", "--group", "staff"], {"rule": "staff"}),
        (["GET", "http://staff.example/"], {"action": "allow"}),
        (["GET", "http://night.example/", "--at", "2026-01-01T23:00+00:00"], {"rule": "night"}),
        (["GET", "http://night.example/", "--at", "2026-01-01T12:00+00:00"], {"action": "allow"}),
        (["GET", "https://a.example/", "--connect-host", "old.example"], {"rule": "moved"}),
        (["CONNECT", "a.example:443", "--sni", "old.example"], {"rule": "moved"}),
        (["CONNECT", "bank.example:443"], {"tls": {"action": "splice", "rule": "bank"}}),
        (
            ["GET", "http://a.example/", "--status", "200", "--response-header", "Content-Type: video/mp4"],
            {"rule": "video", "point": "respmod"},
        ),
        (["GET", "http://a b/"], {"action": "refuse", "stage": "target", "rule": None}),
        (["GET ", "http://a/"], {"action": "refuse", "stage": "message"}),
    ],
)
def test_options(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: dict[str, Any]
) -> None:
    out = answered(file, capsys, *arguments)
    assert {key: out[key] for key in expected} == expected


def test_a_policy_file_serves_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("GET", "http://old.example/")
    assert answered(file.with_name("policy.yaml"), capsys, *arguments) == answered(file, capsys, *arguments)


def test_ports_that_do_not_decrypt(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text() + "squid:\n  ports: [{address: '3128', bump: false}]\n")
    out = answered(file, capsys, "--client", "10.0.0.1", "CONNECT", "casino.example:443")
    assert out["shows"].startswith("the connection is ended")


def test_the_answer_can_be_seen(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = answered(file, capsys, "--answer", "--client", "10.0.0.1", "GET", "http://casino.example/<script>")
    assert ["Cache-Control", "no-store"] in out["answer"]["headers"]
    assert "no gambling" in out["answer"]["page"]
    assert "<script>" not in out["answer"]["page"]
    assert json.loads(out["answer"]["log"])["rule"] == "no gambling"
    assert answered(file, capsys, "--answer", "GET", "http://a.example/")["answer"] is None
    explain(file, "--answer", "GET", "http://old.example/")
    assert "\nLocation: https://new.example/" in capsys.readouterr().out
    explain(file, "--answer", "GET", "http://a.example/")
    assert "the message passes as it came" in capsys.readouterr().out


def test_nothing_odd_reaches_the_terminal(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(file, "--user", "\x1b[2J\u202e", "GET", "http://a.example/\x1b[2J")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_long_policies_are_told_in_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    rules = [f"  - {{name: r{n}, when: {{host: [h{n}.example]}}, action: block}}" for n in range(100)]
    file.write_text("\n".join(["access:", *rules]))
    explain(file, "GET", "http://h70.example/")
    out = capsys.readouterr().out
    assert "… 70 rules of which nothing holds (--all shows them)" in out
    assert len(out.splitlines()) < 12
    explain(file, "--all", "GET", "http://h70.example/")
    assert len(capsys.readouterr().out.splitlines()) > 140


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "METHOD and URL are missing"),
        (["GET"], "METHOD and URL are missing"),
        (["--batch", "GET", "http://a/"], "--batch reads its requests from standard input"),
        (["--at", "noon", "GET", "http://a/"], "'noon' is no time"),
        (["-H", "x", "GET", "http://a/"], "'x' is not 'Name: value'"),
    ],
)
def test_usage(file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert explain(file, *arguments) == 2
    assert said in capsys.readouterr().err


def test_a_broken_policy_explains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text("access: [{action: blok}]\n")
    assert explain(tmp_path / "p.yaml", "GET", "http://a/") == 2
    assert "p.yaml:1: " in capsys.readouterr().err


def test_batch_goes_on_after_a_bad_line(file: Path) -> None:
    status, out = batch(
        file,
        {"id": 1, "method": "GET", "uri": "http://casino.example/", "icap_headers": {"X-Client-IP": "10.0.0.1"}},
        {"id": 2, "uri": "http://old.example/", "content": "x"},
        "",
        {"id": "three", "method": "GET"},
        "not JSON",
        "[1, 2",
        "[" * 3000,
        "\u0000",
        {"id": 4, "method": "CONNECT", "uri": "bank.example:443"},
    )  # fmt: skip
    assert status == 1
    assert [line["id"] for line in out] == [1, 2, "three", None, None, None, None, 4]
    assert [line.get("action") for line in out] == [
        "block",
        "redirect",
        None,
        None,
        None,
        None,
        None,
        "allow",
    ]
    assert out[1]["unread"] == ["content"]
    assert out[2]["error"].startswith("uri: ")
    assert {"action", "stage", "rule", "location", "trace", "id"} <= out[0].keys()


def test_batch_without_faults_is_zero_and_needs_no_lines(file: Path) -> None:
    assert batch(file, {"id": 1, "uri": "http://a/"})[0] == 0
    assert batch(file) == (0, [])


def test_batch_answers_at_once(file: Path) -> None:
    command = [sys.executable, "-m", "icapd", "explain", "-c", str(file), "--batch"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for number in range(3):
            running.stdin.write(json.dumps({"id": number, "uri": "http://a/"}) + "\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["id"] == number
        running.stdin.close()
    assert running.returncode == 0


SCANNED = """\
protection:
  - {name: office, when: {file_type: [docx]}, scan: {macro: skip}, adapters: [clamd]}
default_protection: {encrypted: skip}
"""


def test_findings_on_the_command_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = file.with_name("policy.yaml")
    rules.write_text(SCANNED)
    options = ("GET", "http://a.example/", "--status", "200")
    assert explain(file, *options, "--finding", "malware=EI\x1bCAR", "--finding", "encrypted=zip") == 0
    out = capsys.readouterr().out
    for line in (
        "BLOCK  GET http://a.example/",
        "  scanned    default_protection",
        "             skips encrypted, too_large, type_mismatch",
        r"  found      malware EI\x1bCAR (by content): blocked",
        "  found      encrypted zip (by content): skipped",
    ):
        assert line in out
    assert explain(file, *options, "--file-type", "docx", "--scan-error", "clamd=open") == 0
    out = capsys.readouterr().out
    assert f"  scanned    office (protection, {rules}:2)" in out
    assert "hears clamd alone" in out
    assert "  unscanned  clamd could not look, on_error: open" in out
    found = answered(file, capsys, *options, "--hash", "0" * 32, "--finding", "encrypted")
    assert (found["action"], found["stage"]) == ("allow", "default_protection")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--finding", "virus=x"), "KIND=NAME"),
        (("--file-type", "exx"), "no file type"),
        (("--hash", "12"), "no file type that icapd knows, or no MD5"),
        (("--scan-error", "clamd=perhaps"), "ADAPTER=open"),
    ],
)
def test_what_cannot_be_found_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str], said: str
) -> None:
    assert explain(file, "GET", "http://a.example/", *option) == 2
    assert said in capsys.readouterr().err


PARTS = """\
access:
  - {name: ads, when: {host: [ads.example]}, action: block}
  - {name: moved, when: {host: [old.example]}, action: {redirect: "https://new.example/"}}
  - {name: circle, when: {host: [back.example]}, action: {redirect: "https://www.back.example/"}}
"""
IMAGE = ("-H", "Sec-Fetch-Dest: image")
SCRIPTED = ("-H", "Sec-Fetch-Dest: empty", "-H", "Origin: https://a.example")


@pytest.mark.parametrize(
    ("arguments", "shows", "answer"),
    [
        (("GET", "https://ads.example/"), "the block page (403)", (403, "<!doctype html>")),
        (("HEAD", "https://ads.example/"), "the block page (403), its head alone", (403, "")),
        (("GET", "https://ads.example/", *IMAGE), "an empty picture (403)", (403, "GIF89a")),
        (("GET", "https://ads.example/", *SCRIPTED), "JSON that says it is blocked (403)", (403, '{"blocked":true')),
        (("GET", "https://ads.example/", "-H", "Upgrade: websocket"), "a line of text (403)", (403, "Blocked by")),
        (("GET", "https://ads.example/", "-H", "Sec-Fetch-Dest: font"), "nothing (403)", (403, "")),
        (
            ("OPTIONS", "https://ads.example/", *SCRIPTED, "-H", "Access-Control-Request-Method: PUT"),
            "leave to ask (200), as CORS has it; what it asks for is blocked", (200, ""),
        ),
        (("GET", "https://old.example/"), "a redirect (302) to https://new.example/", (302, "Redirected")),
        (
            ("GET", "https://old.example/", *IMAGE),
            "an empty picture (403); the redirect to https://new.example/ is for pages", (403, "GIF89a"),
        ),
        (
            ("GET", "https://back.example/"),
            "the block page (403); the redirect to https://www.back.example/ is not sent, it would lead back to "
            "the same rule", (403, "<!doctype html>"),
        ),
        (
            ("GET", "http://pass.example/", "--finding", "malware=Bad"),
            "the block page (403)", (403, "<!doctype html>"),
        ),
    ],
)  # fmt: skip
def test_what_is_said_is_what_is_sent(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    shows: str,
    answer: tuple[int, str],
) -> None:
    status, body = answer
    file.with_name("policy.yaml").write_text(PARTS)
    out = answered(file, capsys, *arguments, "--answer")
    assert out["shows"] == shows
    assert out["answer"]["head"].startswith(f"HTTP/1.1 {status} ")
    assert out["answer"]["page"].startswith(body)
    assert bool(out["answer"]["page"]) is bool(body)
    assert explain(file, *arguments, "--answer") == 0
    assert f"  user gets  {shows}\n" in capsys.readouterr().out


def test_a_tunnel_whose_redirect_leads_back_gets_the_page(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_name("policy.yaml").write_text(PARTS)
    out = answered(file, capsys, "CONNECT", "back.example:443", "--answer")
    assert out["shows"] == "the block page, inside the tunnel; the server is not contacted"
    assert out["connect"]["browser"] == "the block page (403), inside the tunnel"
    assert "X-Icapd-Verdict: block" in out["answer"]["head"]


def test_a_page_for_everything_is_told_where_it_is_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.with_name("policy.yaml").write_text(PARTS)
    file.write_text(file.read_text() + "replies: page\n")
    assert answered(file, capsys, "GET", "https://ads.example/", *IMAGE)["shows"] == "the block page (403)"
    assert answered(file, capsys, "GET", "https://old.example/", *IMAGE)["shows"].startswith(
        "a redirect (302)"
    )
