"""Three network namespaces for interception: a client, Squid's machine between, the origins.

They are held by file descriptors alone and so end with the process, whatever happens to it. Squid's
machine takes all that comes in from either side for its own (policy routing), which is what TPROXY needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT, ORIGIN = "10.8.0.2", "10.9.1.1"
NAT_CLIENT = "10.8.0.3"  # what comes from here goes to Squid's machine by NAT, where there is nft
ELSEWHERE, DENIED, ORIGIN6, UNREAD6 = (
    "10.9.1.3",
    "10.9.1.77",
    "fd09::1",
    "fd09::2",
)  # further addresses of the origins' machine
_NAT = """
table ip icapd_nat {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip saddr {client} tcp dport 80 redirect to :{http}
    ip saddr {client} tcp dport 443 redirect to :{https}
  }}
}}
"""
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
            _ip(f"addr add {CLIENT}/24 dev c0", f"addr add {NAT_CLIENT}/24 dev c0")
            _ip("link set c0 up", "route add default via 10.8.0.1")
            _ip("-6 addr add fd08::2/64 dev c0 nodad", "-6 route add default via fd08::1")
        with self.inside("origin"):
            _ip(f"addr add {ORIGIN}/24 dev o0", f"addr add {ELSEWHERE}/24 dev o0")
            _ip(f"addr add {DENIED}/24 dev o0")
            _ip("link set o0 up", "route add default via 10.9.1.254")
            _ip(f"-6 addr add {UNREAD6}/64 dev o0 nodad")
            _ip(f"-6 addr add {ORIGIN6}/64 dev o0 nodad", "-6 route add default via fd09::254")

    def redirect(self, http: int, https: int) -> bool:
        """Bring what NAT_CLIENT opens to these ports of Squid's machine; False where there is no nft."""
        nft = shutil.which("nft", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if nft is None:
            return False
        rules = _NAT.format(client=NAT_CLIENT, http=http, https=https)
        with self.inside("squid"):
            done = subprocess.run([nft, "-f", "-"], input=rules, text=True, capture_output=True, check=False)
        return done.returncode == 0

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
