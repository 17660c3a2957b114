"""Options on how bodies are kept until they are judged, and how they reach the user meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from icapd.options import File, Options, Seconds

_SIZE = re.compile(r"(\d{1,15})\s*([kmg])?(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _size(value: object) -> object:
    """Take 65536, "64k", "64 MiB" for a number of bytes."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("not a size such as 65536, 64k, 20m or 1g")
    return int(match[1]) * _FACTORS[(match[2] or "").lower()]


def _rate(value: object) -> object:
    """Take `unlimited` for 0, which stands for it."""
    return 0 if value == "unlimited" else _size(value)


Size = Annotated[int, BeforeValidator(_size)]


class DeliveryOptions(Options):
    """What a user gets of a download before it is judged."""

    hold: Size = Field(
        default=32 * 1024, ge=1, le=1 << 30, description="bytes held back at the end until the verdict"
    )
    rate: Annotated[int, BeforeValidator(_rate)] = Field(
        default=0, ge=0, description="bytes/s sent before the verdict; 0 or `unlimited`: as they come"
    )
    delay: float = Field(
        default=0.0, ge=0, le=3600, allow_inf_nan=False, description="s before the first byte is sent"
    )
    stream_after: Seconds = Field(
        default=30.0, description="s after which a response that drips, of unknown length, is a stream"
    )


class SpoolOptions(Options):
    """Where bodies are kept until they are judged; all connections share it."""

    directory: File = Field(
        default=Path("/var/tmp"),  # noqa: S108  # its files never have a name, or lose it at once
        description="of the files of larger bodies, which have no name",
    )
    body_memory: Size = Field(default=1024**2, description="bytes of one body kept in memory")
    memory: Size = Field(default=64 * 1024**2, description="bytes of all bodies in memory")
    disk: Size = Field(default=8 * 1024**3, description="bytes of all bodies on disk")
    wait: Seconds = Field(
        default=10.0, description="s that a body waits for room before it counts as unscannable"
    )
