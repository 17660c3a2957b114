"""`icapd test`: an administrator's own tests, all failures with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from icapd.cli.main import main
from icapd.data import shared

POLICY = "access:\n  - {name: bad, when: {host: [bad.example]}, action: block}\n"
TESTS = """\
tests:
  - {name: bad is blocked, request: GET http://bad.example/, expect: block, rule: bad}
  - name: good is blocked
    request: GET http://good.example/
    expect: block
  - {name: bad by another, request: "CONNECT bad.example:443", expect: block, rule: other}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "p.test.yaml").write_text(TESTS)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    status = main(["test", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out.replace(str(folder), "DIR"), err.replace(str(folder), "DIR")


def test_failures_have_their_line_and_a_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, folder, folder / "p.test.yaml")
    assert (status, err) == (1, "")
    assert out == (
        "DIR/p.test.yaml:3: good is blocked\n"
        "    action: block expected, allow came\n"
        "    | ALLOW  GET http://good.example/\n"
        "    |   rule       none matched\n"
        "    |   user gets  what the server answers; icapd is asked again about the response\n"
        "    | \n"
        "    | asked for the request (REQMOD):\n"
        "    |   no       access: bad (DIR/p.yaml:2)\n"
        "    |            no       host bad.example; is good.example\n"
        "DIR/p.test.yaml:6: bad by another\n"
        "    rule: other expected, bad came\n"
        "    | BLOCK  CONNECT bad.example:443\n"
        "    |   rule       bad (access, DIR/p.yaml:2)\n"
        "    |   user gets  the block page, inside the tunnel; the server is not contacted\n"
        "    |   browser    the block page (403), inside the tunnel\n"
        "    |   certified  the bump CA's\n"
        "    |   server     is not contacted\n"
        "    | \n"
        "    | asked for the tunnel (CONNECT):\n"
        "    |   yes      access: bad (DIR/p.yaml:2)\n"
        "    |            yes      host bad.example; is bad.example\n"
        "1 passed, 2 failed\n"
    )


def test_passing_is_short(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "p.test.yaml").write_text("\n".join(TESTS.splitlines()[:2]))
    assert run(capsys, folder, folder / "p.test.yaml") == (0, "1 passed, 0 failed\n", "")
    status, out, _ = run(capsys, folder, "-v", folder / "p.test.yaml")
    assert (status, out) == (0, "ok    bad is blocked\n1 passed, 0 failed\n")


def test_another_policy_or_an_icapd_yaml_can_be_tested(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "all.yaml").write_text("access: [{name: other, action: block}]\n")
    assert run(capsys, folder, "-c", folder / "all.yaml", folder / "p.test.yaml")[1].endswith(
        "2 passed, 1 failed\n"
    )
    (folder / "icapd.yaml").write_text('listen: ["icap://127.0.0.1:0"]\npolicy: p.yaml\n')
    assert run(capsys, folder, "-c", folder / "icapd.yaml", folder / "p.test.yaml")[0] == 1


def test_what_cannot_be_run_is_two(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.test.yaml").write_text("policy: p.yaml\ntests: [{request: GET}]\n")
    (folder / "gone.test.yaml").write_text("tests: [{request: GET http://a/, expect: allow}]\n")
    files = [folder / name for name in ("bad.test.yaml", "p.test.yaml", "gone.test.yaml", "none.test.yaml")]
    status, out, err = run(capsys, folder, *files)
    assert status == 2
    assert out.endswith("1 passed, 2 failed, 3 of the files could not be run\n")
    assert "icapd: DIR/bad.test.yaml:2: " in err
    assert "icapd: DIR/gone.yaml: cannot be read: No such file or directory\n" in err
    assert "icapd: DIR/none.test.yaml: cannot be read: No such file or directory\n" in err
    assert run(capsys, folder)[0] == 2


def test_the_shipped_policies_pass_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(shared("rules").glob("**/*.test.yaml"))  # type: ignore[attr-defined]  # a checkout's folder
    status, out, err = run(capsys, Path("/"), *files)
    assert (status, err) == (0, ""), out
    assert int(out.split()[0]) > 80


def test_users_are_known_as_icapd_yaml_names_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "p.yaml").write_text("access: [{name: kids, when: {group: [kids]}, action: block}]\n")
    (folder / "users.yaml").write_text("groups: {kids: [carol]}\n")
    (folder / "icapd.yaml").write_text(
        'listen: ["icap://127.0.0.1:0"]\npolicy: p.yaml\n'
        "users: {file: users.yaml, header: X-User, encoding: base64}\n"
    )
    (folder / "p.test.yaml").write_text(
        "policy: icapd.yaml\ntests:\n"
        "  - {request: GET http://a.example/, user: carol, expect: block}\n"
        "  - {request: GET http://a.example/, user: dave, expect: allow}\n"
    )
    assert run(capsys, folder, folder / "p.test.yaml") == (0, "2 passed, 0 failed\n", "")
