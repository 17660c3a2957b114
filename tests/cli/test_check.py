import json
import os
import re
import shutil
from datetime import UTC, datetime
from importlib.resources import as_file
from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.config import load_config
from icapd.data import shared
from icapd.pki import make_bump_ca

POLICY = """\
access:
  - name: no casino
    when: {host: [casino.example]}
    action: block
"""
SMALLEST = 'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n'
needs_squid = pytest.mark.skipif(
    shutil.which("squid", path=os.environ["PATH"] + ":/usr/sbin") is None, reason="needs squid"
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a good configuration, and no Squid to be found."""
    (tmp_path / "icapd.yaml").write_text(SMALLEST)
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.setattr("icapd.cli.check.shutil.which", lambda *_, **__: None)
    return tmp_path


def check(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, list[str]]:
    status = main(["check", "-c", str(directory / "icapd.yaml")])
    out, err = capsys.readouterr()
    return status, out, err.replace(str(directory), "DIR").splitlines()


def test_a_good_configuration_is_printed_with_every_default(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, findings = check(directory, capsys)
    assert (status, findings) == (0, [])
    (directory / "all.yaml").write_text(out)
    assert load_config(directory / "all.yaml").limits == load_config(directory / "icapd.yaml").limits
    assert "preview: 1024" in out
    assert main(["check", "--quiet", "-c", str(directory / "icapd.yaml")]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("listen: [icap://a\npolicy: p\n", [r"DIR/icapd.yaml:\d+: error: not YAML: .*"]),
        ("", ["DIR/icapd.yaml: error: is empty"]),
        ("- a\n", ["DIR/icapd.yaml:1: error: the file must be a mapping .*"]),
        (
            "listn: []\npolicy: p\nlimits: {idle: 1}\n",
            [
                "DIR/icapd.yaml:1: error: 'listen' is missing",
                "DIR/icapd.yaml:1: error: unknown key 'listn'; did you mean 'listen'\\?",
                "DIR/icapd.yaml:3: error: limits.idle: should be greater than 60",
            ],
        ),
        (
            SMALLEST.replace("policy.yaml", "none.yaml"),
            ["DIR/none.yaml: error: cannot be read: No such file or directory"],
        ),
        (
            SMALLEST + "tls: {certificate: c.pem, key: k.pem}\n",
            [
                r"DIR/icapd.yaml:3: error: tls.certificate: DIR/c.pem cannot be read: No such file or directory"
            ],
        ),
    ],
)
def test_a_bad_configuration(
    directory: Path, text: str, findings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "icapd.yaml").write_text(text)
    status, _, found = check(directory, capsys)
    assert status == 1
    assert len(found) == len(findings), found
    for line, pattern in zip(found, findings, strict=True):
        assert re.fullmatch(pattern, line), line


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, findings = check(tmp_path, capsys)
    assert (status, out) == (1, "")
    assert findings == ["DIR/icapd.yaml: error: cannot be read: No such file or directory"]


def test_policy_lists_page_and_certificate_are_all_reported_at_once(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "policy.yaml").write_text(
        "lists:\n  ads: {domains: [none.txt]}\naccess:\n"
        "  - name: x\n    when: {hst: [a.example], list: [ads]}\n    action: block\n"
    )
    (directory / "page.html").write_text("<p>\n{uri}\n")
    for name in ("c.pem", "k.pem"):
        (directory / name).write_text("not PEM\n")
    (directory / "icapd.yaml").write_text(
        SMALLEST + "page: page.html\ntls: {certificate: c.pem, key: k.pem}\n"
    )
    status, _, findings = check(directory, capsys)
    text = "\n".join(findings)
    assert status == 1
    assert re.search(r"^DIR/policy.yaml:2: error: .*none.txt", text, re.MULTILINE), text
    assert re.search(r"^DIR/policy.yaml:5: .*'hst'.*did you mean 'host'", text, re.MULTILINE), text
    assert re.search(r"^DIR/page.html:2: error: unknown macro {uri}", text, re.MULTILINE), text
    assert re.search(
        r"^DIR/icapd.yaml:4: error: tls: certificate and key do not serve", text, re.MULTILINE
    ), text


@needs_squid
def test_squid_reads_its_fragment(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    (directory / "icapd.yaml").write_text(SMALLEST + "squid:\n  certgen: /none\n  origin_ca: none.pem\n")
    gone = "cannot be read: No such file or directory"
    status, _, findings = check(directory, capsys)
    assert status == 1
    assert findings == [
        f"DIR/icapd.yaml:5: error: squid.origin_ca: DIR/none.pem {gone}",
        f"DIR/icapd.yaml:3: error: squid.ca: DIR/ca/bump.pem {gone}; `icapd ca create` makes it",
        "DIR/icapd.yaml:4: error: squid.certgen: /none is not a program that can be run",
    ]
    (directory / "icapd.yaml").write_text(SMALLEST)
    ca = make_bump_ca(directory / "ca", name="test", now=datetime.now(UTC))
    assert check(directory, capsys)[::2] == (0, [])
    ca.pem.unlink()
    ca.pem.write_text("not PEM\n")
    status, _, findings = check(directory, capsys)
    assert status == 1
    assert findings
    assert all(line.startswith("DIR/icapd.yaml: error: Squid says of its fragment: ") for line in findings)


def test_check_needs_no_write_access(directory: Path) -> None:
    before = sorted(directory.rglob("*"))
    assert main(["check", "-c", str(directory / "icapd.yaml")]) == 0
    assert sorted(directory.rglob("*")) == before


FAULTY = """\
lists:
  unused: {domains: [unused]}
bypass:
  - {name: free, when: {method: [CONNECT]}}
access:
  - {name: loop, when: {host: [a.example]}, action: {redirect: "http://w.a.example/"}}
"""


def test_findings_have_a_level_a_reason_a_remedy_and_a_command(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "unused").write_text("b.example\nx y z\n")
    (directory / "policy.yaml").write_text(FAULTY)
    status, out, found = check(directory, capsys)
    assert status == 1  # a redirect in a circle is an error
    assert "# list unused: 1 entries, 1 lines ignored" in out
    assert [line.split(" — ")[0] for line in found if not line.startswith(" ")] == [
        "DIR/policy.yaml:2: warning: list 'unused' is used by no rule",
        "DIR/policy.yaml:2: note: list 'unused': 1 lines ignored, 1 entries taken",
        "DIR/policy.yaml:4: warning: bypass rule 'free' opens tunnels unscanned",
        "DIR/policy.yaml:6: error: rule 'loop' redirects in a circle",
    ]
    assert "    icapd explain -c DIR/icapd.yaml --at 2026-01-05T10:00+00:00 CONNECT some.example:443" in found


def test_warnings_count_where_it_is_strict(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = directory / "policy.yaml"
    policy.write_text("bypass:\n  - {name: free, when: {method: [CONNECT]}}\n")
    assert main(["check", "-c", str(policy)]) == 0
    assert main(["check", "--strict", "-c", str(policy)]) == 1
    assert main(["check", "--strict", "--no-squid", "-c", str(directory / "icapd.yaml")]) == 1
    policy.write_text(POLICY)
    capsys.readouterr()
    assert main(["check", "--strict", "-c", str(policy)]) == 0
    assert capsys.readouterr() == ("", "")


def test_findings_as_an_object(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "unused").write_text("b.example\n")
    (directory / "policy.yaml").write_text(FAULTY)
    assert main(["check", "--json", "-c", str(directory / "icapd.yaml")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in found["findings"]] == ["unused-list", "bypasses-connect", "redirect-loop"]
    assert found["findings"][1]["explain"].startswith("icapd explain -c ")
    assert (found["lists"][0]["name"], found["lists"][0]["entries"]) == ("unused", 1)
    (directory / "policy.yaml").write_text("acces: []\n")
    assert main(["check", "--json", "-c", str(directory / "icapd.yaml")]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["line"] == 1


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "icapd policy"


@pytest.mark.parametrize("name", ["school", "company", "guest", "kiosk", "five-rules"])
def test_the_examples_are_clean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with as_file(shared("rules", "examples", f"{name}.yaml")) as file:
        assert main(["check", "--strict", "-c", str(file)]) == 0
    assert capsys.readouterr().err == ""


def bumping(directory: Path, days: int) -> list[str]:
    make_bump_ca(directory / "ca", name="Test", now=datetime.now(UTC), days=days, key="ec")
    (directory / "db").mkdir(mode=0o755)
    (directory / "db/index.txt").touch(0o644)
    (directory / "policy.yaml").write_text("access: []\n")
    (directory / "icapd.yaml").write_text(
        "listen: ['icap://127.0.0.1:1344']\npolicy: policy.yaml\nsquid: {ssl_db: db}\n"
    )
    return ["check", "--no-squid", "-c", str(directory / "icapd.yaml")]


def test_an_old_ca_and_an_open_database_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = bumping(tmp_path, 20)
    assert main(command) == 0
    err = capsys.readouterr().err
    assert re.search(
        r"icapd.yaml:3: warning: squid.ca: .*bump.pem: ends in 19 days; `icapd ca renew` now", err
    )
    assert "db: others can read it (mode 0755); chmod 0700 it" in err
    assert "index.txt: others can read it (mode 0644); chmod 0600 it" in err
    (tmp_path / "ca/bump.pem").chmod(0o640)
    assert main(command) == 1
    assert "error: squid.ca: " in capsys.readouterr().err
