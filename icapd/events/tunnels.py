"""What the decision log tells of tunnels beyond decisions: a CONNECT's facts, tickets that ended badly."""

from __future__ import annotations

import datetime as dt
from json.encoder import encode_basestring_ascii as _quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icapd.transaction import Transaction


def with_tunnel(line: str, tx: Transaction) -> str:
    """Add to a CONNECT's line, open, its client port, TLS name and server address, as far as they are known.

    "again" is the id of the line on the same tunnel that this one repeats: who counts, leaves it out.
    """
    extra = "" if tx.client.port is None else f',"client_port":{tx.client.port}'
    extra += "" if tx.sni is None else f',"sni":{_quote(tx.sni)}'
    extra += f',"server":{_quote(tx.addresses[0])}' if tx.addresses else ""
    extra += "" if tx.again is None else f',"again":"{tx.again}"'
    return line + extra


def ticket_line(  # noqa: PLR0917
    now: float, event: str, source: str, decision_id: str, client: tuple[bytes, bytes], host: str
) -> str:
    """Return one line, open, of no decision but an `event`: "ticket-unused" or "ticket-misused".

    `source` numbers the line. `decision_id` is the CONNECT's, of any process of this icapd; `client` its
    address and port, `host` what it opened a tunnel to.
    """
    time = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    address, port = (part.decode("latin-1") for part in client)
    return (
        f'{{"time":"{time}","event":"{event}","source":"{source}","id":"{decision_id}","client":{_quote(address)},'
        f'"client_port":{int(port)},"host":{_quote(host)}'
    )
