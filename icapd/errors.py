"""Errors whose text is what the user reads: one line each, no traceback."""

from collections.abc import Iterable
from pathlib import Path


class IcapdError(Exception):
    """A failure icapd foresaw; `str()` is the one line shown to the user."""

    exit_status = 1


class ConfigError(IcapdError):
    """One fault in a configuration file, printed as `file:line: message`.

    `line` is 1-based; 0 means the file as a whole.
    """

    exit_status = 2

    def __init__(self, file: str | Path, line: int, message: str) -> None:
        self.file = str(file)
        self.line = line
        self.message = message
        place = f"{self.file}:{line}" if line else self.file
        super().__init__(f"{place}: {message}")


class ConfigErrors(IcapdError):  # noqa: N818  (many of them)
    """Every fault found in one load, so that the user mends them in one go."""

    exit_status = 2

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.file, error.line)))
        super().__init__("\n".join(map(str, self.errors)))


class AdapterError(IcapdError):
    """Why an adapter cannot be made or can never work; one line, without the adapter's name."""

    exit_status = 2
