"""Each message is counted once, by what came of it, whichever way it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icapd.adaptation import Scanned
from icapd.metrics import words as at
from icapd.server.tally import count_recorded, count_scanned
from icapd.verdicts import ScanError
from tests.server.asking import chunks, reqmod, respmod
from tests.server.conftest import connected, ticks
from tests.server.scanner import MALWARE, MARK, StandIn, scanned_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.server.site import Site


def transactions(site: Site) -> dict[str, int]:
    """All that were counted, by point and action, both ways taken together."""
    row = len(at.ACTIONS)
    found = {}
    for p, point in enumerate(at.POINTS):
        for a, action in enumerate(at.ACTIONS):
            count = site.counts[at.TRANSACTIONS + p * row + a] + site.counts[at.QUICK + p * row + a]
            if count:
                found[f"{point} {action}"] = count
    return found


def responses(site: Site) -> dict[str, int]:
    counts = zip(at.STATUSES, site.counts[at.RESPONSES :], strict=False)
    return {status: count for status, count in counts if count}


def test_the_short_way_and_the_long_one_count_alike(site: Site) -> None:
    protocol, link = connected(site)
    for url in ("http://a.example/", "http://bad.example/", "http://old.example/"):
        host = url[7:-1]
        for lines in (("Allow: 204",), ("Allow: 204", "X-Odd: 1", "X-Authenticated-Groups: g")):
            protocol.dataReceived(reqmod(url, http=(f"Host: {host}",), lines=lines))
    protocol.dataReceived(respmod(body=None))
    assert transactions(site) == {
        "reqmod allow": 2,
        "reqmod block": 2,
        "reqmod redirect": 2,
        "respmod allow": 1,
    }
    quick = site.counts[at.QUICK : at.QUICK + 2 * len(at.ACTIONS)]
    assert 0 < sum(quick) < 7
    site.settle()
    assert site.counts[at.SENT] == len(link.sent)


def test_bytes_and_previews(site: Site) -> None:
    protocol, link = connected(site)
    preview = ("Allow: 204", "Preview: 4")
    protocol.dataReceived(respmod(lines=preview, body=b"4\r\nabcd\r\n0\r\n\r\n"))
    ended = respmod(lines=preview, body=b"4\r\nabcd\r\n0; ieof\r\n\r\n")
    protocol.dataReceived(ended[:-9])
    protocol.dataReceived(ended[-9:])
    body = chunks(b"x" * 1000)
    protocol.dataReceived(respmod(lines=(), body=body))
    site.settle()
    assert site.counts[at.SENT] == len(link.sent)
    assert site.counts[at.RECEIVED] > len(body)
    assert (site.counts[at.PREVIEWS], site.counts[at.CONTINUES]) == (2, 0)
    assert site.counts[at.CONNECTIONS] == 1


def test_options_and_errors_are_responses_but_no_transactions(site: Site) -> None:
    protocol, _ = connected(site)
    protocol.dataReceived(b"OPTIONS icap://icapd/reqmod ICAP/1.0\r\nHost: icapd\r\n\r\n")
    protocol.dataReceived(reqmod().replace(b"icapd/reqmod", b"icapd/elsewhere"))
    assert transactions(site) == {}
    assert site.counts[at.OPTIONS] == 1
    assert responses(site) == {"200": 1, "4xx": 1}


def test_limits(make_site: Callable[..., Site]) -> None:
    site = make_site(connections="1", body_bytes="10")
    protocol, _ = connected(site)
    connected(site)
    protocol.dataReceived(respmod(lines=(), body=chunks(b"x" * 100)))
    del protocol
    slow, _ = connected(make_site())
    slow.dataReceived(b"REQMOD ")
    ticks(slow.site, 5)
    hit = dict(zip(at.LIMITS, site.counts[at.LIMIT :], strict=False))
    assert (hit["connections"], hit["body_bytes"]) == (1, 1)
    assert slow.site.counts[at.LIMIT + at.LIMITS.index("head")] == 1
    assert responses(slow.site) == {"4xx": 1}


def test_scans_and_findings(site: Site) -> None:
    scanned_by(site, StandIn())
    protocol, _ = connected(site)
    lines = ("Allow: 204", "Preview: 0")
    protocol.dataReceived(respmod(lines=lines, body=b"0\r\n\r\n"))
    protocol.dataReceived(chunks(b"good"))
    protocol.dataReceived(respmod(lines=lines, body=b"0\r\n\r\n"))
    protocol.dataReceived(chunks(MARK))
    scans = site.counts[at.SCANS : at.SCANS + 6]
    assert scans == [1, 1, 0, 0, 0, 0]
    assert site.counts[at.FINDINGS + at.KINDS.index(MALWARE.kind)] == 1
    assert sum(site.counts[at.DURATIONS : at.DURATIONS + len(at.BOUNDS) + 1]) == 2
    assert (site.counts[at.PREVIEWS], site.counts[at.CONTINUES]) == (2, 2)


def test_what_is_no_decision_is_an_error_and_errors_of_scans_too() -> None:
    counts: list[Any] = at.new_words()
    count_recorded(counts, "respmod", None, 500, late=False)
    count_recorded(counts, "reqmod", None, 0, late=True)
    assert counts[at.TRANSACTIONS + len(at.ACTIONS) + at.ERROR] == 1
    assert (counts[at.UNANSWERED], counts[at.LATE]) == (1, 1)
    assert counts[at.RESPONSES : at.RESPONSES + 4] == [0, 0, 0, 0]
    count_scanned(counts, Scanned((), (ScanError("x", "why", "open"),), None, True), 0.1)
    assert counts[at.SCANS : at.SCANS + 6] == [0, 0, 0, 0, 0, 1]
