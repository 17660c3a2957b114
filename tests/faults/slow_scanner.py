# mypy: ignore-errors
"""A scanner that takes its time, as a class written for pyicap."""

import time
from typing import Any

import pyicap

Base: Any = pyicap.BaseICAPRequestHandler
SECONDS = 0.2


class Slow(Base):
    """Reads all, waits, finds nothing."""

    def scan_REQMOD(self) -> None:
        while self.has_body and self.read_chunk():
            pass
        time.sleep(SECONDS)
        self.set_icap_response(204)
        self.send_headers()

    scan_RESPMOD = scan_REQMOD  # noqa: N815  # as pyicap has it
