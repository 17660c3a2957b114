"""A decision found by its reference: in the event store, or in the log and what it was rotated to."""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from icapd.errors import IcapdError
from icapd.events.rows import moment_of
from icapd.events.search import Search, host_of, read_records
from icapd.reports.joined import AFTER, BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.events.store import Store

Record = dict[str, Any]
_IDENTITY = re.compile(r"[a-z0-9]{4,16}-[0-9a-f]{1,16}")
_AROUND = "\"'()[]<>,.;:#"  # what may stand around a word
_MAX_OTHERS = 5000


@dataclass(frozen=True, slots=True)
class Found:
    """A decision, the digest of the policy then, and records around it, some of which may belong to it."""

    record: Record
    policy: str | None
    others: tuple[Record, ...]


def read_identity(text: str) -> str | None:
    """Return the reference in what a user pasted: itself, a sentence with it, or a line of Squid's log."""
    words = (word.strip(_AROUND) for word in text.lower().split())
    return next((word for word in words if _IDENTITY.fullmatch(word)), None)


def in_store(store: Store, identity: str) -> Found | None:
    """Find a decision in the store. Raises StoreError."""
    held = store.by_id(identity)
    decisions = [one for one in held if not one.record.get("event")]
    if not held:
        return None
    one = (decisions or held)[0]
    others = [each.record for each in held if each is not one]
    search = _around(one.record)
    if search is not None:
        others += [each for each in store.search(search, limit=_MAX_OTHERS) if each.get("id") != identity]
    return Found(one.record, one.policy, tuple(others))


def _around(record: Record) -> Search | None:
    """Return the search for what may belong to `record`: by time and host, and client where that is told."""
    moment, host = moment_of(record.get("time")), host_of(str(record.get("url") or ""))
    host = host.encode("utf-8", "replace").decode()  # JSON can hold half a surrogate pair, SQL cannot
    if moment is None or not host:
        return None
    at = datetime.fromtimestamp(moment, UTC)
    client = None
    with suppress(ValueError):
        client = str(ipaddress.ip_address(str(record.get("client"))))
    return Search(at - timedelta(seconds=BEFORE), at + timedelta(seconds=AFTER), client, host=host)


def in_log(log: Path, identity: str) -> Found | None:
    """Find a decision in the log file or what it was rotated to, the newest first. Raises IcapdError."""
    files = _rotated(log)
    source = identity.partition("-")[0]
    for number, file in enumerate(files):
        record, policy, held = _look(file, identity, source)
        if record is None:
            continue
        for older in files[number + 1 :]:
            if policy is not None:
                break
            policy = _look(older, "", source)[1]
        search = _around(record)
        near = files[max(0, number - 1) : number + 2]
        if search is not None:
            held += [one for each in near for one in _searched(each, search) if one.get("id") != identity]
        return Found(record, policy, tuple(held))
    return None


def _rotated(log: Path) -> list[Path]:
    """Return the log and its predecessors, the newest first; there need be none."""
    older = [file for file in log.parent.glob(f"{log.name}[.-]*") if file.is_file()]
    older.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return ([log] if log.exists() else []) + older


def _lines(file: Path) -> Iterator[bytes]:
    try:
        if file.suffix == ".gz":
            with gzip.open(file) as stream:
                yield from stream
        else:
            with file.open("rb") as stream:
                yield from stream
    except (OSError, EOFError) as error:
        raise IcapdError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _look(file: Path, identity: str, source: str) -> tuple[Record | None, str | None, list[Record]]:
    """Return the decision, the digest of the policy before it, and other records of the same reference."""
    wanted, process = f'"{identity}"'.encode(), f'"{source}"'.encode()
    record: Record | None = None
    policy: str | None = None
    held: list[Record] = []
    for line in _lines(file):
        is_policy = record is None and b'"policy"' in line and process in line
        if not (is_policy or (identity and wanted in line)):
            continue
        with suppress(ValueError, RecursionError):
            one = json.loads(line)
            if not isinstance(one, dict):
                continue
            if one.get("event") == "policy" and one.get("source") == source and record is None:
                policy = str(one.get("digest"))
            elif one.get("id") == identity and record is None and not one.get("event"):
                record = one
            elif identity in {one.get("id"), one.get("again")}:
                held.append(one)
    return record, policy, held


def _searched(file: Path, search: Search) -> Iterator[Record]:
    count = 0
    for record in read_records(_lines(file)):
        if record is not None and search.finds(record):
            count += 1
            yield record
        if count >= _MAX_OTHERS:
            return


def texts_in(directory: Path, digest: str) -> dict[str, str] | None:
    """Return the texts of a policy that the store has not taken in yet, None if there are none."""
    try:
        found = json.loads((directory / f"{digest}.json").read_bytes())
        return {str(name): str(text) for name, text in found.get("files", found).items()}
    except (OSError, ValueError, AttributeError):
        return None
