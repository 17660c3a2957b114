"""Records at a real rsyslogd: over UDP, TCP and TLS, whatever becomes of the receiver, of icapd or of the log."""

from __future__ import annotations

import collections
import json
import os
import re
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icapd.events import collector
from icapd.events.collector import Feed
from icapd.events.formats import FORMATS
from icapd.events.rfc5424 import CUT
from icapd.events.syslog import Receiver, Sender, senders
from icapd.recording import SyslogOutput
from tests.certificates import make_certificate
from tests.rsyslog import RSYSLOGD, TLS, Rsyslog, until
from tests.server.working import Load, descendants
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icapd.events.follow import Position

SCHEMES = ["udp", "tcp", "tls"]
DEATHS = int(os.environ.get("ICAPD_TEST_RECEIVER_DEATHS", "2"))
needs_rsyslog = pytest.mark.skipif(
    RSYSLOGD is None or not TLS, reason="needs rsyslogd with its OpenSSL driver"
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for long between two tries."""
    monkeypatch.setattr(collector, "_BACKOFF", (0.02, 0.2))
    monkeypatch.setattr(collector, "POLL", 0.02)


class Log:
    """A decision log that grows."""

    def __init__(self, path: Path, source: str = "k3v7q2xa") -> None:
        self.path = path
        self.source = source
        self.seq = 0
        path.touch()

    def record(self, **more: Any) -> dict[str, Any]:
        self.seq += 1
        return {
            "time": "2023-11-14T22:13:20.250Z", "id": f"{self.source}-{self.seq:x}", "point": "reqmod",
            "method": "GET", "url": f"http://a.example/{self.seq}", "client": "192.0.2.1", "user": "Zoë",
            "action": "allow", "stage": "default", "rule": None, "source": None, "category": None,
            "status": 204, **more, "seq": self.seq,
        }  # fmt: skip

    def write(self, count: int = 1, **more: Any) -> list[str]:
        """Add records; return their ids."""
        records = [self.record(**more) for _ in range(count)]
        with self.path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        return [record["id"] for record in records]

    def lose(self, count: int) -> None:
        self.seq += count


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "decisions.log")


class Told:
    """What people were told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def has(self, text: str) -> bool:
        return any(text in line for _, line in self.lines)


@contextmanager
def fed(log: Log, output: collector.Output, told: Told | None = None) -> Iterator[Feed]:
    """Feed an output; when this ends, it has taken all, or could not."""
    feed = Feed(log.path, output, told or Told())
    thread = threading.Thread(target=feed.run)
    thread.start()
    try:
        yield feed
    finally:
        feed.stopping.set()
        thread.join(60)
        assert not thread.is_alive()


def begun(sender: Sender) -> None:
    """Wait until the sender knows from where on it is to miss nothing."""
    until(lambda: sender._arrived is not None, "no position")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    found = Rsyslog(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def tls_rsyslog(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Rsyslog]:
    found = Rsyslog(tmp_path, certificate=certificate[0], key=certificate[1], ca=certificate[0])
    found.start()
    yield found
    found.stop()


def receiver(
    scheme: str, port: int, certificate: tuple[Path, Path] | None = None, host: str = "127.0.0.1", **more: Any
) -> Receiver:
    """As icapd.yaml asks for it."""
    asked = {"to": f"{scheme}://{host}:{port}", **more}
    if scheme == "tls" and certificate is not None:
        asked |= {"ca": certificate[0], "certificate": certificate[0], "key": certificate[1]}
    return told_of(SyslogOutput.model_validate(asked))


def told_of(option: SyslogOutput) -> Receiver:
    """The receiver, as the collector is told of it."""
    return Receiver.read(json.loads(option.model_dump_json(warnings=False)))


def ids(rsyslog: Rsyslog) -> collections.Counter[str]:
    found = (re.search('id="([^"]*)"', line[4]) for line in rsyslog.lines())
    return collections.Counter(one[1] for one in found if one is not None)


@needs_rsyslog
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_record_arrives_once_and_a_restart_goes_on_where_it_was(
    scheme: str, log: Log, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    pair = certificate if scheme == "tls" else (None, None)
    rsyslog = Rsyslog(tmp_path, certificate=pair[0], key=pair[1], ca=pair[0])
    rsyslog.start()
    to = receiver(scheme, rsyslog.udp if scheme == "udp" else rsyslog.tcp, certificate)
    try:
        log.write(5)  # before there was this output
        sender = Sender(log.path, to)
        with fed(log, sender):
            begun(sender)
            first = log.write(1000)
        between = log.write(10)
        with fed(log, Sender(log.path, to)):
            last = log.write(500)
        until(lambda: rsyslog.count() >= 1510, "not all arrived", lambda: str(rsyslog.count()))
    finally:
        rsyslog.stop()
    assert ids(rsyslog) == collections.Counter([*first, *between, *last])
    assert [line[4].split('id="')[1].split('"')[0] for line in rsyslog.lines()] == [*first, *between, *last]


@needs_rsyslog
def test_head_and_text_in_every_format(log: Log, rsyslog: Rsyslog) -> None:
    every = [Sender(log.path, receiver("tcp", rsyslog.tcp, format=name), i) for i, name in enumerate(FORMATS)]
    quoted = log.record(action="block", rule='a "b" \\ ] c', threat="Eicar", url="http://a.example/?a=b|c")
    long = log.record(url="http://a.example/" + "x" * 20_000)
    expected: set[str] = set()
    for sender in every:
        with fed(log, sender):
            begun(sender)
            with log.path.open("a") as file:
                file.write(json.dumps(quoted) + "\n" + json.dumps(long) + "\n")
        text = FORMATS[sender._form.format](quoted).replace("\t", "#011")  # what rsyslog makes of tabs
        expected.add(text if text.isascii() else "\ufeff" + text)
    until(lambda: rsyslog.count() == 2 * len(FORMATS), "not all arrived")
    lines = rsyslog.lines()
    found = [line for line in lines if CUT not in line[5]]
    assert {line[5] for line in found} == expected
    assert {tuple(line[:4]) for line in found} == {("local0.crit", "icapd", "k3v7q2xa", "block")}
    assert found[0][4] == r'[icapd@32473 id="k3v7q2xa-1" seq="1" rule="a \"b\" \\ \] c"]'
    assert len([line for line in lines if CUT in line[5] and 'cut="1"' in line[4]]) == len(FORMATS)


@needs_rsyslog
def test_only_the_actions_that_were_asked_for_are_sent(log: Log, rsyslog: Rsyslog) -> None:
    to = receiver("tcp", rsyslog.tcp, actions=["block", "refuse"], facility="local5", format="kwts")
    sender = Sender(log.path, to)
    with fed(log, sender):
        begun(sender)
        log.write(500)
        blocked = log.write(1, action="block")
        log.write(3)
        blocked += log.write(1, action="refuse")
        log.write(200)
    until(lambda: rsyslog.count() == 2, "they did not arrive")
    assert ids(rsyslog) == collections.Counter(blocked)
    assert rsyslog.lines()[0][0] == "local5.warning"


@needs_rsyslog
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_receiver_that_is_down_misses_nothing(
    scheme: str, log: Log, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    pair = certificate if scheme == "tls" else (None, None)
    rsyslog = Rsyslog(tmp_path, certificate=pair[0], key=pair[1], ca=pair[0])
    to = receiver(scheme, rsyslog.udp if scheme == "udp" else rsyslog.tcp, certificate)
    told = Told()
    sender = Sender(log.path, to)
    with fed(log, sender, told):
        begun(sender)
        written = log.write(300)
        until(lambda: told.has("refused"), "it is not told")
        log.path.rename(log.path.with_suffix(".log.1"))
        written += log.write(300)
    rsyslog.start()
    try:
        with fed(log, Sender(log.path, to), told):
            written += log.write(100)
        until(lambda: rsyslog.count() >= 700, "not all arrived")
    finally:
        rsyslog.stop()
    assert ids(rsyslog) == collections.Counter(written)


@needs_rsyslog
@pytest.mark.parametrize(("scheme", "end"), [("tcp", "kill"), ("tls", "kill"), ("tls", "stop")])
def test_a_receiver_that_dies_under_load_misses_nothing(
    scheme: str, end: str, log: Log, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    pair = certificate if scheme == "tls" else (None, None)
    rsyslog = Rsyslog(tmp_path, certificate=pair[0], key=pair[1], ca=pair[0])
    rsyslog.start()
    sender = Sender(log.path, receiver(scheme, rsyslog.tcp, certificate))
    written: list[str] = []
    try:
        with fed(log, sender):
            begun(sender)
            for number in range(DEATHS):
                seen = rsyslog.count()
                written += log.write(2000)
                until(lambda seen=seen: rsyslog.count() > seen + 1000, f"too little of round {number}")  # type: ignore[misc]
                rsyslog.kill() if end == "kill" else rsyslog.stop()
                written += log.write(500)
                rsyslog.start()
            until(
                lambda: rsyslog.count() >= len(written) and set(ids(rsyslog)) >= set(written),
                "not all arrived",
            )
    finally:
        rsyslog.stop()
    found = ids(rsyslog)
    doubled = sum(found.values()) - len(found)
    print(f"{scheme}, {end}: {len(written)} records, {len(found)} arrived, {doubled} of them again")
    assert set(found) == set(written)
    assert sender.lost == 0


@needs_rsyslog
def test_a_receiver_that_stands_still_delays_nobody_else(log: Log, rsyslog: Rsyslog, tmp_path: Path) -> None:
    other = Rsyslog(tmp_path.joinpath("other"))
    other.start()
    try:
        still, well = (Sender(log.path, receiver("tcp", one.tcp)) for one in (rsyslog, other))
        with fed(log, still), fed(log, well):
            until(lambda: still._arrived is not None and well._arrived is not None, "no position")
            os.kill(rsyslog.pid, signal.SIGSTOP)
            written: list[str] = []
            while len(written) < 4000:
                written += log.write(1000, url="http://a.example/" + "x" * 2000)
            until(lambda: other.count() == len(written), "the other is late")
            assert rsyslog.count() == 0
            os.kill(rsyslog.pid, signal.SIGCONT)
            until(lambda: rsyslog.count() == len(written), "it did not go on")
    finally:
        other.stop()
    assert ids(rsyslog) == ids(other) == collections.Counter(written)


class Resetting:
    """A receiver of TCP that takes some bytes and resets, a number of times; then it takes all."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.data: list[bytes] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _ = self._server.accept()
            self.data.append(b"")
            while piece := connection.recv(20_000):
                self.data[-1] += piece
                if len(self.data) <= self._times:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    break
            connection.close()


def test_after_a_reset_sending_begins_where_all_is_sure_to_have_arrived(log: Log) -> None:
    resetting = Resetting(3)
    sender = Sender(log.path, receiver("tcp", resetting.port))
    with fed(log, sender):
        begun(sender)
        written = log.write(2000)
        until(lambda: written[-1].encode() in b"".join(resetting.data), "the last did not arrive")
    assert all(f'"{one}"'.encode() in b"".join(resetting.data) for one in written)
    for data in resetting.data:  # whole messages, each behind its length
        length, _, rest = data.partition(b" ")
        assert rest.startswith(b"<134>1 ")
        assert rest[int(length) :][:4].strip().isdigit() or len(rest) <= int(length)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"host": "localhost"}, "its certificate does not verify: Hostname mismatch"),
        ({"ca": None, "certificate": None, "key": None}, "its certificate does not verify: self-signed certificate"),
        ({"ca": "nothing.pem"}, "No such file"),
    ],
)  # fmt: skip
@needs_rsyslog
def test_a_receiver_whose_certificate_does_not_verify_gets_nothing(
    change: dict[str, Any], why: str, log: Log, tls_rsyslog: Rsyslog, certificate: tuple[Path, Path]
) -> None:
    host = change.pop("host", "127.0.0.1")
    asked = {
        "to": f"tls://{host}:{tls_rsyslog.tcp}", "ca": certificate[0], "certificate": certificate[0],
        "key": certificate[1],
    }  # fmt: skip
    told = Told()
    to = told_of(SyslogOutput.model_validate({**asked, **change}))
    with fed(log, Sender(log.path, to), told):
        log.write(1)
        until(lambda: told.has(why), f"not told: {told.lines}")
    assert tls_rsyslog.lines() == []


@needs_rsyslog
def test_a_receiver_that_asks_for_a_certificate_gets_nothing_without(
    log: Log, tls_rsyslog: Rsyslog, certificate: tuple[Path, Path]
) -> None:
    told = Told()
    bare = SyslogOutput.model_validate({"to": f"tls://127.0.0.1:{tls_rsyslog.tcp}", "ca": certificate[0]})
    sender = Sender(log.path, told_of(bare))
    with fed(log, sender, told):
        begun(sender)
        log.write(1)
        until(lambda: bool(told.lines), "not told")
    written = log.write(1)
    with fed(log, Sender(log.path, receiver("tls", tls_rsyslog.tcp, certificate))):
        pass
    until(lambda: tls_rsyslog.count() == 2, "not sent")
    assert written[0] in ids(tls_rsyslog)


def test_what_has_left_the_log_is_counted_and_told(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    resetting = Resetting(0)
    now = [0.0]
    sender = Sender(log.path, receiver("tcp", resetting.port), clock=lambda: now[0])
    with fed(log, sender):
        begun(sender)
        log.write(5)
        until(lambda: sender._count.as_json()["seen"] != {}, "not read")
        log.lose(7)  # written by icapd, and gone before it was read
        log.lose(3)
        with log.path.open("a") as file:
            file.write('{"time":"2023-11-14T22:13:20.250Z","event":"lost","count":3,"why":"disk full"}\n')
        log.write(1)
        until(lambda: sender._count.missing == 7, "not counted")
        until(lambda: sender._gap[0] == 7, "not seen")
        assert sender.lost == 0
        now[0] = 40.0
        until(lambda: sender.lost == 7, "not told")
    assert "7 records were gone from the log before they could be sent" in capsys.readouterr().err


def test_a_position_that_cannot_be_kept_is_told_of_once(
    log: Log, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resetting = Resetting(0)
    sender = Sender(log.path, receiver("tcp", resetting.port))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sender._file, "write", full)
    with fed(log, sender):
        begun(sender)
        written = log.write(100)
    assert all(f'"{one}"'.encode() in resetting.data[-1] for one in written)
    assert capsys.readouterr().err.count("No space left on device; records may be sent again") == 1


def test_lines_that_are_no_records_are_passed_over(log: Log) -> None:
    resetting = Resetting(0)
    sender = Sender(log.path, receiver("tcp", resetting.port))
    with fed(log, sender):
        begun(sender)
        with log.path.open("a") as file:
            file.write('{"time":"2023\n\n[1]\n{"time":1}\n')
        written = log.write(1)
    assert written[0].encode() in resetting.data[-1]


def test_receivers_are_told_apart(log: Log) -> None:
    asked = [
        {"to": "udp://[::1]", "actions": ["block"]},
        {"to": "tcp://h"},
        {"to": "tcp://h", "format": "cef"},
    ]
    options = [SyslogOutput.model_validate(one) for one in asked]
    found = senders(log.path, [json.loads(one.model_dump_json(warnings=False)) for one in options])
    assert [one.name for one in found] == ["syslog udp://[::1]", "syslog tcp://h", "syslog tcp://h"]
    assert found[0]._receiver == Receiver("udp://[::1]", "udp", "::1", 514, actions=("block",))
    assert len({one._file.path for one in found}) == 3


def test_a_sender_that_was_killed_sends_again_what_it_was_not_sure_of(log: Log) -> None:
    from icapd.events.follow import Follower

    resetting = Resetting(0)
    to = receiver("tcp", resetting.port)
    killed = Sender(log.path, to)
    assert killed.open() is None
    follower = Follower(log.path, at_end=True)
    follower.read()
    assert follower.position is not None
    killed.take([], follower.position)
    written = log.write(300)
    killed.take(follower.read(), follower.position)
    killed.rest()
    assert killed._wire is not None
    killed._wire.close()
    with fed(log, Sender(log.path, to)):
        pass
    assert all(f'"{one}"'.encode() in resetting.data[1] for one in written)


def test_a_line_has_its_position(log: Log) -> None:
    from icapd.events.follow import Follower
    from icapd.events.syslog import _positions

    log.write(50)
    follower = Follower(log.path)
    lines = follower.read()
    position = follower.position
    assert position is not None
    found: list[Position] = _positions(lines, position)
    again = Follower(log.path, found[20])
    assert again.read() == lines[20:]
    assert found[0].offset == 0
    assert _positions([], position) == [position]


@needs_rsyslog
def test_the_configuration_of_rsyslog_in_the_docs_is_good(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "logs.md"
    (text,) = re.findall(
        r"^```text\n# /etc/rsyslog.d/icapd.conf\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
    )
    for name, file in {"ca.pem": 0, "logs.example.pem": 0, "logs.example.key": 1}.items():
        text = text.replace(f"/etc/ssl/icapd/{name}", str(certificate[file]))
    conf = tmp_path / "rsyslog.conf"
    conf.write_text(f'global(workDirectory="{tmp_path}")\n{text}')
    assert RSYSLOGD is not None
    done = subprocess.run([RSYSLOGD, "-N1", "-f", conf], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower(), done.stderr


@needs_rsyslog
def test_icapd_sends_what_it_logs_though_its_collector_is_killed(
    tmp_path: Path, tls_rsyslog: Rsyslog, certificate: tuple[Path, Path]
) -> None:
    plain = Rsyslog(tmp_path / "plain")
    plain.start()
    chain, key = map(str, certificate)
    receivers: list[dict[str, Any]] = [
        {"to": f"tls://127.0.0.1:{tls_rsyslog.tcp}", "ca": chain, "certificate": chain, "key": key},
        {"to": f"tcp://127.0.0.1:{plain.tcp}", "format": "cef", "actions": ["allow"]},
    ]
    log = tmp_path / "decisions.log"
    try:
        with serving(tmp_path, options={"events": {"store": "off", "syslog": receivers}}) as served:
            until(lambda: len(list(tmp_path.glob("decisions.log.syslog-*"))) == 2, "no positions")
            before = log.read_bytes().count(b"\n")
            with Load(served.icap, clients=2, pause=0.001):
                until(lambda: plain.count() > 50, "nothing comes")
                for pid in descendants(served.pid):
                    if Path(f"/proc/{pid}/comm").read_text() == "icapd-collector\n":
                        os.kill(pid, signal.SIGKILL)
                seen = plain.count()
                until(lambda: plain.count() > seen + 50, "it does not go on")
        records = [json.loads(line) for line in log.read_bytes().splitlines()[before:]]
        decided = {record["id"] for record in records if "action" in record}
        until(lambda: set(ids(plain)) >= decided, "not all arrived")
        until(lambda: set(ids(tls_rsyslog)) >= decided, "not all arrived by TLS")
    finally:
        plain.stop()
    assert set(ids(plain)) == set(ids(tls_rsyslog)) == decided
