"""`icapd check`: what would keep icapd or Squid from starting well, or from doing what was meant."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.cli.receivers import receiver_findings
from icapd.cli.scanning import Asked as AskedAdapters
from icapd.cli.scanning import adapter_findings, interception_findings, use_findings
from icapd.cli.subject import Subject, says_policy, uncollected
from icapd.config import Config, load_config, render_config
from icapd.directory import load_directory
from icapd.errors import ConfigErrors, IcapdError
from icapd.events.formats import plain
from icapd.pages import Pages
from icapd.policy import load_policy
from icapd.policy.explain import Asked
from icapd.policy.finding import Finding
from icapd.policy.lint import lint
from icapd.policy.schema import policy_schema
from icapd.source import read_document
from icapd.squid import check_fragment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.adapters.registry import Loaded
    from icapd.policy import Policy
    from icapd.source import Document


@click.command()
@config_option
@click.option("--strict", is_flag=True, help="Let warnings count for the exit status too.")
@click.option("--no-squid", is_flag=True, help="Do not ask Squid what it thinks of its part.")
@click.option("-q", "--quiet", is_flag=True, help="Print the findings only.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object instead.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the policy, for editors, and stop.")
def check(
    config_file: Path, *, strict: bool, no_squid: bool, quiet: bool, as_object: bool, schema: bool
) -> int:
    """Check the configuration, the policy with its lists, the block page, and what Squid says of its part.

    -c takes an icapd.yaml, or a policy file directly (told apart by their keys). Prints every option as it
    is in force (YAML) on standard output, with a comment for each list, and each finding on standard error:
    FILE:LINE: LEVEL: WHAT — WHY — HOW TO MEND, then the `icapd explain` that shows it.

    An error keeps icapd from serving, or a redirect from ever ending; a warning is a rule that does not do
    what it seems to; a note is for information. Exit status: 0 good, 1 errors (with --strict also warnings).
    """
    if schema:
        print(json.dumps(policy_schema(), indent=2))
        return 0
    with uncollected():
        checked = _Checked(config_file, squid=not no_squid)
    if as_object:
        print(json.dumps(checked.as_json()))
    else:
        print("" if quiet else checked.text(), end="", flush=True)
        for finding in checked.findings:
            print(plain(finding.text()), file=sys.stderr)
            command = finding.command(checked.subject_file)
            if command is not None:
                print(plain(f"    {command}"), file=sys.stderr)
    counted = {"error", "warning"} if strict else {"error"}
    return int(any(finding.level in counted for finding in checked.findings))


class _Checked:
    """What was found about one file."""

    def __init__(self, file: Path, *, squid: bool) -> None:
        self.findings: list[Finding] = []
        self.subject_file = file
        self.config: Config | None = None
        self.policy: Policy | None = None
        self.adapters: tuple[Loaded, ...] = ()
        self.asked = AskedAdapters(())
        try:
            document = read_document(file)
            self.config = None if says_policy(document) else load_config(file)
        except IcapdError as error:
            self.findings = list(_errors(error))
            return
        pages = self._page()
        if self.config is None:
            self._policy(file, document, pages)
            return
        with ThreadPoolExecutor(1) as aside:  # Squid looks at its part while the linter works
            said = aside.submit(lambda config: tuple(_squid(config)), self.config) if squid else None
            self._policy(self.config.policy, None, pages)
            self.findings += _tls(self.config)
            self.findings += receiver_findings(self.config)
            self.findings += self._adapters(self.config)
            self.findings += _authority(self.config)
            self.findings += () if said is None else said.result()

    def _page(self) -> Pages:
        try:
            return Pages.load(None if self.config is None else self.config.page)
        except IcapdError as error:
            self.findings += _errors(error)
            return Pages.load(None)

    def _policy(self, file: Path, document: Document | None, pages: Pages) -> None:
        try:
            document = document or read_document(file)
            policy = self.policy = load_policy(file, document=document)
        except IcapdError as error:
            self.findings += _errors(error)
            return
        try:
            if self.config is not None:
                load_directory(self.config, policy)
        except IcapdError as error:
            self.findings += _errors(error)
        subject = Subject(policy, pages, self.config)
        self.findings += lint(
            policy, lambda tx, decision: subject.location(Asked("reqmod", tx, decision)) or "", document
        )

    def _adapters(self, config: Config) -> Iterator[Finding]:
        """Make the adapters as `icapd serve` does, and ask each how it is, without starting them."""
        from icapd.adapters.registry import make_adapters  # noqa: PLC0415  (they bring Twisted)

        try:
            self.adapters = make_adapters(config)
        except IcapdError as error:
            yield from _errors(error)
        else:
            self.asked = AskedAdapters(self.adapters)
            yield from adapter_findings(config, self.adapters, self.asked)
        if self.policy is not None:
            yield from use_findings(config, self.policy)
            yield from interception_findings(config, self.policy)

    def text(self) -> str:
        """Return the options in force as YAML, and a comment for each list."""
        options = "" if self.config is None else render_config(self.config)
        return options + "".join(f"# {plain(line)}\n" for line in self._lists())

    def _lists(self) -> Iterator[str]:
        for one in self.adapters:
            said = self.asked.said.get(one.name, "see its warning")
            yield f"adapter {one.name}: {one.kind}, on_error {one.on_error}: {said}"
        for report in () if self.policy is None else self.policy.lists.reports:
            ignored = f", {report.ignored:,} lines ignored" if report.ignored else ""
            formats = ", ".join(dict.fromkeys(file.format for file in report.files))
            yield f"list {report.name}: {report.entries:,} entries{ignored} ({formats})"

    def as_json(self) -> dict[str, object]:
        """Return the same as an object."""
        reports = () if self.policy is None else self.policy.lists.reports
        return {
            "file": str(self.subject_file),
            "findings": [finding.as_json(self.subject_file) for finding in self.findings],
            "adapters": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "on_error": one.on_error,
                    "said": self.asked.said.get(one.name),
                    "fault": self.asked.failed.get(one.name),
                }
                for one in self.adapters
            ],
            "lists": [
                {
                    "name": one.name,
                    "entries": one.entries,
                    "files": [
                        {
                            "file": file.file,
                            "format": file.format,
                            "accepted": file.accepted,
                            "ignored": {each.reason: each.count for each in file.ignored},
                        }
                        for file in one.files
                    ],
                }
                for one in reports
            ],
        }


def _errors(error: IcapdError) -> Iterator[Finding]:
    """Yield what keeps a file from being loaded."""
    if isinstance(error, ConfigErrors):
        for one in error.errors:
            yield Finding(one.file, one.line, "error", "invalid", one.message)
    else:
        for line in str(error).splitlines():
            yield Finding("icapd", 0, "error", "invalid", line)


def _tls(config: Config) -> Iterator[Finding]:
    """Try the certificate, its key and the clients' CA as the listener will."""
    if config.tls is None:
        return
    for name in ("certificate", "key", "client_ca"):
        path = getattr(config.tls, name)
        if path is not None and (reason := _unreadable(path)):
            yield _at(config, ("tls", name), reason)
            return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls.certificate, config.tls.key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        yield _at(config, ("tls",), f"certificate and key do not serve: {_reason(error)}")
    if config.tls.client_ca is not None:
        try:
            context.load_verify_locations(config.tls.client_ca)
        except ssl.SSLError as error:
            yield _at(config, ("tls", "client_ca"), f"{config.tls.client_ca}: {_reason(error)}")


def _squid(config: Config) -> Iterator[Finding]:
    """Let the installed Squid read what `icapd squid-conf` would write now."""
    squid = shutil.which("squid", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if squid is None:
        return
    if missing := list(_missing(config)):
        yield from missing
        return
    try:
        for complaint in check_fragment(config, squid):
            yield Finding(str(config.file), 0, "error", "squid", f"Squid says of its fragment: {complaint}")
    except IcapdError as error:
        yield from _errors(error)


def _missing(config: Config) -> Iterator[Finding]:
    """Find files that Squid needs but does not ask for before it runs, or asks for in riddles."""
    settings = config.squid
    if settings.origin_ca is not None and (reason := _unreadable(settings.origin_ca)):
        yield _at(config, ("squid", "origin_ca"), reason)
    if not any(port.bump for port in settings.ports):
        return
    if _is_closed(settings.ca):
        text = f"{settings.ca} cannot be read by this user, as it should be; Squid is asked only by root"
        yield replace(_at(config, ("squid", "ca"), text), level="note")
    elif reason := _unreadable(settings.ca):
        yield _at(config, ("squid", "ca"), f"{reason}; `icapd ca create` makes it")
    if not os.access(settings.certgen, os.X_OK):
        yield _at(config, ("squid", "certgen"), f"{settings.certgen} is not a program that can be run")


def _authority(config: Config) -> Iterator[Finding]:
    """Find what is wrong with the bump CA and Squid's certificate database, or soon will be."""
    settings = config.squid
    if not any(port.bump for port in settings.ports):
        return
    from icapd.pki import database_findings, findings  # noqa: PLC0415  (it brings a library that takes its time)

    try:
        found = list(findings(settings.ca, datetime.now(UTC)))
    except IcapdError:
        found = []  # _missing says it
    for option, each in (("ca", found), ("ssl_db", list(database_findings(settings.ssl_db)))):
        for finding in each:
            yield replace(_at(config, ("squid", option), finding.text), level=finding.level)


def _is_closed(path: Path) -> bool:
    """Whether this user may not read `path`."""
    try:
        with path.open("rb"):
            return False
    except OSError as error:
        return isinstance(error, PermissionError)


def _at(config: Config, place: tuple[str, ...], message: str) -> Finding:
    """Return a finding about the option at `place`, with its line."""
    line = read_document(config.file).where(place)
    return Finding(str(config.file), line, "error", "setup", f"{'.'.join(place)}: {message}")


def _unreadable(path: Path) -> str | None:
    """Say why `path` cannot be read, or None if it can."""
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _reason(error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()
