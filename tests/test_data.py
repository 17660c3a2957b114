import pytest

from icapd.data import read_shared, shared
from icapd.errors import IcapdError


def test_shipped_files_are_found() -> None:
    assert shared("rules", "pages").is_dir()
    assert read_shared("rules", "pages", "block.html").startswith("<!doctype html>")


def test_a_missing_file_names_itself() -> None:
    with pytest.raises(IcapdError, match=r"nowhere\.html: missing from this installation"):
        shared("rules", "pages", "nowhere.html")
