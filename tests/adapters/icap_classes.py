# mypy: ignore-errors
"""Classes as people have written them for pyicap, for its adapter to run."""

from typing import Any

import pyicap

Base: Any = pyicap.BaseICAPRequestHandler


class Scanner(Base):
    """Reads all; replaces what holds EVIL with a page, and tells of VIRUS in a header."""

    def scan_OPTIONS(self) -> None:
        self.set_icap_response(200)
        self.send_headers(False)

    def scan_RESPMOD(self) -> None:
        data = b""
        while self.has_body:
            piece = self.read_chunk()
            if piece == b"":
                if self.preview is None or self.ieof or not self.wants_more(data):
                    break
                self.cont()
                self.preview = None
            data += piece
        if b"VIRUS" in data:
            self.set_icap_response(200)
            self.set_icap_header(b"X-Infection-Found", b"Type=0; Resolution=2; Threat=Vir.Us;")
            self.set_enc_status(b"HTTP/1.1 200 OK")
            self.send_headers(False)
        elif b"EVIL" in data:
            self.set_icap_response(200)
            self.set_enc_status(b"HTTP/1.1 403 Forbidden")
            self.send_headers(True)
            self.write_chunk(b"no")
            self.write_chunk(b"")
        elif b"CRASH" in data:
            raise ZeroDivisionError
        else:
            self.set_icap_response(204)
            self.send_headers()

    def wants_more(self, data: bytes) -> bool:
        return not data.startswith(b"fine")


class Garbage(Base):
    def scan_RESPMOD(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")


class Silent(Base):
    def scan_RESPMOD(self) -> None:
        self.close_connection = True


class Uploads(Base):
    """Looks at requests alone, in a preview first."""

    def scan_REQMOD(self) -> None:
        data = b""
        while self.has_body:
            piece = self.read_chunk()
            data += piece
            if piece == b"":
                if self.preview is None or self.ieof:
                    break
                self.cont()
                self.preview = None
        self.set_icap_response(200 if b"EVIL" in data else 204)
        if b"EVIL" in data:
            self.set_enc_status(b"HTTP/1.1 403 Forbidden")
            self.send_headers(True)
            self.write_chunk(b"no such uploads")
            self.write_chunk(b"")
        else:
            self.send_headers()
