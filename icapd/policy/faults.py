"""Values of a criterion read one by one, with everything that is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")


class Faults(Exception):  # noqa: N818  (a collection, not one error)
    """Which values of a criterion are wrong: (index, message)."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def each(values: Iterable[str], read: Callable[[str], _T]) -> list[_T]:
    """Read every value. Raises Faults with all that cannot be read (ValueError)."""
    out: list[_T] = []
    faults: list[tuple[int, str]] = []
    for index, value in enumerate(values):
        try:
            out.append(read(value))
        except ValueError as error:
            faults.append((index, str(error)))
    if faults:
        raise Faults(faults)
    return out
