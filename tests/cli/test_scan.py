"""`icapd scan`: real scanners on real files, in a process of its own since a reactor runs once."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.clam import eicar

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("yara")

CONFIG = """\
listen: ["icap://127.0.0.1:0"]
policy: policy.yaml
adapters:
  - yara: {rules: [eicar.yar]}
content: {max_body: 1000000}
"""
POLICY = """\
lists:
  stolen: {domains: [stolen.txt], threat: phishing}
bypass:
  - {name: own files, when: {host: [own.example]}}
access:
  - {name: no toys, when: {host: [toys.example]}, action: block}
protection:
  - name: reports may have macros
    when: {file_name: ["*.docm"]}
    scan: {macro: skip}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "icapd.yaml").write_text(CONFIG)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "stolen.txt").write_text("bank-login.example\n")
    (tmp_path / "eicar.yar").write_text(
        f"rule test_eicar {{ strings: $a = {{ {eicar().hex()} }} condition: $a at 0 }}\n"
    )
    files = tmp_path / "files"
    (files / "below").mkdir(parents=True)
    (files / "page.txt").write_text("an ordinary page\n")
    (files / "below" / "evil.com").write_bytes(eicar())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/evil.com", eicar())
    (files / "mail.zip").write_bytes(packed.getvalue())
    return tmp_path


def scan(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "icapd", "scan", "-c", str(folder / "icapd.yaml"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_is_scanned_whole_and_what_was_found_is_told(folder: Path) -> None:
    done = scan(folder, str(folder / "files"))
    assert done.returncode == 1, done.stderr
    assert done.stdout.replace(str(folder), "DIR").splitlines() == [
        "BLOCK    DIR/files/mail.zip",
        "         malware: test_eicar in in/evil.com (yara)",
        "BLOCK    DIR/files/below/evil.com",
        "         malware: test_eicar (yara)",
    ]
    assert done.stderr == "3 scanned, 2 would not pass\n"


def test_clean_files_give_no_word_and_status_0(folder: Path) -> None:
    done = scan(folder, str(folder / "files" / "page.txt"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "1 scanned, 0 would not pass\n")


def test_json_tells_all_in_the_order_given(folder: Path) -> None:
    files = folder / "files"
    done = scan(folder, "--json", str(files / "page.txt"), str(files / "below" / "evil.com"))
    assert done.returncode == 1
    clean, evil = objects(done)
    assert clean == {
        "path": str(files / "page.txt"),
        "verdict": "clean",
        "threats": [],
        "action": "allow",
        "findings": [],
        "errors": [],
        "stage": "default",
        "rule": None,
    }
    assert evil["verdict"] == "malware"
    assert evil["threats"] == ["test_eicar"]
    assert (evil["action"], evil["stage"], evil["rule"]) == ("block", "default_protection", None)
    assert evil["findings"] == [{"kind": "malware", "threat": "test_eicar", "by": "yara", "where": ""}]


def test_declared_types_and_urls_count(folder: Path) -> None:
    page = str(folder / "files" / "page.txt")
    program = folder / "files" / "tool.bin"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    (lie,) = objects(scan(folder, "--json", "--mime", "image/png", str(program)))
    assert (lie["verdict"], lie["threats"], lie["action"]) == (
        "type_mismatch",
        ["type:application/x-executable"],
        "allow",  # skipped unless the policy says otherwise
    )
    (phish,) = objects(scan(folder, "--json", "--url", "https://www.bank-login.example/x", page))
    assert (phish["verdict"], phish["action"], phish["stage"]) == ("phishing", "block", "default_protection")
    (toys,) = objects(scan(folder, "--json", "--url", "https://toys.example/x", page))
    assert (toys["verdict"], toys["action"], toys["rule"]) == ("clean", "block", "no toys")
    evil = str(folder / "files" / "below" / "evil.com")
    own = scan(folder, "--json", "--url", "https://own.example/x", evil)
    assert (objects(own)[0]["action"], own.returncode) == ("bypass", 0)


def test_a_batch_gives_heads_with_each_file(folder: Path) -> None:
    coded = folder / "coded"
    coded.write_bytes(gzip.compress(eicar()))
    lines: list[dict[str, Any]] = [
        {
            "id": 1,
            "file": str(coded),
            "uri": "http://a.example/x",
            "response": {"headers": [["Content-Encoding", "gzip"]]},
        },
        {"id": 2, "file": str(folder / "files" / "page.txt")},
        {"id": 3, "file": str(folder / "missing")},
    ]
    done = scan(folder, "--batch", given="\n".join(map(json.dumps, lines)))
    assert done.returncode == 1
    first, second, third = objects(done)
    assert (first["id"], first["verdict"]) == (1, "malware")
    assert (second["id"], second["verdict"]) == (2, "clean")
    assert third == {
        "id": 3,
        "path": str(folder / "missing"),
        "verdict": "error",
        "threats": [],
        "action": "error",
        "error": "no such file",
    }


def test_what_is_no_job_is_one_clear_line(folder: Path) -> None:
    done = scan(folder, "--batch", given='{"id": 1}\n')
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "icapd: line 1: `file` is missing (see `icapd scan --help`)"
    assert scan(folder).returncode == 2
    assert scan(folder, "--batch", "x").returncode == 2


def test_a_file_beyond_the_limit_is_not_read_and_follows_the_policy(folder: Path) -> None:
    large = folder / "large"
    with large.open("wb") as file:
        file.truncate(2_000_000)
    (found,) = objects(scan(folder, "--json", str(large)))
    assert (found["verdict"], found["action"]) == ("too_large", "allow")
    assert found["threats"] == ["2000000 bytes"]


def test_a_pipe_holds_nothing_up(folder: Path) -> None:
    os.mkfifo(folder / "files" / "pipe")
    done = scan(folder, "--json", str(folder / "files" / "pipe"))
    assert objects(done)[0]["error"] == "not a regular file"
    assert done.returncode == 1
