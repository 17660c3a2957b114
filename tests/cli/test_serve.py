"""What keeps `icapd serve` from starting is said in one line each, before anything was served."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POLICY = "access:\n  - {name: no casino, when: {host: [casino.example]}, action: block}\n"
SMALLEST = 'listen: ["icap://127.0.0.1:0"]\npolicy: policy.yaml\n'


def command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "icapd", "serve", "-c", str(directory / "icapd.yaml")]


def refusal(directory: Path, config: str, policy: str | None = POLICY) -> tuple[int, list[str]]:
    """Serve what cannot be served; return the exit status and the lines on standard error."""
    (directory / "icapd.yaml").write_text(config)
    if policy is not None:
        (directory / "policy.yaml").write_text(policy)
    done = subprocess.run(
        command(directory),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.replace(str(directory), "DIR").splitlines()


@pytest.mark.parametrize(
    ("config", "policy", "status", "lines"),
    [
        ("listen: [\n", POLICY, 2, [r"icapd: DIR/icapd.yaml:\d+: not YAML: .*"]),
        (
            SMALLEST + "lmits: {}\n",
            POLICY,
            2,
            ["icapd: DIR/icapd.yaml:3: unknown key 'lmits'; did you mean 'limits'.*"],
        ),
        (SMALLEST, None, 2, ["icapd: DIR/policy.yaml: cannot be read: No such file or directory"]),
        (
            SMALLEST,
            "lists: {ads: {domains: [none.txt]}}\naccess: [{name: x, when: {list: [ads]}, action: block}]\n",
            2,
            [r"icapd: DIR/policy.yaml:1: .*none\.txt.* cannot be read: No such file or directory"],
        ),
        (
            SMALLEST,
            "access:\n  - name: a\n    when: {hots: [x.example]}\n    action: block\n  - {acton: block}\n",
            2,
            [
                r"icapd: DIR/policy.yaml:3: unknown key 'hots'.*'host'.*",
                "icapd: DIR/policy.yaml:5: unknown key 'acton'.*",
            ],
        ),
        (
            SMALLEST + "page: none.html\n",
            POLICY,
            2,
            [r"icapd: DIR/none\.html: cannot be read: No such file.*"],
        ),
        (SMALLEST + "decisions: none/log\n", POLICY, 1, ["icapd: .*DIR/none/log: No such file or directory"]),
        (
            'listen: ["icaps://127.0.0.1:0"]\npolicy: policy.yaml\ntls: {certificate: c.pem, key: k.pem}\n',
            POLICY,
            1,
            [r"icapd: .*DIR/[ck]\.pem.*No such file or directory.*"],
        ),
    ],
)
def test_bad_input_is_one_line_each(
    tmp_path: Path, config: str, policy: str | None, status: int, lines: list[str]
) -> None:
    returned, found = refusal(tmp_path, config, policy)
    assert len(found) == len(lines), found
    for line, pattern in zip(found, lines, strict=True):
        assert re.fullmatch(pattern, line), line
    assert returned == status


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = refusal(tmp_path, f'listen: ["icap://127.0.0.1:{port}"]\npolicy: policy.yaml\n')
    assert (status, lines) == (
        1,
        [f"icapd: cannot listen on icap://127.0.0.1:{port}: Address already in use"],
    )


def test_it_says_when_it_is_ready_and_ends_well_at_sigterm(tmp_path: Path) -> None:
    (tmp_path / "icapd.yaml").write_text(SMALLEST)
    (tmp_path / "policy.yaml").write_text(POLICY)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True, env=environment) as served:
        assert served.stderr is not None
        assert re.fullmatch(r"icapd: ready on icap://127\.0\.0\.1:[1-9]\d*\n", served.stderr.readline())
        served.send_signal(signal.SIGTERM)
        assert served.wait(10) == 0
        assert served.stderr.read() == ""
