"""`icapd ping`: ask each service of an ICAP server for its OPTIONS, as a health check does."""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING

import click

from icapd.cli.options import config_option
from icapd.config import load_config
from icapd.doctor.control import say
from icapd.errors import IcapdError
from icapd.protocol import ClientConnection, ConnectionEnded, ProtocolError, Request, ResponseReceived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.config import Listen

_SERVICES = ("reqmod", "respmod")
_OK = 200
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to reach who listens everywhere


@click.command()
@config_option
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait for each answer.")
def ping(config_file: Path, timeout: float) -> int:
    """Ask the running icapd for OPTIONS; exit status 1 if a service does not answer."""
    failed = False
    config = load_config(config_file)
    for listen in config.listen:
        for service in _SERVICES:
            try:
                click.echo(_ask(listen, service, timeout))
            except (OSError, ProtocolError) as error:
                failed = True
                why = getattr(error, "strerror", None) or str(error)
                click.echo(f"icapd: {listen.text}/{service}: {why}", err=True)
    if config.control is not None:
        for line in _serving(config.control):
            click.echo(line)
    return int(failed)


def _serving(control: Path) -> Iterator[str]:
    """Say who serves, if that can be asked: the control socket is for its owner alone."""
    try:
        answer = say(control, command="status")
    except IcapdError:
        return
    for worker in answer.get("workers", ()):
        process = f"process {worker['pid']}" if worker["pid"] else "starting"
        yield (
            f"worker {worker['worker']}: {process}, {worker['connections']} connections, "
            f"{worker['requests']} requests, {worker['restarts']} restarts, policy {worker['digest'] or '-'}"
        )


def _ask(listen: Listen, service: str, timeout: float) -> str:
    host = _ANY.get(listen.host, listen.host)
    authority = f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"
    uri = f"{listen.scheme}://{authority}/{service}"
    begun = time.monotonic()
    plain = socket.create_connection((host, listen.port), timeout)
    with _secured(plain) if listen.scheme == "icaps" else plain as connection:
        response = _options(connection, uri, authority)
    took = (time.monotonic() - begun) * 1000
    if response.status != _OK:
        raise IcapdError(f"{uri}: {response.status} {response.reason}")
    istag = response.headers.get(b"istag", b"").decode("latin-1")
    return f"{uri}: {response.status} {response.reason}, ISTag {istag}, {took:.1f} ms"


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    """Wrap in TLS without checking the certificate: a ping tells whether it answers, not who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def _options(connection: socket.socket, uri: str, authority: str) -> ResponseReceived:
    client = ClientConnection()
    request = Request(method=b"OPTIONS", uri=uri.encode("ascii"), host=authority.encode("ascii"))
    connection.sendall(client.send_request(request))
    while True:
        event = client.next_event()
        if isinstance(event, ResponseReceived):
            return event
        if isinstance(event, ConnectionEnded):
            raise ConnectionError("closed without an answer")
        client.receive(connection.recv(65536))
