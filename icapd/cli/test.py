"""`icapd test`: hold a policy against the requests its administrator wrote down."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from icapd.cli.subject import Subject, open_subject
from icapd.cli.trace import as_text
from icapd.errors import IcapdError
from icapd.events.formats import plain
from icapd.policy.testfile import Case, Suite, differences, read_suite

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Test this icapd.yaml or policy instead of the one each file names.",
)
@click.option("-v", "--verbose", is_flag=True, help="Name the tests that pass too.")
def test(files: tuple[Path, ...], config_file: Path | None, *, verbose: bool) -> int:
    """Run the tests of a policy that FILE… hold; each failure is FILE:LINE with what was expected.

    A file is YAML: {policy: FILE, at: TIME, tests: [{name, request: METHOD URL, client, user, group,
    headers, sni, connect_host, response: {status, headers, body_len}, at, expect: ACTION, rule, stage,
    location, tls, undecided, …}]}. Without `policy`, X.test.yaml tests X.yaml.

    Exit status: 0 all passed, 1 some failed, 2 a file or its policy cannot be read.
    """
    passed = failed = broken = 0
    subjects: dict[Path, Subject] = {}
    for file in files:
        try:
            suite = read_suite(file, time.time())  # noqa: TID251  # tests that give no time are asked now
            subject = _subject(subjects, config_file or suite.policy)
        except IcapdError as error:
            broken += 1
            print("\n".join(f"icapd: {line}" for line in str(error).splitlines()), file=sys.stderr)
            continue
        for case, report in _run(suite, subject):
            passed += not report
            failed += bool(report)
            if report:
                print(report)
            elif verbose:
                print(f"ok    {plain(case.name)}")
    print(
        f"{passed} passed, {failed} failed" + (f", {broken} of the files could not be run" if broken else "")
    )
    return 2 if broken else int(bool(failed))


def _subject(subjects: dict[Path, Subject], file: Path) -> Subject:
    if file not in subjects:
        subjects[file] = open_subject(file)
    return subjects[file]


def _run(suite: Suite, subject: Subject) -> Iterator[tuple[Case, str]]:
    """Yield each test with its report, "" where it passes."""
    for case in suite.cases:
        known = subject.known(case.question).as_user(case.expected.client, case.expected.user)
        explanation = subject.explain(known)
        found = differences(case, explanation, subject.location(explanation.last))
        lines = [f"{case.source}: {plain(case.name)}", *(f"    {plain(one)}" for one in found)]
        lines += [f"    | {line}" for line in as_text(explanation, subject).splitlines()]
        yield case, "\n".join(lines) if found else ""
