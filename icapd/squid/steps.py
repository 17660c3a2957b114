"""What Squid's external ACL asks about intercepted TLS, and the policy's answer: one line for one line.

A question is `ID CLIENT ADDRESS PORT PROXY_PORT SNI STEP`, URL-encoded, `-` for what is not known. At step 1
there is no TLS name yet: the answer says whether one must be looked at. At step 2 it says what is done.
Pure but for the clock, which is passed in, and `Answers`, which looks whether the policy's files changed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote

from icapd.errors import IcapdError
from icapd.http import HeadError, RequestHead
from icapd.policy import Allow, Bypass, Policy, load_policy
from icapd.transaction import Client, Point, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_UNKNOWN = "-"
_FIELDS = 7
_PEEKS = frozenset({"splice", "splice_if_sni_matches", "terminate"})
_LOOK_EVERY = 1.0  # s between two looks at the policy's files
_MAX_LINE = 8192
_MAX_DIGITS = 18


def reply(line: str, policy: Policy, now: float) -> str:
    """Answer one line (without its newline): `ID OK icapd_stepN=WORD`, or `ID BH message=…` if it is none.

    WORD is peek or bump at step 1; bump, splice or terminate at step 2. `now` is seconds since the epoch.
    """
    number, _, rest = line.partition(" ")
    fields = [unquote(each, "latin-1") for each in rest.split(" ")]
    fields = [each for each in fields if each][: _FIELDS - 1]
    if _number(number) is None or len(fields) != _FIELDS - 1 or len(line) > _MAX_LINE:
        return f"{0 if _number(number) is None else number} BH message=not-a-question"
    client, address, port, proxy_port, sni, step = fields
    try:
        if step == "1":
            return f"{number} OK icapd_step1={_first(client, proxy_port, policy, now)}"
        tx = _tunnel(client, address, port, proxy_port, sni, now)
        return f"{number} OK icapd_step2={_second(tx, policy)}"
    except (HeadError, UnicodeEncodeError):  # the latter for a name of no bytes that TLS can send
        return f"{number} OK icapd_step{'1=bump' if step == '1' else '2=terminate'}"


def _first(client: str, proxy_port: str, policy: Policy, now: float) -> str:
    """Look at the name unless it is certain that the tunnel will be decrypted."""
    tx = Transaction(Point.TLS, Client(_known(client)), proxy_port=_number(proxy_port), now=now)
    tls = policy.decide_tls(tx)
    return "peek" if tls.undecided is not None or tls.action in _PEEKS else "bump"


def _second(tx: Transaction, policy: Policy) -> str:
    """Decrypt what access denies, so that its page can be shown; else do what the tls rules say."""
    if not isinstance(policy.decide(tx).action, (Allow, Bypass)):
        return "bump"
    action = policy.decide_tls(tx).action
    if action == "splice_if_sni_matches":
        return "terminate" if tx.sni is None else "splice"
    return action


def _tunnel(  # noqa: PLR0917  (the fields of a line)
    client: str, address: str, port: str, proxy_port: str, sni: str, now: float
) -> Transaction:
    """Return the CONNECT that Squid will ask icapd about if it splices."""
    name = _known(sni)
    host = name or (f"[{address}]" if ":" in address else address)
    head = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    return Transaction(
        Point.REQMOD,
        Client(_known(client)),
        RequestHead(head.encode("latin-1")),
        sni=name,
        proxy_port=_number(proxy_port),
        now=now,
        addresses=() if _known(address) is None else (address,),
    )


def _known(text: str) -> str | None:
    return None if text == _UNKNOWN else text


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


class Answers:
    """The policy in `file`, loaded again when its files change; a faulty one leaves the last good one."""

    def __init__(self, file: Path) -> None:
        """Raise ConfigErrors if the policy cannot be loaded."""
        self._file = file
        self.policy = load_policy(file)
        self._stamps = _stamps(self.policy.files)
        self._looked = 0.0

    def reply(self, line: str, now: float, report: Callable[[str], object] = sys.stderr.write) -> str:
        """Answer one line, by the newest policy; faults of a new one go to `report`."""
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look(report)
        return reply(line, self.policy, now)

    def _look(self, report: Callable[[str], object]) -> None:
        stamps = _stamps(self.policy.files)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.policy = load_policy(self._file)
        except IcapdError as error:
            report("".join(f"icapd: the old policy stays: {each}\n" for each in str(error).splitlines()))
        else:
            self._stamps = _stamps(self.policy.files)


def _stamps(files: tuple[Path, ...]) -> tuple[tuple[int, int, int] | None, ...]:
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
