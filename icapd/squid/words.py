"""One token of squid.conf, which has no quoting that holds for all its options."""

from __future__ import annotations

import re

# Quotes, ` and ( begin other syntaxes of squid.conf, # a comment, ${…} and %… are replaced by Squid.
_UNSAFE = re.compile(r"[^!*+,./0-9:=@A-Z\[\]_a-z~\x80-\U0010ffff-]")


def word(option: str, value: object) -> str:
    """Return `value` as one token of squid.conf. Raises ValueError if it would not be one."""
    text = str(value)
    if unsafe := _UNSAFE.search(text):
        msg = f"{option} {text!r}: squid.conf cannot hold {unsafe[0]!r}"
        raise ValueError(msg)
    return text
