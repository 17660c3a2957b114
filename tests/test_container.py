"""The container file: nobody's, on a read-only root, with a health check; its configuration serves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.cli.main import main
from icapd.config import load_config

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "container"
LINES = re.sub(r"\\\n\s*", "", (FOLDER / "Containerfile").read_text()).splitlines()


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_it_is_nobody_s_and_looked_after() -> None:
    assert instructions("USER") == ["65534:65534"]
    assert instructions("HEALTHCHECK") == [
        '--interval=10s --timeout=5s --start-period=60s CMD ["icapd", "ping"]'
    ]
    assert instructions("ENTRYPOINT") + instructions("CMD") == ['["icapd"]', '["serve"]']


def test_what_it_copies_is_there() -> None:
    for copied in instructions("COPY"):
        if not copied.startswith("--from"):
            for name in copied.split()[:-1]:
                assert (ROOT / name).exists(), name


def test_its_configuration_loads_and_writes_below_tmp_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FOLDER / "icapd.yaml", tmp_path)
    (tmp_path / "policy").mkdir()
    shutil.copy(ROOT / "rules" / "default.yaml", tmp_path / "policy" / "policy.yaml")
    shutil.copytree(ROOT / "rules" / "lists", tmp_path / "policy" / "lists")
    config = load_config(tmp_path / "icapd.yaml")
    assert config.decisions is None
    assert {config.spool.directory, config.control.parent if config.control else None} == {Path("/tmp")}
    assert main(["check", "--quiet", "--no-squid", "-c", str(tmp_path / "icapd.yaml")]) == 0
    capsys.readouterr()
