"""Criteria on messages and on who asks, as written, into matchers. See icapd.policy.compile."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from icapd.http import TargetError, is_address, normal_host, parse_target
from icapd.policy.content import ContentLengthIs, FileNameIs, FileTypeIs, HashIs, Interval, MimeIs, SizeIs
from icapd.policy.facts import spellings
from icapd.policy.faults import each
from icapd.policy.filetypes import TYPES
from icapd.policy.homograph import HomographIs, skeleton
from icapd.policy.match import UrlPattern
from icapd.policy.message import REQUEST, RESPONSE, DirectionIs, HeaderIs, UpgradeIs
from icapd.policy.paths import PathIs, RegexIs
from icapd.policy.regexes import check_regex
from icapd.policy.schedule import ScheduleIs, read_hours
from icapd.policy.who import GroupIs, UserAgentIs
from icapd.policy.wildcards import Wildcard, read_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icapd.policy.match import Matcher

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MEDIA = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_SIZE = re.compile(r"(\d{1,15})\s*(?:([kmgt])i?)?b?(?:ytes)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_ALIASES = {"gz": "gzip", "bz2": "bzip2", "jpg": "jpeg", "htm": "html", "zst": "zstd", "dll": "exe"}
_DIGITS = {"md5": 32, "sha256": 64}


def near(value: str, known: Iterable[str], otherwise: str) -> str:
    """Return the advice that goes with an unknown word."""
    found = difflib.get_close_matches(value, known, n=1)
    return f"did you mean {found[0]!r}?" if found else otherwise


def _paths(values: tuple[str, ...]) -> PathIs:
    return PathIs(values, tuple(each(values, _read_path)))


def _read_path(text: str) -> UrlPattern:
    """Read [=]/path[?query]."""
    path = text.removeprefix("=")
    if not path.startswith("/") or path.startswith("//") or "#" in path:
        raise ValueError(f"{text!r} is no path: it begins with one '/' and has no fragment")
    target = parse_target("GET", "http://h" + path.encode().decode("latin-1"))
    normal = target.path or "/"
    exact = text.startswith("=")
    return UrlPattern(None, "", False, None, normal, target.query, exact, spellings(normal))


def _regexes(values: tuple[str, ...]) -> RegexIs:
    return RegexIs(tuple(each(values, check_regex)))


def _groups(values: tuple[str, ...]) -> GroupIs:
    folded = [value.casefold() for value in values]
    return GroupIs(
        values,
        frozenset(name for name in folded if "*" not in name),
        tuple(read_wildcard(name) for name in folded if "*" in name),
    )


def _agents(values: tuple[str, ...]) -> UserAgentIs:
    return UserAgentIs(values, tuple(read_wildcard(value.casefold()) for value in values))


def _directions(values: tuple[str, ...]) -> DirectionIs:
    return DirectionIs(tuple(each(values, _read_direction)))


def _read_direction(text: str) -> str:
    if text.lower() not in {REQUEST, RESPONSE}:
        raise ValueError(f"{text!r} is neither {REQUEST} nor {RESPONSE}")
    return text.lower()


def _mimes(values: tuple[str, ...]) -> MimeIs:
    return MimeIs(values, tuple(each(values, _read_mime)))


def _read_mime(text: str) -> Wildcard:
    if not _MEDIA.fullmatch(text.lower()):
        raise ValueError(f"{text!r} is no media type such as application/zip or video/* (no parameters)")
    return read_wildcard(text.lower())


def _file_types(values: tuple[str, ...]) -> FileTypeIs:
    return FileTypeIs(values, frozenset(each(values, _read_file_type)))


def _read_file_type(text: str) -> str:
    name = text.lower().lstrip(".")
    name = _ALIASES.get(name, name)
    if name not in TYPES:
        raise ValueError(f"unknown file type {text!r}; {near(name, TYPES, 'known are ' + ', '.join(TYPES))}")
    return name


def _file_names(values: tuple[str, ...]) -> FileNameIs:
    return FileNameIs(values, tuple(each(values, _read_file_name)))


def _read_file_name(text: str) -> Wildcard:
    if "/" in text or "\\" in text:
        raise ValueError(f"{text!r}: a file name has no folder; `path` and `url` look at those")
    return read_wildcard(text.casefold())


def read_size(text: str) -> Interval:
    """Read ">10MB", "<=1k", "1k-10k" or "0": bytes, with K, M, G, T of 1,024. Raises ValueError."""
    stripped = text.strip()
    sign = stripped[: 2 if stripped[1:2] == "=" else 1] if stripped[:1] in {"<", ">"} else ""
    if sign:
        size = _bytes(stripped[len(sign) :], text)
        if sign == "<" and not size:
            raise ValueError(f"{text!r}: nothing is smaller than 0 bytes")
        return {">": (size + 1, None), ">=": (size, None), "<": (0, size - 1), "<=": (0, size)}[sign]
    first, dash, last = stripped.partition("-")
    low = _bytes(first, text)
    high = _bytes(last, text) if dash else low
    if low > high:
        raise ValueError(f"{text!r} is no rising range of sizes")
    return low, high


def _bytes(size: str, text: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise ValueError(f'{text!r} is no size such as ">10MB", "<=1k" or "1k-10k"')
    return int(match[1]) * _UNITS[(match[2] or "").lower()]


def _sizes(values: tuple[str, ...]) -> SizeIs:
    return SizeIs(values, tuple(each(values, read_size)))


def _content_lengths(values: tuple[str, ...]) -> ContentLengthIs:
    return ContentLengthIs(values, tuple(each(values, read_size)))


def _hashes(criterion: str) -> Callable[[tuple[str, ...]], HashIs]:
    def read(text: str) -> str:
        digest = text.strip().lower()
        if not re.fullmatch(f"[0-9a-f]{{{_DIGITS[criterion]}}}", digest):
            raise ValueError(f"{text!r} is no {criterion}: {_DIGITS[criterion]} hexadecimal digits")
        return digest

    return lambda values: HashIs(values, frozenset(each(values, read)), criterion)


def _headers(criterion: str) -> Callable[[tuple[str, ...]], HeaderIs]:
    return lambda values: HeaderIs(values, tuple(each(values, _read_header)), criterion)


def _read_header(text: str) -> tuple[bytes, Wildcard, Wildcard]:
    name, colon, pattern = text.partition(":")
    if not _TOKEN.fullmatch(name.strip()):
        raise ValueError(f'{text!r} is no "Name: pattern" or {{Name: pattern}}')
    pattern = pattern.strip() if colon else "*"
    return name.strip().lower().encode(), read_wildcard(pattern.casefold()), read_wildcard(pattern)


def _upgrades(values: tuple[str, ...]) -> UpgradeIs:
    return UpgradeIs(values, frozenset(each(values, _read_upgrade)))


def _read_upgrade(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is no protocol such as websocket, h2c or *")
    return text.lower()


def _schedules(values: tuple[str, ...]) -> ScheduleIs:
    return ScheduleIs(values, tuple(each(values, read_hours)))


def _homographs(values: tuple[str, ...]) -> HomographIs:
    names = each(values, _read_name)
    return HomographIs(values, frozenset(names), frozenset(map(skeleton, names)))


def _read_name(text: str) -> str:
    try:
        name = normal_host(text.removeprefix("*."))
    except TargetError as error:
        raise ValueError(str(error)) from error
    if is_address(name) or "." not in name:
        raise ValueError(f"{text!r} is no name with a dot in it")
    return name


COMPILERS: dict[str, Callable[[tuple[str, ...]], Matcher]] = {
    "path": _paths,
    "regex": _regexes,
    "group": _groups,
    "user_agent": _agents,
    "direction": _directions,
    "mime": _mimes,
    "file_type": _file_types,
    "file_name": _file_names,
    "size": _sizes,
    "content_length": _content_lengths,
    "md5": _hashes("md5"),
    "sha256": _hashes("sha256"),
    "header": _headers("header"),
    "request_header": _headers("request_header"),
    "upgrade": _upgrades,
    "schedule": _schedules,
    "homograph": _homographs,
}
