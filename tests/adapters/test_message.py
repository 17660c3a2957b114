"""What an adapter is given stays readable while anybody reads it."""

import os

import pytest

from icapd.adapters.message import Held
from tests.adapters.messages import message
from tests.adapters.scanning import Bytes


def test_the_last_who_lets_go_closes() -> None:
    with message(b"abc") as one:
        body = Bytes(b"abcdef")
        copy = os.dup(one.report.items[0].fd)
        os.close(copy)
        held = Held(type(one.report)(()), body)
        kept = held.body
        os.close(body.fileno())
        held.take()
        held.release()
        assert kept.read(2, 100) == b"cdef"
        assert kept.read(7, 1) == b""
        held.release()
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(kept.fileno())
