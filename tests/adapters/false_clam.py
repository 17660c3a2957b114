"""A socket that takes scans and answers as a test says; in a thread, since the reactor has the test's own."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FalseClam:
    """Answers PING and VERSION as clamd does, and scans by `answer(number)`: the bytes to send, None to hang up.

    `b""` sends nothing, and keeps the connection. `scans` counts them.
    """

    def __init__(self, path: Path, answer: Callable[[int], bytes | None]) -> None:
        self.answer = answer
        self.scans = 0
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError, struct.error), connection, connection.makefile("rb") as file:
            number = 0
            while command := self._command(file):
                if command == b"zIDSESSION":
                    continue
                number += 1
                if command == b"zINSTREAM":
                    while size := struct.unpack("!I", file.read(4))[0]:
                        file.read(size)
                    if number == 3 and self.scans == 0 and self.connections == 1:
                        connection.sendall(b"3: stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND\0")
                        continue  # the question whether limits alert
                    self.scans += 1
                    answer = self.answer(number)
                    if answer is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    connection.sendall(answer)
                else:
                    said = {b"zPING": b"PONG", b"zVERSION": b"ClamAV 0.0/0/never"}[command]
                    connection.sendall(b"%d: %b\0" % (number, said))

    @staticmethod
    def _command(file: object) -> bytes:
        command = b""
        while (byte := file.read(1)) and byte != b"\0":  # type: ignore[attr-defined]
            command += byte
        return command

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def false_clam(path: Path, answer: Callable[[int], bytes | None]) -> Iterator[FalseClam]:
    """Listen on a Unix socket until the block ends."""
    clam = FalseClam(path, answer)
    try:
        yield clam
    finally:
        clam.close()
