"""The process that workers are forked from: it has loaded one generation, and does nothing else.

Each generation has a nursery of its own, a fresh interpreter. So a worker that starts late has what the
others have adopted, whatever the files say by then, and shares its memory with them; and nothing that runs a
reactor or threads is ever forked.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle  # noqa: TID251  # what icapd's own processes tell each other
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icapd.config import load_config
from icapd.errors import IcapdError
from icapd.server.channel import fetch, post
from icapd.server.keeping import load_kept
from icapd.server.shares import keys_of, share_of
from icapd.server.tls import server_context
from icapd.server.worker import Birth, live

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icapd.config import Config
    from icapd.server.channel import Message

_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from icapd.server.nursery import main; main(int(sys.argv[1]))"
)
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_ADOPTION = 5.0  # s for the kernel to make the supervisor a new process's parent
_MAX_PROBLEMS = 20_000  # characters
_QUIET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def start_nursery(
    link: socket.socket, tunnels: int, ledgers: Sequence[int], base: Config, secret: bytes
) -> int:
    """Start one, whose end of the channel is `link`; return its process id. Raises OSError.

    It loads the files, and says so: {"kind": "loaded", …} or {"kind": "problems", …}. `base` are the options
    that a reload does not change.
    """
    settings, theirs = socket.socketpair()
    with settings, theirs:
        fds = (link.fileno(), theirs.fileno(), tunnels, *ledgers)
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-c", _START, str(theirs.fileno()), *filter(None, sys.path)],
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
        )
        order = {
            "base": base,
            "link": link.fileno(),
            "tunnels": tunnels,
            "ledgers": tuple(ledgers),
            "secret": secret,
            "supervisor": os.getpid(),
        }
        settings.sendall(pickle.dumps(order))
    process.returncode = 0  # the supervisor reaps all of its children itself
    return process.pid


def main(descriptor: int) -> None:
    """Load, say so, and fork a worker whenever one is asked for, until the supervisor lets go."""
    for each in _QUIET:
        signal.signal(each, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as settings, settings.makefile("rb") as stream:
        order: dict[str, Any] = pickle.load(stream)  # noqa: S301  # of the supervisor, which has started us
    name_process(b"icapd-nursery")
    tie_to(order["supervisor"])
    link = socket.socket(fileno=order["link"])
    link.setblocking(True)
    base: Config = order["base"]
    birth = _loaded(base, order)
    if not isinstance(birth, Birth):
        text, status = birth
        answer: Message = {"kind": "problems", "text": text[:_MAX_PROBLEMS], "status": status}
    else:
        answer = {"kind": "loaded", "digest": birth.generation.policy.digest, "key": birth.key}
    try:
        post(link, answer)
    except OSError:
        os._exit(0)  # nobody waits for it any more
    if not isinstance(birth, Birth):
        os._exit(0)
    gc.collect()
    gc.freeze()  # what was loaded stays: no collector needs to look at it, or write to its pages
    while True:
        message, fds = fetch(link)
        if message is None:
            os._exit(0)
        _fork(birth, message, fds, link)


def _loaded(base: Config, order: dict[str, Any]) -> Birth | tuple[str, int]:
    try:
        config = share_of(load_config(Path(base.file)), len(order["ledgers"]))
        generation = load_kept(config)
        secure = any(listen.scheme == "icaps" for listen in base.listen)
        context = server_context(base) if secure else None
    except IcapdError as error:
        return str(error), error.exit_status
    except Exception as error:  # noqa: BLE001  # whatever it is: the old generation stays
        return f"unforeseen: {type(error).__name__}: {error}", 1
    key = keys_of(config, generation)
    told = (order[name] for name in ("tunnels", "ledgers", "secret", "supervisor"))
    return Birth(base, generation, key, context, *told)


def _fork(birth: Birth, message: Message, fds: list[int], link: socket.socket) -> None:
    """Fork twice, so that the worker's parent is the supervisor, for better for worse."""
    middle = os.fork()
    if middle:
        os.close(fds[0])
        os.waitpid(middle, 0)
        return
    if os.fork():
        os._exit(0)
    status = 1
    try:
        link.close()
        tie_to(birth.supervisor)
        name_process(b"icapd-worker%d" % message["worker"])
        live(birth, message["worker"], socket.socket(fileno=fds[0]))
        status = 0
    except BaseException:  # noqa: BLE001  # nothing of this process may go on as the nursery
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def tie_to(supervisor: int) -> None:
    """End with the supervisor, by the kernel's hand: wait until it is the parent, then ask for that."""
    for _ in range(int(_ADOPTION * 1000)):
        if os.getppid() == supervisor:
            break
        time.sleep(0.001)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # it went before we asked
        os._exit(0)


def name_process(name: bytes) -> None:
    """Show as `name` in ps and top."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name, 0, 0, 0)
