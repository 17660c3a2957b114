"""Options of the adapter `clamd`, and what is said of those that are none."""

from __future__ import annotations

import pytest

from icapd.adapters.clamd import Clamd
from icapd.errors import AdapterError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sockte": "x"}, "sockte: Extra inputs are not permitted"),
        ({"tcp": "clam"}, "tcp: Value error, not HOST:PORT, such as 127.0.0.1:3310"),
        ({"tcp": "clam:99999"}, "tcp: Value error, not HOST:PORT, such as 127.0.0.1:3310"),
        (
            {"max_stream": "25 MB"},
            "max_stream: Value error, not a number of bytes, such as 25M (as clamd.conf has it)",
        ),
        ({"concurrency": "0"}, "concurrency: Input should be greater than or equal to 1"),
        ({"tcp": "a:1", "socket": "/x"}, "socket and tcp are two places"),
        ({"transfer": "descriptor"}, "transfer: Input should be 'auto' or 'stream'"),
    ],
)
def test_options_it_cannot_take(options: dict[str, object], message: str) -> None:
    with pytest.raises(AdapterError) as raised:
        Clamd("clamd", options)
    assert message in str(raised.value)


def test_sizes_are_written_as_in_clamd_conf() -> None:
    assert Clamd("clamd", {"max_stream": "100M"})._options.max_stream == 100 << 20
    assert Clamd("clamd", {})._options.max_stream == 25 << 20
