"""What the README shows works as it says."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from icapd.cli.main import COMMANDS, main
from icapd.config import load_config
from icapd.policy import load_policy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    return list(map(textwrap.dedent, found))


def test_the_configuration_and_the_policy_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, policy, scanning, users = blocks("yaml")
    (tmp_path / "users-icapd.yaml").write_text(config + scanning + users)
    all_of_it = load_config(tmp_path / "users-icapd.yaml")
    assert all_of_it.users.ldap is not None
    assert len(all_of_it.adapters) == 2
    (tmp_path / "icapd.yaml").write_text(config)
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "gambling.txt").write_text("casino.example\n")
    loaded = load_policy(load_config(tmp_path / "icapd.yaml").policy)
    assert loaded.digest
    explain = next(line for block in blocks("sh") for line in block.splitlines() if "icapd explain" in line)
    assert main([*shlex.split(explain, comments=True)[1:], "-c", str(tmp_path / "icapd.yaml")]) == 0
    assert blocks("text")[-1] in capsys.readouterr().out.replace(str(tmp_path), "/etc/icapd")


def test_commands_and_links_exist() -> None:
    named = set(re.findall(r"^ *icapd ([a-z-]+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    for script in re.findall(r"^(\w+/\w+)", README, re.MULTILINE):
        assert (ROOT / script).exists(), script
