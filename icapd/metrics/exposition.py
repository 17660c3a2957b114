"""Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0 for who asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icapd.metrics.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from icapd.metrics.families import Family
    from icapd.metrics.samples import Sample

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def exposition(found: Mapping[str, Sequence[Sample]], *, open_metrics: bool = False) -> str:
    """Return all metrics that have samples."""
    lines: list[str] = []
    for family in FAMILIES:
        samples = found.get(family.name)
        if samples:
            lines += _family(family, samples, open_metrics=open_metrics)
    return "".join(f"{line}\n" for line in (*lines, *(["# EOF"] if open_metrics else [])))


def _family(family: Family, samples: Sequence[Sample], *, open_metrics: bool) -> Iterator[str]:
    name = family.name.removesuffix("_total") if open_metrics else family.name
    yield f"# HELP {name} {family.says.translate(_ESCAPES) if open_metrics else family.says}"
    yield f"# TYPE {name} {family.kind}"
    for sample in samples:
        labels = ",".join(f'{key}="{_label(value)}"' for key, value in sample.labels)
        yield f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _label(value: str) -> str:
    """Return a value as UTF-8 can hold it (of file names: what is none is replaced)."""
    return value.encode("utf-8", "replace").decode("utf-8").translate(_ESCAPES)


def _number(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))
