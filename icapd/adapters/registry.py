"""From `adapters:` in icapd.yaml to adapters: found by entry point, their options held against their model.

An adapter of a third party is found as icapd's own are: its package has an entry point of the group
`icapd.adapters`. Those that icapd brings are known without one too: it may run from its source tree.
"""

from __future__ import annotations

import difflib
import inspect
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from icapd.errors import AdapterError, ConfigError, ConfigErrors
from icapd.source import faults, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icapd.adapters.model import Adapter
    from icapd.config import Config
    from icapd.options import AdapterEntry
    from icapd.source import Document

GROUP = "icapd.adapters"
SHIPPED = {
    "clamd": "icapd.adapters.clamd:Clamd",
    "pyicap": "icapd.adapters.pyicap:Pyicap",
    "yara": "icapd.adapters.yara:Yara",
}
EXTRAS = {"yara": "icapd[yara]"}  # what brings a module that an adapter of icapd needs
_METHODS = ("start", "stop", "scan")  # coroutines, all of them


@dataclass(frozen=True, slots=True)
class Loaded:
    """An adapter that was made, and what icapd.yaml says of it beside its own options; `timeout` in s."""

    adapter: Adapter
    kind: str
    options: str
    """Its options as text, the same for the same options."""
    on_error: Literal["open", "closed"]
    timeout: float
    line: int
    """Where it stands in icapd.yaml, 1-based."""

    @property
    def name(self) -> str:
        """What it is called in rules, in the log and in findings."""
        return self.adapter.name


def installed() -> dict[str, EntryPoint]:
    """Return the adapters that can be named, by name. Raises AdapterError if two packages claim one name."""
    found: dict[str, set[EntryPoint]] = defaultdict(set)
    for entry in entry_points(group=GROUP):
        found[entry.name].add(entry)
    known = {name: EntryPoint(name, value, GROUP) for name, value in SHIPPED.items()}
    for name, entries in found.items():
        values = {entry.value for entry in entries}
        if name in SHIPPED:
            values.add(SHIPPED[name])
        if len(values) > 1:
            raise AdapterError(f"{name} is claimed by several packages: {', '.join(sorted(values))}")
        known.setdefault(name, next(iter(entries)))
    return known


def make_adapters(config: Config) -> tuple[Loaded, ...]:
    """Make the adapters of icapd.yaml, in its order. Raises ConfigErrors: the faults of all of them."""
    if not config.adapters:
        return ()
    document = read_document(config.file)
    try:
        known = installed()
    except AdapterError as error:
        raise ConfigErrors([document.error(("adapters",), str(error))]) from None
    loaded: list[Loaded] = []
    errors: list[ConfigError] = []
    for at, entry in enumerate(config.adapters):
        try:
            loaded.append(_load(document, at, entry, known))
        except ConfigErrors as error:
            errors += error.errors
        except AdapterError as error:
            errors.append(document.error(("adapters", at, entry.kind), f"adapter {entry.name}: {error}"))
    if errors:
        raise ConfigErrors(errors)
    return tuple(loaded)


def _load(document: Document, at: int, entry: AdapterEntry, known: Mapping[str, EntryPoint]) -> Loaded:
    if entry.kind not in known:
        near = difflib.get_close_matches(entry.kind, known, n=1)
        advice = f"did you mean {near[0]}? " if near else ""
        names = ", ".join(sorted(known))
        raise ConfigErrors(
            [document.error(("adapters", at), f"no adapter {entry.kind}; {advice}Installed are {names}")]
        )
    factory = _factory(known[entry.kind])
    model = getattr(factory, "options", None)
    options: dict[str, object] = dict(entry.text.model_extra or {})
    timeout = entry.text.timeout
    if isinstance(model, type) and issubclass(model, BaseModel):
        if "timeout" in model.model_fields and "timeout" in entry.text.model_fields_set:
            options["timeout"] = timeout
        options = _checked(document, ("adapters", at, entry.kind), model, options)
        timeout += 1.0 if "timeout" in model.model_fields else 0.0  # its own comes first: it says more
    adapter = _made(factory, entry.name, options)
    line = document.where(("adapters", at))
    return Loaded(adapter, entry.kind, repr(sorted(options.items())), entry.text.on_error, timeout, line)


def _factory(entry: EntryPoint) -> Any:  # noqa: ANN401  (what it is, only using it tells)
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        advice = f": pip install '{extra}'" if extra else ""
        raise AdapterError(f"needs the module {error.name}{advice}") from error
    except Exception as error:  # whatever its module does when imported
        raise AdapterError(f"{entry.value} cannot be loaded: {_said(error)}") from error


def _checked(
    document: Document, place: tuple[str | int, ...], model: type[BaseModel], options: dict[str, object]
) -> dict[str, object]:
    """Return `options` with paths from the folder of icapd.yaml. Raises ConfigErrors."""
    try:
        checked = model.model_validate(options)
    except ValidationError as error:
        raise ConfigErrors(faults(document, model, error, place)) from error
    folder = Path(document.file).absolute().parent
    for name in options:
        value = getattr(checked, name, None)
        if isinstance(value, Path):
            options[name] = str(folder / value)
        elif isinstance(value, tuple) and value and all(isinstance(each, Path) for each in value):
            options[name] = [str(folder / each) for each in value]
    return options


def _made(factory: Any, name: str, options: Mapping[str, object]) -> Adapter:  # noqa: ANN401
    """Call the factory, and see that what it gives is an adapter."""
    try:
        adapter: Adapter = factory(name, options)
    except (AdapterError, ConfigErrors):
        raise
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise AdapterError("; ".join(lines)) from error
    except Exception as error:
        raise AdapterError(f"cannot be made: {_said(error)}") from error
    missing = [each for each in _METHODS if not inspect.iscoroutinefunction(getattr(adapter, each, None))]
    if not callable(getattr(adapter, "wants", None)):
        missing.append("wants")
    missing += [each for each in ("name", "tag") if not isinstance(getattr(adapter, each, None), str)]
    if missing:
        raise AdapterError(f"is no adapter: {type(adapter).__name__} lacks {', '.join(missing)}")
    if adapter.name != name:
        raise AdapterError(f"calls itself {adapter.name!r}")
    return adapter


def _said(error: BaseException) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
