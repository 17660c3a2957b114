"""YAML into plain values that know their lines; pydantic models held against them.

Every scalar stays text: YAML 1.1 would read 22:00 as 1320, no as False and 0123 as 83.
The tree is built from libyaml's event stream without recursion, so nesting cannot
overflow a stack, and aliases, tags and duplicate keys are refused where they stand.
"""

from __future__ import annotations

import difflib
import hashlib
import typing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
import yaml

from icapd.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Value = typing.Union[str, list["Value"], dict[str, "Value"]]  # noqa: UP007  (recursive: needs a name)
Place = tuple[str | int, ...]
Mark = typing.Union[int, tuple[int, typing.Union[list["Mark"], dict[str, "Mark"]]]]  # noqa: UP007  (recursive)
"""The line a part begins on, and for a list or mapping the marks of what it holds."""

MAX_BYTES = 1_000_000  # a policy of 5,000 rules has about 700,000
MAX_DEPTH = 50
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_Model = TypeVar("_Model", bound=pydantic.BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content: str, list and dict only, and the line each part stands on."""

    file: str
    value: Value
    marks: Mark = field(repr=False)
    digest: str = ""
    """Of the file's bytes, as `digest_of` gives it; "" where there is no file."""

    def where(self, place: Place) -> int:
        """Return the line (1-based) of the part at `place`, or of the nearest part around it.

        Steps that are not in the document (pydantic names union members) are passed over.
        """
        mark = self.marks
        for step in place:
            if isinstance(mark, int):
                break
            parts = mark[1]
            if isinstance(parts, dict):
                mark = parts.get(str(step), mark)
            elif isinstance(step, int) and 0 <= step < len(parts):
                mark = parts[step]
        return mark if isinstance(mark, int) else mark[0]

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
    return replace(parse_document(text, str(path)), digest=hashlib.sha256(data).hexdigest())


def digest_of(path: Path) -> str:
    """Return the digest of a file, or "" if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return ""


def parse_document(text: str, file: str) -> Document:
    """Read YAML text as if it stood in `file`. Raises ConfigErrors."""
    tree = _Tree(file)
    try:
        parser = _LOADER(text)
        try:
            tree.grow(parser.get_event)
        finally:
            parser.dispose()
    except yaml.YAMLError as error:
        tree.errors.append(_syntax_error(error, text, file))
    except (RecursionError, ValueError, OverflowError) as error:
        tree.errors.append(ConfigError(file, 0, f"cannot be read as YAML: {error}"))
    if tree.errors:
        raise ConfigErrors(tree.errors)
    if tree.root is None or tree.marks is None:
        raise ConfigErrors([ConfigError(file, 0, "is empty")])
    return Document(file, tree.root, tree.marks)


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
    """The document as far as it has been read: the container that is open, and a stack of those around it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[ConfigError] = []
        self.root: Value | None = None
        self.marks: Mark | None = None
        self.stack: list[tuple[Any, Any, str | None]] = []
        self.here: list[Value] | dict[str, Value] | None = None
        self.parts: Any = None  # the marks of what `here` holds
        self.key: str | None = None  # of a mapping, while its value is to come
        self.documents = 0

    def grow(self, get: Callable[[], yaml.Event | None]) -> None:
        """Take events until there are no more, or what is wrong keeps the rest from being read."""
        event: Any = get()
        while event is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.anchor is not None or event.tag is not None:
                    self._check_node(event)
                self._add(event.value, event.start_mark.line + 1)
            elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
                self.here, self.parts, self.key = self.stack.pop()
            elif not self._begin(event):
                return
            event = get()

    def _begin(self, event: yaml.Event) -> bool:
        """Take what is neither text nor an end; False ends the reading."""
        line = 1 + (event.start_mark.line if event.start_mark is not None else 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                return self._refuse(line, "a second document begins here; one file holds one")
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"aliases (*{event.anchor}) are not used here: write it out")
            self._add("", line)
        elif isinstance(event, yaml.NodeEvent):
            self._check_node(event)
            if len(self.stack) >= MAX_DEPTH:
                return self._refuse(line, f"nested more than {MAX_DEPTH} deep")
            self._open(line, is_list=isinstance(event, yaml.SequenceStartEvent))
        return True

    def _refuse(self, line: int, message: str) -> bool:
        self.errors.append(ConfigError(self.file, line, message))
        return False

    def _check_node(self, event: yaml.NodeEvent) -> None:
        line = 1 + (event.start_mark.line if event.start_mark is not None else 0)
        if event.anchor is not None:
            self._refuse(line, f"anchors (&{event.anchor}) are not used here")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(line, f"tags ({tag}) are not used here")

    def _open(self, line: int, *, is_list: bool) -> None:
        value: list[Value] | dict[str, Value] = [] if is_list else {}
        parts: list[Mark] | dict[str, Mark] = [] if is_list else {}
        after: str | None = None
        if type(self.here) is dict and self.key is None:
            self._refuse(line, "a key must be plain text")
            self._add("", line)
            after = ""  # its value is still to come and must not become a key
        else:
            self._add(value, line, parts)
        self.stack.append((self.here, self.parts, after))
        self.here, self.parts, self.key = value, parts, None

    def _add(self, value: Value, line: int, parts: list[Mark] | dict[str, Mark] | None = None) -> None:
        here = self.here
        if type(here) is dict:
            key = self.key
            if key is not None:
                here[key] = value
                if parts is not None and type(self.parts[key]) is int:
                    self.parts[key] = (self.parts[key], parts)
                self.key = None
                return
            self.key = value  # type: ignore[assignment]  # a container never comes here
            if value in self.parts:
                first = self.parts[value]
                first = first if isinstance(first, int) else first[0]
                self._refuse(line, f"{value!r} stands here twice (first in line {first})")
            else:
                self.parts[value] = line
            return
        mark: Mark = line if parts is None else (line, parts)
        if type(here) is list:
            here.append(value)
            self.parts.append(mark)
        else:
            self.root, self.marks = value, mark


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
