"""What is remembered of an ICAP head is what the head says, each time; it is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.protocol import RemoteProtocolError
from icapd.server import askers
from icapd.server.askers import Askers
from icapd.transaction import Point

if TYPE_CHECKING:
    from icapd.server.site import Site


def of(site: Site) -> Askers:
    return Askers(site.services, site.generation.user_headers)


def head(*lines: str, end: str = "null-body=99") -> bytes:
    first = ("REQMOD icap://icapd/reqmod ICAP/1.0", "Host: icapd", f"Encapsulated: req-hdr=0, {end}")
    return "\r\n".join((*first, *lines)).encode()


def test_only_the_parts_of_the_message_differ(site: Site) -> None:
    known = of(site)
    lines = ("Allow: 204", "X-Client-IP: 192.0.2.1", "X-Client-Username: anna")
    first, second = known.read(head(*lines)), known.read(head(*lines, end="req-body=7"))
    assert first is not None
    assert second is not None
    assert first[0] is second[0]
    assert (first[1].size, first[1].body, second[1].size, second[1].body) == (99, None, 7, b"req-body")
    asker = first[0]
    assert (asker.point, asker.client, asker.user) == (Point.REQMOD, "192.0.2.1", "anna")
    assert (asker.allows_204, asker.previews, asker.sni, asker.server) == (True, False, None, None)


@pytest.mark.parametrize(
    "data",
    [
        head("Connection: close"),
        head("X-Authenticated-Groups: Local://staff"),
        head(" , more"),
        head("Encapsulated: req-hdr=0, null-body=9"),
        head("X: " + "a" * askers.MAX_HEAD),
        head().replace(b"/reqmod", b"/other"),
        head().replace(b"/reqmod", b"/respmod"),
        head().replace(b"Encapsulated: ", b"Encapsulated:"),
    ],
)
def test_what_is_not_as_squid_writes_it_is_nobodys(site: Site, data: bytes) -> None:
    known = of(site)
    assert known.read(data) is None
    assert known.read(data) is None


def test_a_wrong_head_is_wrong_each_time(site: Site) -> None:
    known = of(site)
    assert known.read(head()) is not None
    for data in (head(end="req-body=0"), head("no colon")) * 2:
        with pytest.raises(RemoteProtocolError):
            known.read(data)


def test_memory_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "MAX_ASKERS", 2)
    known = of(site)
    for number in range(9):
        read = known.read(head(f"X-Client-IP: 192.0.2.{number}"))
        assert read is not None
        assert read[0].client == f"192.0.2.{number}"
