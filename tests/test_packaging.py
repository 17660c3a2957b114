"""What setup.cfg says against the tree, and whether each way to install finds icapd's data."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import icapd

ROOT = Path(__file__).parents[1]
MAPPED = {"icapd.share.rules": "rules", "icapd.share.squid": "squid"}
LOOK = """
import sys, site
{setup}
from icapd.data import read_shared, shared
import icapd
print(icapd.__file__)
assert read_shared("rules", "pages", "block.html").startswith("<!doctype html>")
assert [entry.name for entry in shared("squid").iterdir()]
assert len(list(shared("squid", "conf").iterdir())) > 3
"""


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def data_files() -> set[str]:
    """Every shipped file, by its name inside the package."""
    return {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / tree)}"
        for package, tree in MAPPED.items()
        for path in (ROOT / tree).rglob("*")
        if path.is_file()
    }


def look(setup: str) -> str:
    """Find the data in a bare interpreter after `setup`; return where icapd was imported from."""
    command = [sys.executable, "-I", "-S", "-c", LOOK.format(setup=setup)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is made from, so that building leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("source")
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("icapd", "squid", "rules"):
        shutil.copytree(ROOT / name, copy / name, ignore=junk)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


def build(source: Path, *arguments: str) -> None:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=source, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from an sdist, so both must be complete."""
    out = tmp_path_factory.mktemp("dist")
    build(source, "-m", "build", "--no-isolation", "--outdir", str(out), ".")
    [found] = out.glob("*.whl")
    return found


def test_the_package_list_is_the_tree() -> None:
    packages = setup_cfg()["options"]["packages"].split()
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "icapd").rglob("__init__.py")}
    assert packages == sorted(packages)
    assert set(packages) == found | set(MAPPED)


def test_data_trees_are_mapped_and_hold_no_packages() -> None:
    options = setup_cfg()
    mapping = dict(line.split(" = ") for line in options["options"]["package_dir"].split("\n") if line)
    assert mapping == MAPPED
    for package, tree in MAPPED.items():
        assert options["options.package_data"][package] == "**/*"
        assert not list((ROOT / tree).rglob("*.py"))


def test_the_version_is_the_changelog_s() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{icapd.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_the_wheel_holds_every_module_and_every_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "icapd").rglob("*.py")}
    packaged = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert packaged == modules | data_files() | {"icapd/py.typed"}
    assert any(name.endswith("LICENSE") for name in names)


def test_an_unpacked_wheel_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    assert look(f"sys.path.insert(0, {str(tmp_path)!r})") == str(tmp_path / "icapd" / "__init__.py")


def test_a_zip_finds_its_data(wheel: Path) -> None:
    assert look(f"sys.path.insert(0, {str(wheel)!r})") == f"{wheel}/icapd/__init__.py"


def test_a_checkout_finds_its_data() -> None:
    assert look(f"sys.path.insert(0, {str(ROOT)!r})") == str(ROOT / "icapd" / "__init__.py")


@pytest.mark.parametrize("mode", ["", "strict"])
def test_an_editable_install_finds_its_data(source: Path, tmp_path: Path, mode: str) -> None:
    settings = f"{{'editable_mode': {mode!r}}}"
    build(
        source,
        "-c",
        f"from setuptools import build_meta as b; b.build_editable({str(tmp_path)!r}, {settings})",
    )
    [editable] = tmp_path.glob("*.whl")
    zipfile.ZipFile(editable).extractall(tmp_path / "site")
    where = look(f"site.addsitedir({str(tmp_path / 'site')!r})")
    assert where.startswith(str(source))
