"""The documentation as a whole: one navigation, pictures that can be read, headers, snippets that are no commands of icapd's."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from icapd.cli.main import _root
from icapd.config import load_config
from icapd.server.services import services
from tests.test_docs import PAGES, Block, blocks, put

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHOWN = [(page, block) for page in PAGES for block in blocks(page)]
LANGUAGES = {"console", "ini", "json", "nft", "python", "sh", "squid", "text", "toml", "yaml"}
# Programs of others that pages run, and what runs them for real.
PROGRAMS = {
    "apt": "deploy/deb/tutorial, deploy/deb/try",
    "curl": "deploy/deb/tutorial",
    "echo": "deploy/deb/tutorial",
    "export": "deploy/deb/tutorial",
    "haproxy": "tests/test_haproxy.py",
    "ip": "tests/e2e/test_intercept.py, in a namespace",
    "pipx": "by hand, as docs/install.md tells",
    "promtool": "tests/metrics",
    "python": "every run of the tests",
    "python3": "tests/test_docs_pages.py",
    "sed": "deploy/deb/tutorial",
    "squid": "tests/squid",
    "systemctl": "deploy/deb/tutorial, deploy/deb/try",
}
PICTURES = sorted((DOCS / "images").glob("connect-*.svg"))
_OURS = re.compile(
    r"(?i)(?<![\w/.+-])x-(?:icapd|client|proxy|server|authenticated|infection|virus)-[a-z-]*[a-z]"
)
_OURS_TOO = re.compile(r"(?i)(?<![\w/.+-])x-(?:sni|include|response-info|violations-found)(?![\w-])")


def navigation(entry: object) -> list[str]:
    """Return the pages of a part of mkdocs.yml, in order."""
    match entry:
        case dict():
            return [page for value in entry.values() for page in navigation(value)]
        case list():
            return [page for value in entry for page in navigation(value)]
    return [str(entry)]


def test_every_page_is_in_the_navigation_once() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(navigation(site["nav"])) == sorted(page.name for page in PAGES)
    assert site["docs_dir"] == "docs"


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)(?:#[\w-]+)?\)", (DOCS / "README.md").read_text()))
    assert {page.name for page in PAGES} - linked == {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_its_title_and_its_blocks_can_be_found(page: Path) -> None:
    text = page.read_text()
    assert re.match(r"# \S.*\n\n", text)
    assert len(re.findall(r"^# ", re.sub(r"(?ms)^```.*?^```$", "", text), re.MULTILINE)) == 1
    assert not re.search(r"^ +```", text, re.MULTILINE), "an indented block is not tested"
    assert {block.language for block in blocks(page)} <= LANGUAGES


def commands(block: Block) -> list[str]:
    return [line.partition("  #")[0].strip() for line in block.text.splitlines()]


@pytest.mark.parametrize(("page", "block"), [one for one in SHOWN if one[1].language == "sh"])
def test_every_command_is_one(page: Path, block: Block) -> None:
    """Of icapd: with its options; of others: one that something runs. What bash reads as well."""
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for line in commands(block):
        if line and not line.startswith("#"):
            words = shlex.split(line.partition(" || ")[0])
            if words[0] == "icapd":
                parses(words[1:])
            else:
                assert words[0] in PROGRAMS or (ROOT / words[0]).exists(), (page.name, line)


def parses(words: list[str]) -> None:
    """Raise click.UsageError unless the command has such options."""
    command: click.Command = _root
    context = click.Context(_root, info_name="icapd")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    if ">" in words or "<" in words:
        words = words[: min(words.index(sign) for sign in "<>" if sign in words)]
    command.make_parser(context).parse_args(args=list(words))


def test_a_command_that_is_none_is_found() -> None:
    with pytest.raises(click.UsageError):
        parses(["explain", "--clint", "10.0.0.1", "GET", "http://a.example/"])


@pytest.mark.skipif(shutil.which("nft") is None or os.geteuid() != 0, reason="needs nft and root")
@pytest.mark.parametrize("block", [block for _, block in SHOWN if block.language == "nft"])
def test_nft_takes_the_rules(tmp_path: Path, block: Block) -> None:
    file = tmp_path / "rules"
    file.write_text(block.text)
    done = subprocess.run(["nft", "-c", "-f", file], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("the kernel lets nobody ask nftables here")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("block", [block for _, block in SHOWN if block.language == "squid"])
def test_squid_takes_its_lines(tmp_path: Path, block: Block) -> None:
    squid = shutil.which("squid", path="/usr/sbin:/usr/bin")
    if squid is None:
        pytest.skip("needs squid")
    file = tmp_path / "squid.conf"
    file.write_text(
        f"{block.text}http_access deny all\nhttp_port 3128\npid_filename none\ncache_log /dev/null\n"
    )
    done = subprocess.run([squid, "-k", "parse", "-f", file], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "Processing" not in line and "hostname" not in line]
    assert not [line for line in lines if re.search("ERROR|FATAL|Bungled|unrecognized", line)]
    assert done.returncode == 0


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_text_for_both_schemes(picture: Path) -> None:
    text = picture.read_text()
    root = ET.fromstring(text)
    space = {"svg": "http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in text
    assert root.findtext("svg:title", namespaces=space)
    assert root.findtext("svg:desc", namespaces=space)
    assert len(root.findall("svg:text", space)) > 10
    assert not re.search("<image|<script|href=|url\\((?!#)", text)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for each in root.findall("svg:text", space):
        assert 0 <= float(each.attrib["x"]) <= width, each.text
        assert 0 <= float(each.attrib["y"]) <= height, each.text
    assert f"images/{picture.name}" in (DOCS / "connect.md").read_text()


def test_the_headers_are_those_of_the_program(tmp_path: Path) -> None:
    page = (DOCS / "icap.md").read_text()
    files = [ROOT / "icapd" / f"{name}.py" for name in ("facts", "infection", "adaptation")]
    files += [*(ROOT / "icapd" / "server").glob("*.py"), *(ROOT / "icapd" / "squid").glob("*.py")]
    files += (ROOT / "squid" / "conf").glob("*.conf")
    text = "\n".join(file.read_text() for file in files).replace(
        "X-Client-Group-{slug}-{digest}", "X-Client-Group-NAME-DIGEST"
    )
    ours = {name.lower() for pattern in (_OURS, _OURS_TOO) for name in pattern.findall(text)}
    told = {name.lower() for name in re.findall(r"`(X-[A-Za-z-]+)`", page)}
    assert told == ours - {"x-client-group", "x-icapd-shared"}  # the latter nobody sends
    (tmp_path / "icapd.yaml").write_text('listen: ["icap://127.0.0.1:1344"]\npolicy: p\n')
    for service in services(load_config(tmp_path / "icapd.yaml")).values():
        for line in service.options.extra.decode().splitlines():
            assert f"`{line.partition(':')[0]}`" in page


def test_an_adapter_of_ones_own_is_installed_and_scans(tmp_path: Path) -> None:
    """docs/own-adapter.md from its first file to its last command."""
    for block in blocks(DOCS / "own-adapter.md"):
        put(tmp_path, block)
    (tmp_path / "policy.yaml").write_text("default_protection: {malware: block}\n")
    (tmp_path / "letter.txt").write_text("these are the days of squeamish ossifrage")
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--target", target, "./hello"],
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}
    for command, status, told in (
        (["check", "-c", "icapd.yaml", "--no-squid", "--quiet"], 0, ""),
        (["scan", "-c", "icapd.yaml", "letter.txt"], 1, "Hello"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "icapd", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, told in done.stdout) == (status, True), done
