# mypy: ignore-errors
"""A class for pyicap that finds the mark, for where yara is not installed."""

from typing import Any

import pyicap

from tests.soak.clients import MARK

Base: Any = pyicap.BaseICAPRequestHandler


class Marked(Base):
    """Reads all; what holds the mark is malware."""

    def scan_REQMOD(self) -> None:
        data = b""
        while self.has_body and (piece := self.read_chunk()):
            data += piece
        self.set_icap_response(200 if MARK in data else 204)
        if MARK in data:
            self.set_icap_header(b"X-Infection-Found", b"Type=0; Resolution=2; Threat=Mark;")
            self.set_enc_status(b"HTTP/1.1 403 Forbidden")
        self.send_headers(False)

    scan_RESPMOD = scan_REQMOD  # noqa: N815  # as pyicap has it
