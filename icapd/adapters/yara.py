"""The adapter `yara`: every item of a message against YARA rules, in threads.

Threads, not the scanning child processes: yara-python lets go of the GIL while it compiles, loads and scans.
Measured with 3,000 rules on 2 cores (yara-python 4.5.4): 20 MB scan in 39 ms, during which another thread
never waited more than 1.3 ms (four at once: 5.9 ms; compiling, 63 ms: 4.7 ms). An object of 1 KB costs 105 µs
in a thread and 115 µs in a child process. Compiled rules are loaded in 7 ms, so they are kept. The price:
rules that use libyara's parsers (pe, elf, dotnet) run them in the server's process.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yara
from pydantic import BeforeValidator, Field

from icapd.errors import AdapterError, ConfigError, ConfigErrors
from icapd.lists.store import default_cache
from icapd.options import File, Options, Seconds, not_empty
from icapd.verdicts import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from icapd.adapters.model import Xaction
    from icapd.content.model import Item
    from icapd.transaction import Transaction

_PLACE = re.compile(r"(?P<file>.*)\((?P<line>\d+)\): (?P<text>.*)", re.DOTALL)
_KEPT = 4  # compiled sets in memory: those of a reload, and of the one before
_compiled: OrderedDict[str, Any] = OrderedDict()

_Patterns = Annotated[
    tuple[File, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class YaraOptions(Options):
    """Which rules, and what their matches are."""

    rules: Annotated[_Patterns, BeforeValidator(not_empty)] = Field(description="files or patterns of names")
    kind: Kind = Field(default=Kind.MALWARE, description="what a match is a finding of")
    timeout: Seconds = Field(default=20.0, description="s for one message")


class Yara:
    """One set of rules."""

    options = YaraOptions

    def __init__(self, name: str, options: Mapping[str, object]) -> None:
        """Compile the rules. Raises AdapterError, and ConfigErrors for faults in the rules' files."""
        self.name = name
        self._options = YaraOptions.model_validate(dict(options))
        texts = _read(self._options.rules)
        digest = hashlib.sha256(repr((yara.__version__, yara.YARA_VERSION, sorted(texts.items()))).encode())
        self.tag = f"yara-{digest.hexdigest()[:16]}"
        self._files = len(texts)
        self._rules = _rules_of(self.tag, texts, _cache())

    def wants(self, tx: Transaction) -> bool:
        """It can say something of everything."""
        del tx
        return True

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    async def check(self) -> str:
        """Say what there is."""
        return f"{sum(1 for _ in self._rules)} rules of {self._files} files"

    async def scan(self, xaction: Xaction) -> Verdict:
        """Hold the rules against every different item, in a thread."""
        items = tuple({item.sha256: item for item in reversed(xaction.report.items)}.values())[::-1]
        clock = _clock()
        return await xaction.in_thread(lambda: self._look(items, clock))

    def _look(self, items: Iterable[Item], clock: Callable[[], float]) -> Verdict:
        end = clock() + self._options.timeout
        findings: list[Finding] = []
        for item in items:
            left = int(end - clock())  # yara counts whole seconds
            if left < 1:
                return Verdict(tuple(findings), f"not done within {self._options.timeout:g} s")
            try:
                matches = self._rules.match(f"/proc/self/fd/{item.fd}", timeout=left) if item.size else ()
            except yara.TimeoutError:
                return Verdict(tuple(findings), f"not done within {self._options.timeout:g} s")
            except yara.Error as error:
                return Verdict(tuple(findings), f"{item.path or 'body'}: {error}")
            findings += [Finding(self._options.kind, one.rule, self.name, item.path) for one in matches]
        return Verdict(tuple(findings))


def _clock() -> Callable[[], float]:
    """Return the reactor's clock, which only goes forward."""
    from twisted.internet import reactor  # noqa: PLC0415  (not installed for those who only check rules)

    clock: Callable[[], float] = reactor.seconds
    return clock


def _read(patterns: Iterable[Path]) -> dict[str, str]:
    """Return the text of each file by its name. Raises AdapterError for a pattern without a file."""
    texts: dict[str, str] = {}
    for pattern in patterns:
        files = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207  (absolute patterns too)
        if not files:
            raise AdapterError(f"rules: no file {pattern}")
        for file in files:
            try:
                texts[file] = Path(file).read_text("utf-8", "surrogateescape")
            except OSError as error:
                raise ConfigErrors([ConfigError(file, 0, f"cannot be read: {error.strerror}")]) from error
    return texts


def _rules_of(tag: str, texts: Mapping[str, str], cache: Path | None) -> Any:  # noqa: ANN401  (yara.Rules)
    """Return compiled rules: from memory, from the cache directory, or compiled now and kept there."""
    rules = _compiled.pop(tag, None)
    file = None if cache is None else cache / f"{tag}.bin"
    if rules is None and file is not None and _is_ours(file):
        with contextlib.suppress(yara.Error):
            rules = yara.load(str(file))
    if rules is None:
        rules = _compile(texts)
        if file is not None:
            _keep(rules, file)
    _compiled[tag] = rules
    while len(_compiled) > _KEPT:
        _compiled.popitem(last=False)
    return rules


def _compile(texts: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Compile the files together, each a namespace. Raises ConfigErrors with the first fault of each."""
    try:
        return yara.compile(sources=dict(texts), includes=False)
    except (yara.Error, UnicodeEncodeError) as error:
        faults = [fault for file, text in texts.items() if (fault := _fault(file, text)) is not None]
        if not faults:
            raise AdapterError(f"rules: {error}") from error
        raise ConfigErrors(faults) from error


def _fault(file: str, text: str) -> ConfigError | None:
    try:
        yara.compile(source=text, includes=False)
    except UnicodeEncodeError:
        return ConfigError(file, 0, "is not UTF-8")
    except yara.Error as error:
        said = str(error)
        at = re.search(r"line (\d+): ", said)
        place = _PLACE.fullmatch(said)
        if at is not None:
            return ConfigError(file, int(at[1]), said[at.end() :])
        return ConfigError(file, int(place["line"]), place["text"]) if place else ConfigError(file, 0, said)
    return None


def _cache() -> Path | None:
    lists = default_cache()
    return None if lists is None else lists.with_name("yara")


def _is_ours(file: Path) -> bool:
    """Whether nobody else can have written it: compiled rules are a program that libyara runs."""
    try:
        states = [file.lstat(), file.parent.lstat()]
    except OSError:
        return False
    return all(state.st_uid == os.geteuid() and not state.st_mode & 0o022 for state in states)


def _keep(rules: Any, file: Path) -> None:  # noqa: ANN401
    """Write compiled rules beside their final name, then move them there; without a place, let it be."""
    with contextlib.suppress(OSError, yara.Error):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / file.name
            rules.save(str(made))
            made.chmod(0o600)
            made.replace(file)
        kept = sorted(file.parent.glob("yara-*.bin"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-_KEPT]:
            old.unlink(missing_ok=True)
