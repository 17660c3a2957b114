"""The services and what OPTIONS says of them; tests/server/test_run.py asks a real process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icapd.transaction import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from icapd.server.site import Site


def test_each_service_takes_its_one_method(site: Site) -> None:
    assert {path: (service.method, service.point) for path, service in site.services.items()} == {
        b"/reqmod": (b"REQMOD", Point.REQMOD),
        b"/respmod": (b"RESPMOD", Point.RESPMOD),
    }


@pytest.mark.parametrize("path", [b"/reqmod", b"/respmod"])
def test_what_would_hurt_a_client_is_never_said(site: Site, path: bytes) -> None:
    lines = site.services[path].options.extra
    for name in (b"Transfer-Ignore", b"Transfer-Complete", b"Opt-body-type", b"Service-ID", b"trailers"):
        assert name not in lines
    assert lines.endswith(b"\r\n")


@pytest.mark.parametrize(("connections", "said"), [("999", False), ("1000", True), ("4000", True)])
def test_a_small_connection_limit_is_not_told_to_squid(
    make_site: Callable[..., Site], connections: str, said: bool
) -> None:
    options = make_site(connections=connections).services[b"/reqmod"].options.extra
    assert (b"Max-Connections: " in options) is said
