"""docs/configuration.md, made from the options themselves: `python -m tests.options_page` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from icapd.config import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
_HEAD = """\
# Options of icapd.yaml

All of them, made from the program by `python -m tests.options_page`; a test keeps this page equal to it. `icapd check` prints each with the
value in force. Only `listen` and `policy` must be given. Relative paths begin at the file's folder. Unknown names are errors, with their line.
Times are in seconds (s), sizes in bytes; those of `delivery` and `spool` may be written `64k`, `20m`, `1g`.

```yaml
# icapd.yaml
listen: ["icap://127.0.0.1:1344"]
policy: policy.yaml
delivery: {rate: 16k, delay: 5}
limits: {scan: 45}
```
"""
_MORE = {
    "content": "What is looked into: [content](content.md).",
    "delivery": "Which to choose: [policy](policy.md#delivery).",
    "squid": "What is made of these: [CONNECT and TLS](tls.md).",
    "users": "More of it: [users and groups](users.md).",
}


_BESIDE = {"adapters": "; options of each kind: [adapters](adapters.md)"}


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_section("icapd.yaml", Options, "")])


def _section(title: str, model: type[BaseModel], path: str) -> Iterator[str]:
    yield f"## {title}\n"
    if model.__doc__:
        yield f"{model.__doc__.strip().splitlines()[0]}\n"
    if path in _MORE:
        yield f"{_MORE[path]}\n"
    below: list[tuple[str, type[BaseModel]]] = []
    rows = []
    for name, field in model.model_fields.items():
        inner = _model(field.annotation)
        place = f"{path}.{name}" if path else name
        if inner is not None:
            below.append((place, inner))
        says = field.description or (f"[{place}](#{place.replace('.', '')})" if inner else "")
        says += _BESIDE.get(place, "")
        rows.append(f"| `{name}` | {_default(field, inner)} | {_cell(says)}{_values(field.annotation)} |")
    yield "\n".join(["| option | default | |", "|---|---|---|", *rows, ""])
    for place, inner in below:
        yield from _section(place, inner, place)


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside Optional, tuple and the like, but no RootModel."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        root = annotation.model_fields.get("root")
        return annotation if root is None else None
    return next((found for each in get_args(annotation) if (found := _model(each)) is not None), None)


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " (" + ", ".join(f"`{each}`" for each in get_args(annotation)) + ")"
    return ""


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:  # noqa: PLR0911  (one for each kind of value)
    value = field.default
    if value is PydanticUndefined:
        return "must be given"
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple) and inner is not None:
        return ", ".join(f"`{each.model_dump_json(exclude_defaults=True)}`" for each in value)
    if inner is not None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{value}`" if isinstance(value, (int, str, Path)) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
