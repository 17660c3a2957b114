"""The power fails while icapd writes: what is found afterwards is the old or the new, whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.lists import load as loading
from icapd.lists import load_lists
from icapd.pki import check_bump_ca, make_bump_ca
from icapd.squid import write_fragments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CUTS = int(os.environ.get("ICAPD_TEST_CUTS", "6"))  # 500 by hand
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def cut(write: Callable[[int], object], seconds: float) -> None:
    """Have another process write again and again, and kill it without warning after a while."""
    pid = os.fork()
    if not pid:
        try:
            for number in range(1_000_000):
                write(number)
        finally:
            os._exit(1)
    time.sleep(seconds)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)  # it still writes
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_squids_fragment_is_the_old_or_the_new(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("{}")
    configs = []
    for number in range(2):
        file = tmp_path / f"{number}.yaml"
        ports = [{"address": str(10000 + each)} for each in range(200 * number + 1)]
        document = {"listen": ["icap://127.0.0.1:1"], "policy": "policy.yaml", "squid": {"ports": ports}}
        file.write_text(json.dumps(document))
        configs.append(load_config(file))
    out = tmp_path / "out"
    whole = set()
    for config in configs:
        write_fragments(config, out)
        whole.add((out / "icapd.conf").read_bytes())
    assert len(whole) == 2
    pages = {page.name: page.read_bytes() for page in (out / "errors").glob("ERR_ICAPD*")}
    for _ in range(CUTS):
        cut(lambda number: write_fragments(configs[number % 2], out), random.uniform(0.01, 0.08))
        assert (out / "icapd.conf").read_bytes() in whole
        assert {page.name: page.read_bytes() for page in (out / "errors").glob("ERR_ICAPD*")} == pages


def test_an_index_of_lists_is_whole_or_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SETTLED", -(10**18))
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.domains")
        files[-1].write_text("".join(f"n{number}-{each}.example\n" for each in range(15_000)))
    cache = tmp_path / "lists"
    for _ in range(CUTS):
        cut(lambda number: load_lists({"x": [files[number % 4]]}, cache), random.uniform(0.02, 0.4))
        for number, file in enumerate(files[:2]):
            lists = load_lists({"x": [file]}, cache)
            assert lists.lookup(f"n{number}-14999.example") == ("x",)
            assert lists.lookup(f"n{number + 1}-0.example") == ()
        for old in cache.iterdir():
            if old.is_dir() and random.random() < 0.3:
                old.rename(tmp_path / f"gone-{time.monotonic_ns()}")  # so that it has something to build


def test_a_ca_is_whole_or_not_there(tmp_path: Path) -> None:
    made = 0
    for cutting in range(CUTS):
        place = tmp_path / f"{cutting}"
        cut(
            lambda number: make_bump_ca(place, name="t", now=NOW, key="ec", stem=f"ca-{number}"),  # noqa: B023
            random.uniform(0.005, 0.05),
        )
        assert {path.suffix for path in place.iterdir()} <= {".pem", ".crt"} if place.exists() else True
        for pem in place.glob("*.pem"):
            check_bump_ca(pem)
            assert pem.stat().st_mode & 0o777 == 0o400
            made += 1
        for certificate in place.glob("*.crt"):
            assert (
                certificate.read_bytes()
                == certificate.with_suffix(".pem").read_bytes().partition(b"-----BEGIN PRIVATE")[0]
            )
        begun = (place / "ca-0.pem").exists()  # then it is moved away by hand, never written over
        with pytest.raises(IcapdError, match="never written over") if begun else contextlib.nullcontext():
            make_bump_ca(place, name="t", now=NOW, key="ec", stem="ca-0")
    assert made
