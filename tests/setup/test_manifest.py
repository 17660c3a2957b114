"""What was made is remembered at once, and removed only as it was made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from icapd.errors import IcapdError
from icapd.setup.manifest import NAME, Manifest, digest_of, replace_file

if TYPE_CHECKING:
    from pathlib import Path


def make(manifest: Manifest, path: Path, text: str = "made") -> Path:
    manifest.folders(path.parent)
    path.write_text(text)
    manifest.add(path, "file")
    return path


def test_everything_made_goes_and_nothing_else(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "etc")
    make(manifest, tmp_path / "etc" / "a")
    make(manifest, tmp_path / "etc" / "deep" / "er" / "b")
    (tmp_path / "link").symlink_to("nowhere")
    manifest.add(tmp_path / "link", "file")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x").write_text("x")
    manifest.add(tmp_path / "tree", "tree")
    (tmp_path / "mine").write_text("mine")
    told = Manifest(tmp_path / "etc").undo(really=False)
    assert Manifest(tmp_path / "etc").undo(really=True) == told
    assert sum(line.startswith("removed") for line in told) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_was_changed_since_stays_with_its_folder_and_is_still_known(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "etc")
    changed = make(manifest, tmp_path / "etc" / "deep" / "a")
    make(manifest, tmp_path / "etc" / "deep" / "b")
    changed.write_text("mine now")
    lines = manifest.undo(really=True)
    assert f"kept     {changed}: changed since" in lines
    assert f"kept     {changed.parent}: not empty" in lines
    assert sorted(path.name for path in changed.parent.iterdir()) == ["a"]
    changed.write_text("made")
    assert len(Manifest(tmp_path / "etc").undo(really=True)) == 3
    assert not (tmp_path / "etc").exists()


def test_a_folder_that_others_use_stays(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    make(manifest, tmp_path / "deep" / "a")
    (tmp_path / "deep" / "other").write_text("other")
    lines = manifest.undo(really=True)
    assert lines == [f"removed  {tmp_path}/deep/a", f"kept     {tmp_path}/deep: not empty"]


def edit(tmp_path: Path) -> tuple[Manifest, Path]:
    manifest = Manifest(tmp_path / "etc")
    make(manifest, tmp_path / "etc" / "fragment")
    conf = tmp_path / "squid.conf"
    (tmp_path / "before").write_text("http_access deny all\n")
    (tmp_path / "before").chmod(0o640)
    conf.write_text(f"include {tmp_path}/etc/fragment\nhttp_access deny all\n")
    manifest.add(conf, "edit", tmp_path / "before")
    return manifest, conf


def test_an_edited_file_gets_its_old_content_and_mode(tmp_path: Path) -> None:
    manifest, conf = edit(tmp_path)
    assert manifest.undo(really=True)[0] == f"restored {conf}"
    assert conf.read_text() == "http_access deny all\n"
    assert conf.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["squid.conf"]


def test_nothing_goes_while_a_changed_file_still_needs_it(tmp_path: Path) -> None:
    manifest, conf = edit(tmp_path)
    conf.write_text("# mine\n" + conf.read_text())
    with pytest.raises(IcapdError, match=r"still names .*/etc/fragment; take that line out, then undo"):
        manifest.undo(really=True)
    assert (tmp_path / "etc" / "fragment").exists()
    conf.write_text(f"# include {tmp_path}/etc/fragment\n# mine\n")
    lines = manifest.undo(really=True)
    assert lines[0] == f"kept     {conf}: changed since; what it was before is in {tmp_path}/before"
    assert not (tmp_path / "etc" / "fragment").exists()
    assert (tmp_path / "before").exists()


def test_an_edit_without_its_backup_stays(tmp_path: Path) -> None:
    manifest, conf = edit(tmp_path)
    (tmp_path / "before").unlink()
    assert f"kept     {conf}: {tmp_path}/before is missing" in manifest.undo(really=True)


def test_a_second_edit_keeps_the_first_backup(tmp_path: Path) -> None:
    manifest, conf = edit(tmp_path)
    conf.write_text("again")
    manifest.add(conf, "edit", tmp_path / "other")
    assert manifest.made[-1].backup == str(tmp_path / "before")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"made": [{"what": 1}]}', "\xff"])
def test_another_file_in_its_place_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text, encoding="latin-1")
    with pytest.raises(IcapdError, match="is no record of icapd init"):
        Manifest(tmp_path)


def test_the_record_is_root_s_own(tmp_path: Path) -> None:
    make(Manifest(tmp_path), tmp_path / "a")
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / NAME).read_text())["version"] == 1


def test_a_digest_is_of_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("x")
    before = digest_of(tmp_path / "d")
    (tmp_path / "d" / "a").rename(tmp_path / "d" / "b")
    assert digest_of(tmp_path / "d") != before
    assert digest_of(tmp_path / "none") == digest_of(tmp_path / "none too")


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(TypeError):
        replace_file(tmp_path / "a", "text", 0o600)  # type: ignore[arg-type]
    assert (tmp_path / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
