"""The adapter `yara`: rules, their faults, what they find."""

import os
from pathlib import Path
from typing import Any

import pytest

from icapd.adapters import yara as module
from icapd.adapters.yara import Yara
from icapd.errors import AdapterError, ConfigErrors
from icapd.verdicts import Kind
from tests.adapters.messages import message
from tests.reactor import run

RULE = 'rule evil { strings: $a = "EVIL" condition: $a }\n'


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    module._compiled.clear()


def yara_of(folder: Path, text: str = RULE, **options: Any) -> Yara:
    (folder / "a.yar").write_text(text)
    return Yara("yara", {"rules": [str(folder / "*.yar")], **options})


def test_every_item_is_scanned(tmp_path: Path) -> None:
    adapter = yara_of(tmp_path, kind="macro")
    with message(b"zip", inside=b"an EVIL thing", empty=b"") as one:
        verdict = run(lambda: adapter.scan(one))
    [found] = verdict.findings
    assert (found.kind, found.threat, found.where, found.by) == (Kind.MACRO, "evil", "inside", "yara")
    assert not verdict.error
    assert run(adapter.check) == "1 rules of 1 files"


def test_the_tag_changes_with_the_rules(tmp_path: Path) -> None:
    first = yara_of(tmp_path).tag
    assert yara_of(tmp_path).tag == first
    assert yara_of(tmp_path, RULE.replace("EVIL", "Evil")).tag != first


def test_faults_have_a_place(tmp_path: Path) -> None:
    (tmp_path / "b.yar").write_text("rule b {\n condition: $x }\n")
    (tmp_path / "c.yar").write_text('include "a.yar"\n')
    with pytest.raises(ConfigErrors) as raised:
        yara_of(tmp_path)
    first, second = str(raised.value).splitlines()
    assert first.startswith(f"{tmp_path}/b.yar:2: undefined string")
    assert second.startswith(f"{tmp_path}/c.yar:1: ")
    with pytest.raises(AdapterError, match="no file"):
        Yara("yara", {"rules": str(tmp_path / "*.yara")})


def test_compiled_rules_are_kept_unless_others_may_have_written_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yara_of(tmp_path)
    [kept] = (tmp_path / "cache" / "icapd" / "yara").glob("*.bin")
    compiled: list[int] = []
    compile_ = module._compile

    def counted(texts: Any) -> Any:
        compiled.append(1)
        return compile_(texts)

    monkeypatch.setattr(module, "_compile", counted)
    module._compiled.clear()
    yara_of(tmp_path)
    assert not compiled
    module._compiled.clear()
    os.chmod(kept, 0o666)  # noqa: PTH101
    yara_of(tmp_path)
    assert compiled
    kept.write_bytes(b"YARA garbage")
    kept.chmod(0o600)
    module._compiled.clear()
    yara_of(tmp_path)
    assert len(compiled) == 2


SLOW = "rule slow { condition: for all i in (0..2000000000) : ( for all j in (0..1000) : ( i + j >= 0 ) ) }\n"


def test_rules_that_take_too_long_are_an_error(tmp_path: Path) -> None:
    """A rule without an end: yara itself gives up after the seconds left, in its thread."""
    adapter = yara_of(tmp_path, SLOW, timeout=2.0)
    with message(b"anything") as one:
        verdict = run(lambda: adapter.scan(one))
    assert verdict.error == "not done within 2 s"
    assert verdict.findings == ()


def test_no_second_item_begins_when_the_time_is_up(tmp_path: Path) -> None:
    adapter = yara_of(tmp_path, timeout=0.5)  # yara counts whole seconds: none is left
    with message(b"EVIL") as one:
        assert run(lambda: adapter.scan(one)).error == "not done within 0.5 s"
