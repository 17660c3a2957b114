"""`icapd init` from nothing to what Squid accepts, again, dry, and back; the include line only on demand."""

from __future__ import annotations

import functools
import io
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icapd.cli.main import main
from icapd.pki import CERTGEN, make_bump_ca
from icapd.squid import parse_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_certgen = pytest.mark.skipif(not CERTGEN.exists(), reason="needs squid-openssl")
SQUID_CONF = """\
acl here src 127.0.0.1
http_access allow here
http_access deny all
http_port 3128
pid_filename none
access_log none
cache_log /dev/null
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "squid").mkdir()
    (tmp_path / "squid" / "squid.conf").write_text(SQUID_CONF)
    return tmp_path


def init(lab: Path, *more: str) -> int:
    folders = ["--dir", str(lab / "etc"), "--squid-dir", str(lab / "squid"), "--ssl-db", str(lab / "db")]
    return main(["init", *folders, "--listen", "icap://127.0.0.1:1344", *more])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): b"" if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_a_dry_run_shows_all_and_writes_nothing(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(lab)
    assert init(lab, "--dry-run") == 0
    out = capsys.readouterr().out
    assert tree(lab) == before
    for line in (
        f"+++ {lab}/etc/icapd.yaml",
        f"+++ {lab}/etc/lists/blocked.domains",
        f"# {lab}/etc/ca: a CA would be made, and Squid's certificate database",
        f"+++ {lab}/squid/icapd/icapd.conf",
        f"+include {lab}/squid/icapd/icapd.conf",
        "-http_port 3128",
    ):
        assert line in out.splitlines()


def test_only_the_files(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(lab, "--yes", "--files-only") == 0
    assert sorted(tree(lab / "etc")) == [
        ".icapd-init.json",
        "icapd.yaml",
        "lists/blocked.domains",
        "lists/private.domains",
        "policy.yaml",
    ]
    capsys.readouterr()
    assert main(["check", "-q", "--no-squid", "-c", str(lab / "etc" / "icapd.yaml")]) == 0


@needs_certgen
def test_all_of_it_again_and_back(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(lab)
    assert init(lab, "--yes", "--edit-squid") == 0
    made = tree(lab)
    assert (lab / "etc" / "ca").stat().st_mode & 0o777 == 0o700
    assert (lab / "squid" / "squid.conf.before-icapd").read_text() == SQUID_CONF
    assert parse_check(lab / "squid" / "squid.conf") == []
    capsys.readouterr()
    assert init(lab, "--yes", "--edit-squid") == 0
    assert not [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("written", "edited"))
    ]
    assert tree(lab) == made
    assert init(lab, "--undo", "--dry-run") == 0
    assert tree(lab) == made
    assert init(lab, "--undo", "--yes") == 0
    assert tree(lab) == before
    capsys.readouterr()
    assert init(lab, "--undo", "--yes") == 0
    assert capsys.readouterr().out.startswith("nothing to undo")


@needs_certgen
def test_what_squid_keeps_of_a_ca_goes_and_stays_with_it(lab: Path) -> None:
    before = tree(lab)
    assert init(lab, *ALL) == 0
    (lab / "db" / "index.txt").write_text("Squid was here\n")
    assert init(lab, "--undo", "--yes") == 0
    assert tree(lab) == before
    assert init(lab, *ALL) == 0
    (lab / "db" / "index.txt").write_text("Squid was here\n")
    (lab / "etc" / "ca" / "bump.pem").chmod(0o600)
    (lab / "etc" / "ca" / "bump.pem").write_text("another")
    assert init(lab, "--undo", "--yes") == 0
    assert {name.partition("/")[0] for name in tree(lab)} == {"db", "etc", "squid"}


@needs_certgen
def test_squid_conf_is_not_touched_by_yes_alone(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(lab, "--yes") == 0
    assert (lab / "squid" / "squid.conf").read_text() == SQUID_CONF
    assert f"include {lab}/squid/icapd/icapd.conf" in capsys.readouterr().out


@needs_certgen
def test_what_an_administrator_has_written_stays(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "etc").mkdir()
    mine = f'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\nsquid: {{ssl_db: {lab / "db"}}}\n'
    (lab / "etc" / "icapd.yaml").write_text(mine)
    assert init(lab, "--yes") == 0
    assert (lab / "etc" / "icapd.yaml").read_text() == mine
    assert f"kept      {lab}/etc/icapd.yaml" in capsys.readouterr().out
    (lab / "etc" / "policy.yaml").write_text("access: []\n")
    fragment = lab / "squid" / "icapd" / "icapd.conf"
    old = fragment.read_bytes()
    (lab / "etc" / "icapd.yaml").write_text(mine.replace("}", ", ports: [{address: 3129}]}"))
    assert init(lab, "--yes") == 0  # of ours, and made from icapd.yaml: follows it
    assert fragment.read_bytes() != old
    assert init(lab, "--undo", "--yes") == 0
    assert f"kept     {lab}/etc/policy.yaml: changed since" in capsys.readouterr().err
    assert sorted(tree(lab / "etc")) == [".icapd-init.json", "icapd.yaml", "policy.yaml"]


@needs_certgen
def test_an_edit_that_squid_complains_of_is_not_made(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fussy = lab / "fussy"
    fussy.write_text("#!/bin/sh\ncase $4 in *.icapd-init) echo 'FATAL: Bungled by the include';; esac\n")
    fussy.chmod(0o755)
    assert init(lab, "--yes", "--edit-squid", "--squid", str(fussy)) == 1
    assert "FATAL: Bungled by the include" in capsys.readouterr().err
    assert (lab / "squid" / "squid.conf").read_text() == SQUID_CONF
    assert sorted(path.name for path in (lab / "squid").iterdir()) == ["icapd", "squid.conf"]


@needs_certgen
def test_an_old_backup_is_not_written_over(lab: Path) -> None:
    (lab / "squid" / "squid.conf.before-icapd").write_text("mine")
    assert init(lab, "--yes", "--edit-squid") == 0
    assert (lab / "squid" / "squid.conf.before-icapd").read_text() == "mine"
    assert len(list((lab / "squid").glob("squid.conf.before-icapd.*"))) == 1


@pytest.mark.parametrize(
    ("answers", "made"),
    [
        ("n\n", []),
        ("y\nn\n", ["etc/icapd.yaml"]),
        pytest.param("y\ny\nn\n", ["etc/icapd.yaml", "etc/ca/bump.pem"], marks=needs_certgen),
        pytest.param(
            "y\ny\ny\n\n",
            ["etc/icapd.yaml", "etc/ca/bump.pem", "squid/icapd/icapd.conf"],
            marks=needs_certgen,
        ),
        pytest.param(
            "\n\n\ny\n",
            ["etc/icapd.yaml", "etc/ca/bump.pem", "squid/icapd/icapd.conf", "squid/squid.conf.before-icapd"],
            marks=needs_certgen,
        ),
    ],
)
def test_each_step_is_asked_for(
    lab: Path, monkeypatch: pytest.MonkeyPatch, answers: str, made: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
    init(lab)
    there = [
        name
        for name in (
            "etc/icapd.yaml",
            "etc/ca/bump.pem",
            "squid/icapd/icapd.conf",
            "squid/squid.conf.before-icapd",
        )
        if (lab / name).exists()
    ]
    assert there == made


def test_without_an_answer_nothing_happens(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    before = tree(lab)
    assert init(lab) == 130
    assert tree(lab) == before


def test_without_squid_s_programs_it_says_what_to_install(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lab / "etc").mkdir()
    (lab / "etc" / "icapd.yaml").write_text(
        f'listen: ["icap://127.0.0.1:1344"]\npolicy: p\nsquid: {{certgen: {lab}/none, ssl_db: {lab}/db}}\n'
    )
    assert init(lab, "--yes") == 0
    assert f"{lab}/none is missing: install squid-openssl" in capsys.readouterr().out
    assert not (lab / "squid" / "icapd").exists()


def test_a_link_to_squid_conf_stays_one(lab: Path) -> None:
    conf = lab / "squid" / "squid.conf"
    conf.rename(lab / "elsewhere.conf")
    conf.symlink_to("../elsewhere.conf")
    assert init(lab, "--yes", "--edit-squid", "--squid", "none") == 0
    assert conf.is_symlink()
    assert "include " in (lab / "elsewhere.conf").read_text()
    assert init(lab, "--undo", "--yes") == 0
    assert (conf.is_symlink(), conf.read_text()) == (True, SQUID_CONF)


def apart(
    call: Callable[[], int], *, user: int | None = None, killed_at: int | None = None
) -> tuple[int, int]:
    """Run `call` in a process of its own: as `user`, or killed before its `killed_at`th change of the disk.

    Returns its wait status and how many changes it came to.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        count = 0

        def look(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in CHANGES or (event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)):
                if count == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        sys.addaudithook(look)
        status = call()
        sys.stdout.flush()
        os.write(write, str(count).encode())
        os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    return os.waitpid(child, 0)[1], int(said or 0)


CHANGES = {
    "os.rename",
    "os.mkdir",
    "os.symlink",
    "os.link",
    "os.remove",
    "os.rmdir",
    "os.chmod",
    "subprocess.Popen",
}
ALL = ("--yes", "--edit-squid", "--squid", "none")


def fresh(tmp_path: Path, name: str) -> Path:
    """Return a lab of that name."""
    lab = tmp_path / name
    (lab / "squid").mkdir(parents=True)
    (lab / "squid" / "squid.conf").write_text(SQUID_CONF)
    return lab


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: each change is waited for until it is on the disk."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else tmp_path) as folder:
        yield Path(folder)


@needs_certgen
def test_whenever_it_is_killed_it_can_go_on_and_be_undone(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At many changes of the disk: the next run makes it whole, and undo leaves nothing, either way."""
    monkeypatch.setattr("icapd.cli.init.make_bump_ca", functools.partial(make_bump_ca, key="ec"))
    whole = fresh(memory, "whole")
    status, changes = apart(lambda: init(whole, *ALL))
    assert status == 0
    made = {name.replace("whole", "lab") for name in tree(whole)}
    tried = [*range(0, 40, 4), *range(40, changes - 40, 120), *range(changes - 40, changes, 4)]
    print(f"{changes} changes of the disk, killed at {len(tried)} of them")
    for step in tried:
        lab = fresh(memory, "lab")
        before = tree(lab)
        assert apart(functools.partial(init, lab, *ALL), killed_at=step)[0] == signal.SIGKILL
        shutil.copytree(lab, memory / "kept", symlinks=True)
        assert init(lab, *ALL) == 0, step
        assert set(tree(lab)) == made, step
        assert init(lab, "--undo", "--yes") == 0
        assert tree(lab) == before, step
        shutil.rmtree(lab)
        (memory / "kept").rename(lab)
        assert init(lab, "--undo", "--yes") == 0
        assert tree(lab) == before, f"undone at once, {step}"
        shutil.rmtree(lab)


@needs_certgen
def test_undo_can_be_killed_too(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icapd.cli.init.make_bump_ca", functools.partial(make_bump_ca, key="ec"))
    for step in (0, 1, 6, 60):
        lab = fresh(memory, "lab")
        before = tree(lab)
        assert init(lab, *ALL) == 0
        assert apart(functools.partial(init, lab, "--undo", "--yes"), killed_at=step)[0] == signal.SIGKILL
        assert tree(lab) != before
        assert init(lab, "--undo", "--yes") == 0
        assert tree(lab) == before, step
        shutil.rmtree(lab)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_may_not_is_told_and_changes_nothing(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in (lab, *lab.parents):
        if path != Path("/") and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    before = tree(lab)
    status, _ = apart(lambda: init(lab, *ALL), user=65534)
    assert os.waitstatus_to_exitcode(status) == 1
    assert "Permission denied; run it as root" in capfd.readouterr().err
    assert tree(lab) == before
    status, _ = apart(lambda: init(lab, "--dry-run"), user=65534)
    assert os.waitstatus_to_exitcode(status) == 0
