"""What is wanted, and what becomes of what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from icapd.config import load_config
from icapd.policy import load_policy
from icapd.setup import Manifest, configuration, draft, fragments, preview, write
from icapd.setup.plan import Wanted


def test_the_configuration_and_the_policy_load(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for each in configuration(tmp_path, "systemd:icap", in_system=False):
        assert write(each, manifest) == "written"
    config = load_config(tmp_path / "icapd.yaml")
    assert (config.listen[0].socket, config.control) == ("icap", tmp_path / "control")
    assert load_policy(config.policy).digest


def test_in_the_system_log_and_socket_are_where_the_unit_has_them(tmp_path: Path) -> None:
    [text, *_] = configuration(tmp_path, "systemd:icap", in_system=True)
    (tmp_path / "icapd.yaml").write_bytes(text.data)
    config = load_config(tmp_path / "icapd.yaml")
    assert config.decisions == Path("/var/log/icapd/decisions.log")
    assert config.control == Path("/run/icapd/control")


def test_a_draft_of_squid_s_part_is_what_will_be_written(tmp_path: Path) -> None:
    files = configuration(tmp_path, "icap://127.0.0.1:1344", in_system=False)
    drafted = draft(files, tmp_path, tmp_path / "squid")
    assert not (tmp_path / "icapd.yaml").exists()
    for each in files:
        write(each, Manifest(tmp_path))
    assert fragments(load_config(tmp_path / "icapd.yaml"), tmp_path / "squid") == drafted
    [conf] = [each for each in drafted if each.path.name == "icapd.conf"]
    assert f"error_directory {tmp_path}/squid/errors".encode() in conf.data
    assert b"icapd-init-" not in conf.data


@pytest.mark.parametrize("renewed", [True, False])
def test_only_what_is_ours_and_made_from_other_files_is_replaced(tmp_path: Path, *, renewed: bool) -> None:
    manifest, path = Manifest(tmp_path), tmp_path / "deep" / "a"
    assert write(Wanted(path, b"1", renewed=renewed), manifest) == "written"
    assert write(Wanted(path, b"1", renewed=renewed), manifest) == "unchanged"
    assert write(Wanted(path, b"2", renewed=renewed), manifest) == ("replaced" if renewed else "kept")
    path.write_bytes(b"mine")
    assert write(Wanted(path, b"3", renewed=renewed), manifest) == "kept"
    assert path.read_bytes() == b"mine"
    assert list(preview(Wanted(path, b"3", renewed=renewed), manifest)) == [f"# {path}: kept as it is"]


def test_links(tmp_path: Path) -> None:
    manifest, wanted = Manifest(tmp_path), Wanted(tmp_path / "a", b"", target=Path("/usr/share/x"))
    assert list(preview(wanted, manifest)) == [f"+ {tmp_path}/a -> /usr/share/x"]
    assert (write(wanted, manifest), write(wanted, manifest)) == ("written", "unchanged")
    assert list(preview(wanted, manifest)) == []
    assert write(Wanted(tmp_path / "a", b"", target=Path("/elsewhere")), manifest) == "kept"


def test_a_preview_is_a_diff(tmp_path: Path) -> None:
    manifest, path = Manifest(tmp_path), tmp_path / "a"
    assert list(preview(Wanted(path, b"1\n"), manifest))[:2] == ["--- /dev/null", f"+++ {path}"]
    write(Wanted(path, b"1\n", renewed=True), manifest)
    lines = list(preview(Wanted(path, b"2\n", renewed=True), manifest))
    assert lines == [f"--- {path}", f"+++ {path}", "@@ -1 +1 @@", "-1", "+2"]
