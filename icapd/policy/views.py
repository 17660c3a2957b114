"""Attributes made when they are first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class View(Generic[_T]):
    """What functools.cached_property is, without the lock that it takes in Python 3.11.

    The lock costs more than most of what is made here; one thread asks about one transaction.
    """

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, owner: None, kind: type[Any]) -> Self: ...

    @overload
    def __get__(self, owner: object, kind: type[Any]) -> _T: ...

    def __get__(self, owner: object | None, kind: type[Any]) -> Self | _T:
        """Make the value and put it where it is found without asking here again."""
        if owner is None:
            return self
        value = self.make(owner)
        owner.__dict__[self.name] = value
        return value
