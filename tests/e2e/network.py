"""Three network namespaces for interception: a client, Squid's machine between, the origins.

They are held by file descriptors alone and so end with the process, whatever happens to it. Squid's
machine takes all that comes in from either side for its own (policy routing), which is what TPROXY needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT, ORIGIN = "10.8.0.2", "10.9.1.1"
_NEWNET = 0x40000000  # CLONE_NEWNET
_C = ctypes.CDLL(None, use_errno=True)
_HERE = "/proc/thread-self/ns/net"


class Network:
    """The three namespaces; entering one concerns the calling thread and the programs it starts."""

    def __init__(self) -> None:
        """Raise OSError where the machine does not allow it."""
        self._spaces: dict[str, int] = {}
        home = os.open(_HERE, os.O_RDONLY)
        try:
            for name in ("client", "squid", "origin"):
                _checked(_C.unshare(_NEWNET))
                self._spaces[name] = os.open(_HERE, os.O_RDONLY)
                _ip("link set lo up")
        finally:
            _checked(_C.setns(home, _NEWNET))
            os.close(home)
        self._wire()

    def _wire(self) -> None:
        places = {name: f"/proc/{os.getpid()}/fd/{fd}" for name, fd in self._spaces.items()}
        with self.inside("squid"):
            _ip(f"link add s0 type veth peer name c0 netns {places['client']}")
            _ip(f"link add s1 type veth peer name o0 netns {places['origin']}")
            _ip(
                "addr add 10.8.0.1/24 dev s0",
                "link set s0 up",
                "addr add 10.9.1.254/24 dev s1",
                "link set s1 up",
            )
            _ip("-6 addr add fd08::1/64 dev s0 nodad", "-6 addr add fd09::254/64 dev s1 nodad")
            _ip("rule add iif s0 lookup 100", "rule add iif s1 lookup 100")
            _ip("route add local 0.0.0.0/0 dev lo table 100")
            _ip("-6 rule add iif s0 lookup 100", "-6 rule add iif s1 lookup 100")
            _ip("-6 route add local ::/0 dev lo table 100")
        with self.inside("client"):
            _ip(f"addr add {CLIENT}/24 dev c0", "link set c0 up", "route add default via 10.8.0.1")
            _ip("-6 addr add fd08::2/64 dev c0 nodad", "-6 route add default via fd08::1")
        with self.inside("origin"):
            _ip(f"addr add {ORIGIN}/24 dev o0", "link set o0 up", "route add default via 10.9.1.254")
            _ip("-6 addr add fd09::1/64 dev o0 nodad", "-6 route add default via fd09::254")

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Move this thread into the namespace "client", "squid" or "origin", and back."""
        home = os.open(_HERE, os.O_RDONLY)
        try:
            _checked(_C.setns(self._spaces[name], _NEWNET))
            yield
        finally:
            _checked(_C.setns(home, _NEWNET))
            os.close(home)

    def close(self) -> None:
        """Let the namespaces go, with all that is in them."""
        while self._spaces:
            os.close(self._spaces.popitem()[1])


def _checked(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*commands: str) -> None:
    for command in commands:
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"ip {command}: {done.stderr.strip()}"
            raise OSError(msg)
