import pytest

from icapd.squid.versions import version_facts


@pytest.mark.parametrize(
    ("version", "stalls"),
    [("5.7", True), ("5.9", True), ("6", True), ("6.13", True), ("6.14", False), ("7.0.1", True),
     ("7.0.2", False), ("7.6", False), ("8.1", False)],
)  # fmt: skip
def test_bug_5352_is_known_by_version(version: str, stalls: bool) -> None:
    assert version_facts(version).stalls is stalls


@pytest.mark.parametrize(("version", "warns"), [("5.9", False), ("6", True), ("6.13", True), ("7.6", True)])
def test_bug_5187_is_known_by_version(version: str, warns: bool) -> None:
    assert version_facts(version).warns is warns


@pytest.mark.parametrize("version", ["3.5.28", "4.17", "5.6"])
def test_older_squids_are_refused(version: str) -> None:
    with pytest.raises(ValueError, match=f"^Squid {version} cannot carry a page"):
        version_facts(version)
