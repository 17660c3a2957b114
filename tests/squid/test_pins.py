"""Who refuses to be decrypted, and what proves nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from icapd.squid.accesslog import Entry, read_entry
from icapd.squid.pins import Detected, Thresholds, detect
from tests.squid.refusing import accept, leave, refuse

if TYPE_CHECKING:
    from tests.squid.lab import Lab


def connect(
    client: str,
    host: str,
    refusal: str | None = None,
    *,
    time: float = 1.0,
    bump: str = "bump",
    denied: bool = False,
) -> Entry:
    return Entry(time, client, 200, "CONNECT", host, bump, denied, None, refusal)


def request(client: str, host: str, status: int = 200) -> Entry:
    return Entry(2.0, client, status, "GET", host, "bump", False, None, None)


def found(*entries: Entry, clients: int = 2, times: int = 2) -> Detected:
    return detect(entries, Thresholds(clients, times))


# Both trust the CA, as other sites show.
TRUSTING = (request("a", "web.test"), request("b", "web.test"))


def refusals(clients: str, times: int = 2, why: str = "unknown ca", host: str = "pin.test") -> list[Entry]:
    return [connect(each, host, why, time=10.0 + i) for i in range(times) for each in clients]


def test_several_clients_that_trust_the_ca_elsewhere_are_a_proof() -> None:
    [one] = found(*TRUSTING, *refusals("ab"), *refusals("a", 1, "closed")).proposed
    assert (one.host, one.clients, one.accepts, one.times) == ("pin.test", ("a", "b"), (), 5)
    assert one.reasons == (("unknown ca", 4), ("closed", 1))
    assert (one.first, one.last) == (10.0, 11.0)


def test_too_few_or_too_seldom_is_none() -> None:
    assert found(*TRUSTING, *refusals("a", 9)).proposed == ()
    assert found(*TRUSTING, *refusals("ab", 1)).proposed == ()
    assert found(*TRUSTING, *refusals("ab", 1), times=1).proposed != ()
    assert found(*TRUSTING, *refusals("a"), clients=1).proposed != ()


def test_a_client_that_refuses_everything_lacks_the_ca() -> None:
    told = found(request("a", "web.test"), *refusals("ab"), *refusals("b", host="other.test"))
    assert told.proposed == ()
    assert told.strangers == (("b", 4),)


def test_a_host_that_another_client_accepts_is_not_proposed() -> None:
    told = found(*TRUSTING, *refusals("ab"), request("c", "pin.test", 403))
    assert told.proposed == ()
    [doubtful] = told.doubtful
    assert (doubtful.host, doubtful.accepts) == ("pin.test", ("c",))


def test_a_client_that_came_through_once_does_not_refuse() -> None:
    assert found(*TRUSTING, *refusals("ab"), request("a", "pin.test")).doubtful == ()


def test_handshakes_without_a_request_count_unless_one_follows() -> None:
    quiet = [connect(each, "pin.test") for each in "abab"]
    [one] = found(*TRUSTING, *quiet).proposed
    assert one.reasons == (("closed after the handshake", 4),)
    used = [request(each, "pin.test") for each in "ab"]
    assert found(*TRUSTING, *quiet, *used).proposed == ()


def test_spliced_and_denied_tunnels_and_other_alerts_prove_nothing() -> None:
    for entry in (
        connect("a", "x.test", "unknown ca", bump="splice"),
        connect("a", "x.test", "unknown ca", denied=True),
        connect("a", "x.test", "alert 70"),
    ):
        assert found(*TRUSTING, *[entry] * 4, clients=1).proposed == ()


def test_the_most_refused_comes_first() -> None:
    told = found(*TRUSTING, *refusals("ab"), *refusals("ab", 5, host="z.test"))
    assert [one.host for one in told.proposed] == ["z.test", "pin.test"]


def test_a_pinned_program_on_two_devices_behind_the_real_squid(lab: Lab) -> None:
    proxy, port = lab.bump_port, lab.https.port
    trust = str(lab.directory / "trust.pem")
    begun = datetime.now(UTC).timestamp()
    for source in ("127.0.0.11", "127.0.0.12"):
        accept(proxy, "other.test", port, trust=trust, source=source)
        refuse(proxy, "portal.test", port, source=source)
        leave(proxy, "portal.test", port, source=source, alert=46)
    refuse(proxy, "other.test", port, source="127.0.0.13")
    until = time.monotonic() + 10
    told = found()
    while told.entries < 7 and time.monotonic() < until:
        time.sleep(0.05)
        entries = [read_entry(line) for line in lab.access("icapd").splitlines()]
        told = found(*[entry for entry in entries if entry is not None and entry.time >= begun])
    [one] = told.proposed
    assert (one.host, one.clients) == ("portal.test", ("127.0.0.11", "127.0.0.12"))
    assert dict(one.reasons) == {"unknown ca": 2, "certificate unknown": 2}
    assert told.strangers == (("127.0.0.13", 1),)
