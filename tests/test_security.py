"""What SECURITY.md points to exists, and README.md points to it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz import everything
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text()
ROW = re.compile(r"^\|(?P<kind>[^|]+)\|(?P<design>[^|]+)\|(?P<proof>[^|]+)\|$", re.MULTILINE)
CLASSES = TEXT.partition("## Known classes")[2].partition("## Fuzzing")[0]


def test_every_class_names_tests_that_exist() -> None:
    rows = [row for row in ROW.finditer(CLASSES) if not re.fullmatch(r"[- ]+|\s*Class\s*", row["kind"])]
    assert len(rows) >= 25
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+\.py)`", row["proof"])
        assert named, row["kind"]
        assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_readme_leads_to_it() -> None:
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text()


def test_every_part_that_reads_has_a_target() -> None:
    everything()
    wanted = {
        "icap-request-head",
        "icap-response-head",
        "encapsulated",
        "connection",
        "url",
        "host",
        "content-disposition",
    }
    wanted |= {
        "media-types",
        "multipart",
        "content-encoding",
        "archives",
        "pdf",
        "ole",
        "rtf",
        "html",
        "policy-trees",
    }
    wanted |= {
        "configurations",
        "lists",
        "users-files",
        "decision-line",
        "formats",
        "pages",
        "locations",
        "clamd-replies",
    }
    wanted |= {
        "child-frames",
        "child-answers",
        "helper-lines",
        "control-lines",
        "shared-tunnels",
        "late-blocks",
    }
    assert wanted <= TARGETS.keys()


def test_what_serves_does_not_know_how_to_read_the_ca() -> None:
    served = ("server", "adapters", "content", "policy", "lists", "events", "directory", "protocol")
    files = [file for name in served for file in (ROOT / "icapd" / name).rglob("*.py")]
    assert [file for file in files if "icapd.pki" in file.read_text()] == []
    assert "icapd.pki" not in (ROOT / "icapd/cli/serve.py").read_text()


REACHING = re.compile(
    r"create_connection|connect(?:TCP|SSL|UNIX)\(|HostnameEndpoint|ClientEndpoint|clientFromString|urlopen|http\.client|_?(?:socket|connection|probe)\.connect\("
)
# What opens connections, and where to.
CONNECTS = {
    "icapd/adapters/clamd.py": "the socket or tcp of its options",
    "icapd/cli/ping.py": "listen",
    "icapd/cli/reload.py": "control",
    "icapd/directory/ldap.py": "users.ldap.url",
    "icapd/doctor/": "Squid and icapd, when an administrator asks",
    "icapd/events/wires.py": "events.syslog",
    "icapd/server/control.py": "control, to see whether another icapd holds it",
}


def modules() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "icapd").rglob("*.py")}


def test_nothing_reaches_out_but_to_what_the_configuration_names() -> None:
    found = {name for name, text in modules().items() if REACHING.search(text)}
    told = {name: next((start for start in CONNECTS if name.startswith(start)), None) for name in found}
    assert None not in told.values(), told
    assert set(told.values()) == CONNECTS.keys()


def test_pickles_are_for_its_own_processes() -> None:
    """tests/server/test_workers_deaths.py and test_late.py use both."""
    found = {
        name
        for name, text in modules().items()
        if re.search(r"^\s*(import|from) (pickle|marshal|shelve)", text, re.MULTILINE)
    }
    assert found == {"icapd/server/late.py", "icapd/server/nursery.py"}
