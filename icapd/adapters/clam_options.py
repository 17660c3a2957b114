"""Options of the adapter `clamd` in icapd.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from icapd.options import File, Options, Seconds

_TCP = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_SIZE = re.compile(r"(\d{1,15})([KMG]?)", re.IGNORECASE)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}
_MAX_PORT = 65535
_MAX_SIZE = 1 << 40


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """Where clamd listens on TCP; `host` without brackets."""

    host: str
    port: int
    text: str


def _tcp(value: object) -> TcpPlace:
    match = _TCP.fullmatch(str(value))
    if match is None or not 0 < int(match[2]) <= _MAX_PORT:
        raise ValueError("not HOST:PORT, such as 127.0.0.1:3310")
    return TcpPlace(match[1].strip("[]"), int(match[2]), str(value))


def _size(value: object) -> int:
    match = _SIZE.fullmatch(str(value))
    if match is None:
        raise ValueError("not a number of bytes, such as 25M (as clamd.conf has it)")
    return int(match[1]) << _UNITS[match[2].upper()]


Size = Annotated[int, BeforeValidator(_size), Field(ge=0, le=_MAX_SIZE)]


class ClamdOptions(Options):
    """Where clamd is, and how much is asked of it."""

    socket: File = Field(
        default=Path("/run/clamav/clamd.ctl"), description="its Unix socket (LocalSocket in clamd.conf)"
    )
    tcp: Annotated[TcpPlace, PlainValidator(_tcp)] | None = Field(
        default=None, description="HOST:PORT instead of the socket (TCPSocket); it is not encrypted"
    )
    concurrency: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="scans at a time; keep it below MaxThreads (12 in Debian), which clamd does not tell",
    )
    timeout: Seconds = Field(
        default=30.0, description="s for all of one message, waiting for a turn included"
    )
    max_stream: Size = Field(
        default=25 << 20, description="bytes of one item it takes as a stream; at most its StreamMaxLength"
    )
    max_items: int = Field(default=1000, ge=1, le=1_000_000, description="of one message that are scanned")
    transfer: Literal["auto", "stream"] = Field(
        default="auto",
        description="how content reaches it: auto passes descriptors over a Unix socket where it takes them",
    )
    check: Seconds = Field(default=10.0, description="s between two questions for its database's version")

    @model_validator(mode="after")
    def _one_place(self) -> ClamdOptions:
        if self.tcp is not None and "socket" in self.model_fields_set:
            raise ValueError("socket and tcp are two places: give one of them")
        return self
