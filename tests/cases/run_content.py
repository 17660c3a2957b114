#!/usr/bin/env python3
"""Run a deck of message bodies through a running icapd that scans: each body one ICAP transaction.

    python tests/cases/run_content.py DIR [--without clamd|yara] [--icapd PROGRAM] [--only REGEX] [-v]

DIR (or a zip of it) holds `index.jsonl`, the files it names, and optionally `lab_clamdb/` (signatures for a
clamd that is started here) and `lab.yar` (YARA rules). A line: {id, file, mode: REQMOD|RESPMOD, method, uri,
status, headers (a second field of a name is "Name#2"), expect, also_acceptable}. `expect` is a class:

    infected  macro  encrypted  unscannable  corrupt  limit  partial  suspicious  clean  type:MEDIA/TYPE

The policy blocks every kind of finding, so that each shows. What was found is read from the decision
log; the class of an answer is that of the worst. A body of another class than `clean` must also be blocked,
by a page or by a cut, and a clean one must come back as it went. Nothing of icapd is imported: only
its command line and its port are used. Prints each failing id and why, and ends with `N passed, M failed`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Case = dict[str, Any]

PREVIEW = 1024
MAX_204 = 65535  # Squid offers 204 only for a body it keeps a copy of
KINDS = (
    "malware",
    "phishing",
    "malicious_url",
    "macro",
    "encrypted",
    "unscannable",
    "limit",
    "too_large",
    "partial",
    "type_mismatch",
    "active_content",
    "stream",
)
CLASSES = {
    "malware": "infected",
    "too_large": "limit",
    "active_content": "suspicious",
}
SAME = {"corrupt": "unscannable"}  # content that is broken is content nobody can see into
_CLAMD = """LocalSocket {folder}/clamd.sock
DatabaseDirectory {database}
TemporaryDirectory {folder}
Foreground yes
LogTime no
LogFile {folder}/clamd.log
MaxThreads 12
StreamMaxLength 25M
AlertExceedsMax yes
"""
_SECONDS = 60.0


# --- Asking over ICAP ------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """How the message came back. `body` None: unchanged (204); `cut`: its end never came."""

    status: int
    http: bytes
    body: bytes | None
    cut: bool = False

    @property
    def blocked(self) -> bool:
        return self.cut or (self.body is not None and self.http.startswith(b"HTTP/1.1 403"))


def chunked(data: bytes, size: int = 16384) -> bytes:
    return b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (data[at : at + size] for at in range(0, len(data), size))
    )


def heads_of(case: Case, size: int) -> tuple[bytes, bytes]:
    """The encapsulated request and response head; the latter b"" for an upload."""
    fields = [f"{name.partition('#')[0]}: {value}" for name, value in case["headers"].items()]
    length = (
        []
        if any(field.lower().startswith("content-length:") for field in fields)
        else [f"Content-Length: {size}"]
    )
    host = re.match(r"https?://([^/]+)", case["uri"])
    request = [f"{case['method']} {case['uri']} HTTP/1.1", f"Host: {host[1] if host else ''}"]
    if case["mode"] == "REQMOD":
        return _head([*request, *fields, *length]), b""
    return _head(request), _head([f"HTTP/1.1 {case['status']} OK", *fields, *length])


def _head(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Link:
    """One connection, one transaction."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._data = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            more = self._socket.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        found, _, self._data = self._data.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            more = self._socket.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        found, self._data = self._data[:size], self._data[size:]
        return found

    def body(self) -> bytes:
        """Read chunks to the last one. Raises EOFError with what came if it never does."""
        out = []
        try:
            while size := int(self.until(b"\r\n").partition(b";")[0], 16):
                out.append(self.exactly(size))
                self.exactly(2)
        except (EOFError, ConnectionError):
            raise EOFError(b"".join(out)) from None
        return b"".join(out)

    def close(self) -> None:
        self._socket.close()


def ask(port: int, case: Case, data: bytes) -> Answer:
    """Send one message and read its answer."""
    link = Link(port)
    request, response = heads_of(case, len(data))
    service = case["mode"].lower()
    at = f"req-hdr=0, {'' if not response else f'res-hdr={len(request)}, '}"
    kind = ("res" if response else "req") if data else "null"
    allow = "204, 206, trailers" if len(data) <= MAX_204 else "206, trailers"
    preview = f"Preview: {min(PREVIEW, len(data))}\r\n"
    head = (
        f"{case['mode']} icap://127.0.0.1:{port}/{service} ICAP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
        f"Encapsulated: {at}{kind}-body={len(request) + len(response)}\r\n{preview}"
        f"Allow: {allow}\r\nX-Client-IP: 192.0.2.1\r\nX-Client-Username: {case['id']}\r\n\r\n"
    ).encode()
    message = head + request + response
    try:
        whole = len(data) <= PREVIEW
        link.send(
            message
            + (chunked(data[:PREVIEW]) + (b"0; ieof\r\n\r\n" if whole else b"0\r\n\r\n") if data else b"")
        )
        status, lines = _status(link)
        if status == 100:
            with ThreadPoolExecutor(1) as pool:  # it may answer before it has read all
                sending = pool.submit(_quietly, link.send, chunked(data[PREVIEW:]) + b"0\r\n\r\n")
                status, lines = _status(link)
                answer = _answer(link, status, lines)
                sending.result(_SECONDS)
                return answer
        return _answer(link, status, lines)
    finally:
        link.close()


def _quietly(send: Any, data: bytes) -> None:
    with contextlib.suppress(OSError):
        send(data)


def _status(link: Link) -> tuple[int, list[str]]:
    lines = link.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    return int(lines[0].split(" ")[1]), lines


def _answer(link: Link, status: int, lines: list[str]) -> Answer:
    if status != 200:
        return Answer(status, b"", None)
    layout = next(line.partition(":")[2] for line in lines if line.lower().startswith("encapsulated:"))
    parts = dict(part.strip().split("=") for part in layout.split(","))
    *_, (last, size) = parts.items()
    http = link.exactly(int(size))
    if last == "null-body":
        return Answer(status, http, b"")
    try:
        return Answer(status, http, link.body())
    except EOFError as error:
        return Answer(status, http, error.args[0] if error.args else b"", cut=True)


# --- Judging ---------------------------------------------------------------------------------


def class_of(findings: list[dict[str, str]], unscanned: bool) -> str:
    """The class of the worst finding."""
    if not findings:
        return "unscannable" if unscanned else "clean"
    worst = min(findings, key=lambda finding: KINDS.index(finding["kind"]))
    if worst["kind"] == "type_mismatch":
        return str(worst["threat"])
    return CLASSES.get(worst["kind"], worst["kind"])


def problems_of(case: Case, data: bytes, answer: Answer, line: dict[str, Any] | None) -> list[str]:
    """What is wrong with the answer to a case."""
    if line is None:
        return [f"no decision was recorded (ICAP status {answer.status})"]
    findings = line.get("findings") or []
    found = class_of(findings, bool(line.get("unscanned")))
    accepted = {case["expect"], *(case.get("also_acceptable") or ())}
    accepted |= {SAME[name] for name in accepted & set(SAME)}
    problems = []
    if found not in accepted:
        told = ", ".join(f"{each['kind']} {each['threat']!r}" for each in findings)
        problems.append(f"{found}, not {case['expect']} ({told or 'nothing found'})")
    if (found != "clean") is not answer.blocked:
        problems.append(f"found {found}, and {'blocked' if answer.blocked else 'let through'}")
    if not answer.blocked and answer.body is not None and answer.body != data:
        problems.append("what came back is not what went")
    return problems


# --- The parts that run ----------------------------------------------------------------------


@contextlib.contextmanager
def started(command: list[str], ready: Any, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program, from when `ready()` says so until the end of the block; ended by its pid."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + _SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(
                        f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}"
                    )
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def clamd(database: Path, folder: Path) -> contextlib.AbstractContextManager[Any]:
    """A clamd with the signatures of `database`, on folder/clamd.sock."""
    program = shutil.which("clamd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        raise SystemExit("clamd is not installed; --without clamd goes on without it")
    config = folder / "clamd.conf"
    config.write_text(_CLAMD.format(folder=folder, database=database.resolve()))

    def ready() -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.connect(str(folder / "clamd.sock"))
            link.sendall(b"zPING\0")
            return link.recv(16).startswith(b"PONG")
        return False

    return started([program, "-c", str(config)], ready, folder / "clamd.out")


def configured(deck: Path, folder: Path, without: set[str]) -> list[dict[str, Any]]:
    """Write icapd's configuration; return its adapters."""
    adapters: list[dict[str, Any]] = []
    if (deck / "lab_clamdb").is_dir() and "clamd" not in without:
        adapters.append({"clamd": {"socket": str(folder / "clamd.sock")}})
    if (deck / "lab.yar").is_file() and "yara" not in without:
        adapters.append({"yara": {"rules": [str((deck / "lab.yar").resolve())]}})
    config = {
        "listen": ["icap://127.0.0.1:0"],
        "policy": "policy.yaml",
        "decisions": "decisions.log",
        "control": "control.sock",
        "adapters": adapters,
    }
    (folder / "icapd.yaml").write_text(json.dumps(config))  # JSON is YAML
    (folder / "policy.yaml").write_text(json.dumps({"default_protection": dict.fromkeys(KINDS, "block")}))
    return adapters


@contextlib.contextmanager
def icapd(program: list[str], folder: Path) -> Iterator[int]:
    """A running icapd; gives its port."""
    log = folder / "icapd.out"

    def port() -> int:
        match = re.search(r"icapd: ready on icap://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
        return int(match[1]) if match else 0

    with started([*program, "serve", "-c", str(folder / "icapd.yaml")], port, log):
        yield port()


def decisions(folder: Path) -> dict[str, dict[str, Any]]:
    """What was recorded, by case."""
    lines = (folder / "decisions.log").read_text().splitlines()
    return {str(line["user"]): line for line in map(json.loads, lines) if "event" not in line}


@contextlib.contextmanager
def opened(deck: Path) -> Iterator[Path]:
    """The folder of a deck, unpacked where it is a zip."""
    if deck.is_dir():
        yield deck
        return
    with tempfile.TemporaryDirectory(prefix="deck-") as folder, zipfile.ZipFile(deck) as packed:
        packed.extractall(folder)
        found = next(Path(folder).rglob("index.jsonl"))
        yield found.parent


def run(deck: Path, program: list[str], without: set[str], only: str = "") -> dict[str, list[str]]:
    """Run a deck; return what is wrong with each of its cases."""
    cases = [json.loads(line) for line in (deck / "index.jsonl").read_text().splitlines() if line.strip()]
    cases = [case for case in cases if re.search(only, case["id"])]
    bodies = {case["id"]: (deck / case["file"]).read_bytes() for case in cases}
    answers: dict[str, Answer] = {}
    with tempfile.TemporaryDirectory(prefix="content-") as name:
        folder = Path(name)
        adapters = configured(deck, folder, without)
        with contextlib.ExitStack() as stack:
            if any("clamd" in adapter for adapter in adapters):
                stack.enter_context(clamd(deck / "lab_clamdb", folder))
            port = stack.enter_context(icapd(program, folder))
            for case in cases:
                answers[case["id"]] = ask(port, case, bodies[case["id"]])
        recorded = decisions(folder)
    return {
        case["id"]: problems_of(case, bodies[case["id"]], answers[case["id"]], recorded.get(case["id"]))
        for case in cases
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a deck of message bodies through icapd.")
    parser.add_argument("deck", type=Path, help="folder with index.jsonl, or a zip of it")
    parser.add_argument("--without", action="append", default=[], choices=["clamd", "yara"])
    parser.add_argument("--icapd", help="the program to run (default: this Python's -m icapd)")
    parser.add_argument("--only", default="", help="regex of case ids")
    parser.add_argument("-v", "--verbose", action="store_true", help="show passing cases too")
    options = parser.parse_args()
    program = [options.icapd] if options.icapd else [sys.executable, "-m", "icapd"]
    with opened(options.deck) as deck:
        results = run(deck, program, set(options.without), options.only)
    for name, problems in results.items():
        if problems or options.verbose:
            print(f"{'FAIL' if problems else 'ok  '} {name} {'; '.join(problems)}".rstrip())
    count = Counter(bool(problems) for problems in results.values())
    print(f"{count[False]} passed, {count[True]} failed")
    return 1 if count[True] or not results else 0


if __name__ == "__main__":
    sys.exit(main())
