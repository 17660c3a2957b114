# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN204, ARG002
"""The adapter of docs/adapters.md, as a package of somebody else's."""

from icapd.verdicts import Finding, Kind, Verdict


class Hello:
    def __init__(self, name, options):
        self.name, self.tag, self.word = name, "1", str(options["word"]).encode()

    def wants(self, tx):
        return True

    async def start(self): ...
    async def stop(self): ...

    async def scan(self, xaction):
        hit = self.word in xaction.body.read(0, xaction.body.size)
        return Verdict((Finding(Kind.MALWARE, "Hello", self.name),) if hit else ())
