# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN204, ARG002
"""The adapter of docs/own-adapter.md, as a package of somebody else's."""

import os

from icapd.verdicts import Finding, Kind, Verdict


class Hello:
    def __init__(self, name, options):
        self.name, self.tag, self.word = name, "1", str(options["word"]).encode()

    def wants(self, tx):
        return True

    async def start(self): ...
    async def stop(self): ...

    async def scan(self, xaction):
        for item in xaction.report.items:
            if self.word in os.pread(item.fd, item.size, 0):
                return Verdict((Finding(Kind.MALWARE, "Hello", self.name),))
        return Verdict()
