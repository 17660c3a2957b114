from __future__ import annotations

from pathlib import Path

import pytest

from icapd.config import Config, load_config
from icapd.errors import ConfigError, IcapdError
from icapd.squid import is_foreign, write_fragments


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "icapd.yaml").write_text("listen: [icap://127.0.0.1:1344]\npolicy: policy.yaml\n")
    return load_config(tmp_path / "icapd.yaml")


def test_fragment_and_page_are_written_readable_for_squids_user(config: Config, tmp_path: Path) -> None:
    fragment, page = write_fragments(config, tmp_path / "new" / "out")
    assert (fragment, page) == (tmp_path / "new/out/icapd.conf", tmp_path / "new/out/errors/ERR_ICAPD_BLOCK")
    assert page.read_text() == "@Squid{%'{X-Icapd-Page}adapt::<last_h}"
    assert f"error_directory {page.parent}\n" in fragment.read_text()
    assert [path.stat().st_mode & 0o777 for path in (fragment, page)] == [0o644, 0o644]
    assert not list(fragment.parent.rglob(".*"))


def test_writing_again_mends_and_keeps_the_admins_pages(config: Config, tmp_path: Path) -> None:
    fragment, page = write_fragments(config, tmp_path / "out")
    own = page.with_name("ERR_DNS_FAIL")
    own.unlink(missing_ok=True)
    own.write_text("ours")
    dead = page.with_name("ERR_READ_ERROR")
    dead.unlink(missing_ok=True)
    dead.symlink_to(tmp_path / "gone")
    before = fragment.read_text()
    fragment.write_text("broken")
    write_fragments(config, tmp_path / "out")
    assert fragment.read_text() == before
    assert own.read_text() == "ours"
    if Path("/usr/share/squid/errors/templates/ERR_READ_ERROR").exists():
        assert dead.exists()


def test_nothing_is_written_for_a_configuration_squid_conf_cannot_hold(
    config: Config, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="squid.conf cannot hold ' '"):
        write_fragments(config, tmp_path / "a b")
    assert not (tmp_path / "a b").exists()


def test_an_unwritable_place_is_one_line(config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IcapdError, match=r"^\S+/file/out\S*: Not a directory$"):
        write_fragments(config, tmp_path / "file" / "out")


def test_a_fragment_of_others_is_recognized(config: Config, tmp_path: Path) -> None:
    assert not is_foreign(tmp_path / "out")
    fragment, _ = write_fragments(config, tmp_path / "out")
    assert not is_foreign(tmp_path / "out")
    fragment.write_text("http_access allow all\n")
    assert is_foreign(tmp_path / "out")
