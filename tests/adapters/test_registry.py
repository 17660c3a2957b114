"""From `adapters:` to adapters: found by entry point, faults with file and line."""

import configparser
import sys
from pathlib import Path

import pytest

from icapd.adapters.registry import GROUP, SHIPPED, make_adapters
from icapd.config import load_config
from icapd.content.model import Shape
from icapd.errors import ConfigErrors
from tests.adapters.scanning import Bytes, policy_of, request, scanners
from tests.reactor import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "adapters" / "example"


def made(folder: Path, *entries: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    file = folder / "icapd.yaml"
    lines = ['listen: ["icap://127.0.0.1:1344"]', "policy: policy.yaml", "adapters:"]
    file.write_text("\n".join([*lines, *(f"- {entry}" for entry in entries)]) + "\n")
    return make_adapters(load_config(file))


def test_the_shipped_ones_are_entry_points() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    text = parser["options.entry_points"][GROUP]
    lines = (line.partition("=") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    assert {name.strip(): value.strip() for name, _, value in lines} == SHIPPED


def test_every_fault_is_told_with_its_line(tmp_path: Path) -> None:
    entries = ("clamdd", "clamd: {sockett: x}", "yara: {rules: [none.yar]}", "pyicap: {service: x}")
    with pytest.raises(ConfigErrors) as raised:
        made(tmp_path, *entries)
    name = tmp_path / "icapd.yaml"
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{name}:4: no adapter clamdd; did you mean clamd? Installed are clamd, pyicap, yara"
    assert lines[1].startswith(f"{name}:5: unknown key 'sockett'; did you mean 'socket'?")
    assert lines[2] == f"{name}:6: adapter yara: rules: no file {tmp_path}/none.yar"
    assert lines[3] == f"{name}:7: 'handler' is missing"


def test_paths_begin_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yar").write_text("rule a { condition: false }\n")
    [yara] = made(tmp_path, "yara: {rules: rules/*.yar, timeout: 5}")
    assert yara.adapter.tag.startswith("yara-")
    assert (yara.name, yara.on_error, yara.timeout) == ("yara", "closed", 6.0)


def test_the_example_of_the_guide_is_found_and_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.delitem(sys.modules, "hello", raising=False)
    entries = made(tmp_path, "hello: {word: EVIL}", "hello: {name: second, word: x, on_error: open}")
    one = scanners(policy_of(tmp_path), *entries)

    async def whole() -> tuple[str, ...]:
        await one.start()
        said = await one.scan(request(), Shape(), Bytes(b"an EVIL thing"))
        await one.stop()
        return tuple(found.by for found in said.findings)

    assert run(whole) == ("hello",)
    with pytest.raises(ConfigErrors, match="adapter hello: cannot be made: KeyError: 'word'"):
        made(tmp_path, "hello")


def test_the_guide_shows_the_example_as_it_is() -> None:
    assert (EXAMPLE / "hello.py").read_text().partition('"""\n\n')[2] in (
        ROOT / "docs/own-adapter.md"
    ).read_text()
