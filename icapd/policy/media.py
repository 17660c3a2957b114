"""What a message's header says of its content: media types and length, in every way to say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from icapd.http import HeadError

if TYPE_CHECKING:
    from icapd.http import Headers

_MAX_LENGTH = 2**63 - 1
# A member of a list: quoted strings hold commas; one that never ends takes the rest (Fetch §2.2.2).
_MEMBER = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?$))+', re.DOTALL)


def members(value: str) -> list[str]:
    """Return the members of a comma list (RFC 9110 §5.6.1), quoted commas kept."""
    return [member.strip() for member in _MEMBER.findall(value) if member.strip()]


def media_types(headers: Headers) -> tuple[str, ...]:
    """Return every type/subtype in Content-Type, lower-case, without parameters, each once."""
    found: dict[str, None] = {}
    for value in headers.get_all(b"content-type"):
        for member in members(value.decode("latin-1")):
            found["".join(member.partition(";")[0].split()).strip("\"'").lower()] = None
    return tuple(found)


def content_length(headers: Headers) -> int | None:
    """Return the Content-Length in bytes, or None without one.

    Raises HeadError if it is no number of 63 bits or if two differ.
    """
    values = headers.get_all(b"content-length")
    if not values:
        return None
    if len(values) == 1 and len(values[0]) < 19 and values[0].isdigit():  # noqa: PLR2004
        return int(values[0])
    numbers = {part.strip() for value in values for part in value.split(b",")}
    number = numbers.pop()
    if numbers or not number.isdigit() or len(number) > 19 or int(number) > _MAX_LENGTH:  # noqa: PLR2004
        raise HeadError("the Content-Length is not one number that a length can have")
    return int(number)
