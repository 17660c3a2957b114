"""A probe of the receivers of syslog: each is sent one message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from icapd.doctor.model import Outcome, fault, ok
from icapd.events.syslog import Receiver
from icapd.events.wires import reason_of

if TYPE_CHECKING:
    from icapd.doctor.bench import Bench


class Receivers:
    """Whether each output of `events.syslog` gets what is sent to it."""

    name = "syslog"
    did = "sent each receiver of events.syslog a message of the event `test`"
    needs: Literal["", "squid", "icapd"] = ""

    def look(self, bench: Bench) -> Outcome:
        """Send; by UDP it is heard of only if nobody listens on a machine near by."""
        said = []
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = {"time": now, "event": "test", "source": "icapd-doctor", "why": "a test by icapd doctor"}
        for option in bench.config.events.syslog:
            receiver = Receiver.read(option.model_dump(mode="json", warnings=False))
            try:
                wire = receiver.connected(lambda _: None)
                wire.send([receiver.form().message(record)])
                read = wire.finish()
            except OSError as error:
                return fault(f"{receiver.text}: {reason_of(error)}", "see the receiver, its CA and firewalls")
            taken = "was sent it" if receiver.scheme == "udp" else "has read it" if read else "took it"
            said.append(f"{receiver.text} {taken}")
        return ok(", ".join(said) or "none is configured")
