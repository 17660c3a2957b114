"""What workers divide among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from icapd.adapters.scanners import Scanners
from icapd.config import load_config
from icapd.server.shares import keys_of, share_of
from icapd.server.site import load_generation

if TYPE_CHECKING:
    from pathlib import Path

    from icapd.config import Config


def loaded(directory: Path, **options: Any) -> Config:
    (directory / "policy.yaml").write_text('{"access": []}')
    document = {"listen": ["icap://127.0.0.1:0"], "policy": "policy.yaml", **options}
    (directory / "icapd.yaml").write_text(json.dumps(document))
    return load_config(directory / "icapd.yaml")


def test_one_worker_has_all(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert share_of(config, 1) is config


def test_bounds_are_for_all_together(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        content={"children": "6"},
        verdict_cache={"entries": "1000", "megabytes": "64"},
        adapters=[{"clamd": {"concurrency": "10"}}, {"clamd": {"name": "other"}}, "yara"],
    )
    share = share_of(config, 4)
    assert share.content.children == 1
    assert (share.verdict_cache.entries, share.verdict_cache.megabytes) == (250, 16)
    assert share.spool.memory == config.spool.memory // 4
    assert share.spool.disk == config.spool.disk // 4
    asked = [getattr(entry.text, "concurrency", None) for entry in share.adapters]
    assert asked == ["2", "2", None]
    assert share.limits == config.limits  # connections are counted by the supervisor


def test_a_share_of_the_disk_still_has_room_for_one_body(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert share_of(config, 200).spool.disk == config.content.max_body


def test_the_key_is_of_all_that_was_loaded(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    key = keys_of(config, load_generation(config))
    assert key == keys_of(config, load_generation(config))
    other = loaded(tmp_path, limits={"drain": "7"})
    assert key != keys_of(other, load_generation(other))
    (tmp_path / "policy.yaml").write_text(
        '{"access": [{"name": "x", "when": {"host": ["x.example"]}, "action": "block"}]}'
    )
    assert key != keys_of(config, load_generation(config))


def test_the_key_is_not_of_what_a_scanner_tells_when_it_has_started(tmp_path: Path) -> None:
    """A clamd's database is known to a worker and not to the nursery: reloads would never agree."""
    config = loaded(tmp_path, adapters=[{"clamd": {"socket": "/nowhere"}}])
    generation = load_generation(config)
    before, tag = keys_of(config, generation), generation.tagged()
    scanners = generation.scans.scanners
    assert isinstance(scanners, Scanners)
    scanners._adapters[0].adapter.tag = "ClamAV 1"
    assert generation.tagged() != tag
    assert keys_of(config, generation) == before
