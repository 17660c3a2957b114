"""YAML into plain values that know their lines; pydantic models held against them.

Every scalar stays text: YAML 1.1 would read 22:00 as 1320, no as False and 0123 as 83.
The tree is built from libyaml's event stream without recursion, so nesting cannot
overflow a stack, and aliases, tags and duplicate keys are refused where they stand.
"""

from __future__ import annotations

import difflib
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
import yaml

from icapd.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Value = typing.Union[str, list["Value"], dict[str, "Value"]]  # noqa: UP007  (recursive: needs a name)
Place = tuple[str | int, ...]

MAX_BYTES = 1_000_000  # a policy of 5,000 rules has about 700,000
MAX_DEPTH = 50
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_Model = TypeVar("_Model", bound=pydantic.BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content: str, list and dict only, and the line each part stands on."""

    file: str
    value: Value
    lines: dict[Place, int] = field(repr=False)

    def where(self, place: Place) -> int:
        """Return the line (1-based) of the part at `place`, or of the nearest part around it.

        Steps that are not in the document (pydantic names union members) are passed over.
        """
        here: Place = ()
        for step in place:
            if (*here, step) in self.lines:
                here = (*here, step)
        return self.lines.get(here, 0)

    def error(self, place: Place, message: str) -> ConfigError:
        """Return `message` as an error at `place`."""
        return ConfigError(self.file, self.where(place), message)


def read_document(path: Path) -> Document:
    """Read one YAML file. Raises ConfigErrors with everything that is wrong with it."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigErrors([ConfigError(path, 0, f"cannot be read: {reason}")]) from error
    if len(data) > MAX_BYTES:
        raise ConfigErrors([ConfigError(path, 0, f"is larger than {MAX_BYTES:,} bytes")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigErrors([ConfigError(path, line, "is not UTF-8")]) from error
    return parse_document(text, str(path))


def parse_document(text: str, file: str) -> Document:
    """Read YAML text as if it stood in `file`. Raises ConfigErrors."""
    tree = _Tree(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if not tree.take(event):
                break
    except yaml.YAMLError as error:
        tree.errors.append(_syntax_error(error, text, file))
    except (RecursionError, ValueError, OverflowError) as error:
        tree.errors.append(ConfigError(file, 0, f"cannot be read as YAML: {error}"))
    if tree.errors:
        raise ConfigErrors(tree.errors)
    if tree.root is None:
        raise ConfigErrors([ConfigError(file, 0, "is empty")])
    return Document(file, tree.root, tree.lines)


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "this is not YAML"
        if "nesting depth" in problem:  # libyaml 0.2.6 reads ahead, and has a limit of its own
            return ConfigError(file, mark.line + 1, f"nested more than {MAX_DEPTH} deep")
        return ConfigError(file, mark.line + 1, f"not YAML: {problem}")
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 0
    return ConfigError(file, line, f"not YAML: {getattr(error, 'reason', error)}")


class _Tree:
    """The document as far as it has been read: a stack of open lists and mappings."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[ConfigError] = []
        self.lines: dict[Place, int] = {}
        self.root: Value | None = None
        self.stack: list[tuple[list[Value] | dict[str, Value], Place]] = []
        self.key: str | None = None
        self.keys: list[str | None] = []
        self.documents = 0

    def take(self, event: yaml.Event) -> bool:
        """Add one event; False ends the reading."""
        line = 1 + (event.start_mark.line if event.start_mark is not None else 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                return self._refuse(line, "a second document begins here; one file holds one")
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"aliases (*{event.anchor}) are not used here: write it out")
            self._add("", line)
        elif isinstance(event, yaml.NodeEvent):
            self._check_node(event, line)
            if isinstance(event, yaml.ScalarEvent):
                self._add(event.value, line)
            else:
                return self._open([] if isinstance(event, yaml.SequenceStartEvent) else {}, line)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self.stack.pop()
            self.key = self.keys.pop()
        return True

    def _refuse(self, line: int, message: str) -> bool:
        self.errors.append(ConfigError(self.file, line, message))
        return False

    def _check_node(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            self._refuse(line, f"anchors (&{event.anchor}) are not used here")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(line, f"tags ({tag}) are not used here")

    def _open(self, value: list[Value] | dict[str, Value], line: int) -> bool:
        if len(self.stack) >= MAX_DEPTH:
            return self._refuse(line, f"nested more than {MAX_DEPTH} deep")
        if self._wants_key():
            self._refuse(line, "a key must be plain text")
            place = self._add("", line)
            self.key = None  # its value is still to come and must not become a key
            self.keys.append("")
            self.stack.append((value, (*place, "?")))
            return True
        place = self._add(value, line)
        self.keys.append(self.key)
        self.stack.append((value, place))
        self.key = None
        return True

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1][0], dict) and self.key is None

    def _add(self, value: Value, line: int) -> Place:
        if not self.stack:
            self.root = value
            self.lines[()] = line
            return ()
        parent, at = self.stack[-1]
        if isinstance(parent, list):
            place: Place = (*at, len(parent))
            parent.append(value)
        elif self.key is None:
            self.key = str(value)
            place = (*at, self.key)
            if place in self.lines:
                self._refuse(line, f"{self.key!r} stands here twice (first in line {self.lines[place]})")
            else:
                self.lines[place] = line
            return place
        else:
            place = (*at, self.key)
            parent[self.key] = value
            self.key = None
            return place
        self.lines[place] = line
        return place


def validate(document: Document, model: type[_Model]) -> _Model:
    """Hold a pydantic model against `document`. Raises ConfigErrors: all faults, with lines."""
    try:
        return model.model_validate(document.value)
    except pydantic.ValidationError as error:
        raise ConfigErrors(faults(document, model, error)) from error
    except RecursionError as error:
        raise ConfigErrors([document.error((), "is nested too deeply")]) from error


def faults(
    document: Document, model: type[pydantic.BaseModel], error: pydantic.ValidationError, part: Place = ()
) -> Iterator[ConfigError]:
    """Yield what `error` says of `document`, or of the part of it that was held against `model`."""
    for fault in error.errors(include_url=False):
        place: Place = fault["loc"]
        yield document.error((*part, *place), _message(model, place, fault["type"], fault["msg"]))


def _message(model: type[pydantic.BaseModel], place: Place, kind: str, text: str) -> str:
    name = ".".join(map(str, place))
    if kind == "extra_forbidden":
        known = sorted(set(_keys_at(model, place[:-1])))
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.6)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {str(place[-1])!r}; {advice}"
    if kind == "missing":
        return f"{str(place[-1])!r} is missing"
    if kind in {"model_type", "model_attributes_type", "dict_type", "mapping_type"}:
        return f"{name or 'the file'} must be a mapping (key: value)"
    if kind in {"list_type", "tuple_type"}:
        return f"{name} must be a list"
    if kind == "string_type":
        return f"{name} must be text"
    return f"{name}: {text.removeprefix('Value error, ').removeprefix('Input ').strip()}"


def _keys_at(model: type[pydantic.BaseModel], place: Place) -> Iterator[str]:
    """Yield the keys a mapping at `place` may have."""
    types: list[Any] = [model]
    for step in place:
        found = []
        for each in types:
            for one in _models(each):
                info = one.model_fields.get(step) if isinstance(step, str) else None
                info = info or next((f for f in one.model_fields.values() if f.alias == step), None)
                if info is not None:
                    found.append(info.annotation)
        types = found or types  # a list index or a union's member: stay
    for each in types:
        for one in _models(each):
            yield from (info.alias or name for name, info in one.model_fields.items())


def _models(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    """Yield the models in an annotation such as tuple[Rule, ...] | None."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
