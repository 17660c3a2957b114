"""Explicit and intercepted, every tls action, every access action, every SNI: what is shown, who is contacted.

`other` is a client that asks for one site and names another (which is allowed and decrypted) in its TLS hello
and its request. Explicitly its CONNECT names the first, and both are judged; intercepted there is nothing but the
TLS name, so it is the other site that it asked for. Without a TLS name what is intercepted is decrypted.
"""

from __future__ import annotations

import pytest

from tests.e2e.intercepting import ACTIONS, TLS, Intercepting, cells

SNIS = ("equal", "other", "none")
# shows/contact; one line for each tls action, three columns (SNI equal, other, none) for each access action
EXPECTED = {
    ("explicit", "bump", "allow"): "site/request site/request site/request",
    ("explicit", "bump", "block"): "page/nothing page/nothing page/nothing",
    ("explicit", "bump", "redirect"): "redirect/nothing redirect/nothing redirect/nothing",
    ("explicit", "bump", "bypass"): "site/request page/nothing site/request",
    ("explicit", "splice", "allow"): "unread/request ended/nothing unread/request",
    ("explicit", "splice", "block"): "page/nothing page/nothing page/nothing",
    ("explicit", "splice", "redirect"): "redirect/nothing redirect/nothing redirect/nothing",
    ("explicit", "splice", "bypass"): "unread/request ended/nothing unread/request",
    ("explicit", "terminate", "allow"): "ended/nothing ended/nothing ended/nothing",
    ("explicit", "terminate", "block"): "page/nothing page/nothing page/nothing",
    ("explicit", "terminate", "redirect"): "redirect/nothing redirect/nothing redirect/nothing",
    ("explicit", "terminate", "bypass"): "ended/nothing ended/nothing ended/nothing",
    ("intercept", "bump", "allow"): "site/request site/request site/request",
    ("intercept", "bump", "block"): "page/handshake site/request page/handshake",
    ("intercept", "bump", "redirect"): "redirect/handshake site/request redirect/handshake",
    ("intercept", "bump", "bypass"): "site/request site/request site/request",
    ("intercept", "splice", "allow"): "unread/request site/request site/request",
    ("intercept", "splice", "block"): "page/handshake site/request page/handshake",
    ("intercept", "splice", "redirect"): "redirect/handshake site/request redirect/handshake",
    ("intercept", "splice", "bypass"): "unread/request site/request site/request",
    ("intercept", "terminate", "allow"): "ended/nothing site/request site/request",
    ("intercept", "terminate", "block"): "page/handshake site/request page/handshake",
    ("intercept", "terminate", "redirect"): "redirect/handshake site/request redirect/handshake",
    ("intercept", "terminate", "bypass"): "ended/nothing site/request site/request",
}


def test_every_cell_is_expected() -> None:
    assert len(list(cells())) == 2 * len(TLS) * len(ACTIONS) * len(SNIS)
    assert {cell[:3] for cell in cells()} == EXPECTED.keys()
    assert all(len(row.split()) == len(SNIS) for row in EXPECTED.values())


@pytest.mark.parametrize(("mode", "tls", "action", "sni"), list(cells()))
def test_cell(intercepting: Intercepting, mode: str, tls: str, action: str, sni: str) -> None:
    host = f"{action}-{tls}.lab.test"
    named = {"equal": host, "other": "other.lab.test", "none": None}[sni]
    if mode == "explicit":
        outcome = intercepting.explicit(host, sni=named, inner=named or host)
    else:
        if intercepting.network is None:
            pytest.skip("this machine gives no network namespaces")
        outcome = intercepting.intercepted(sni=named, host=named or host)
    expected = dict(zip(SNIS, EXPECTED[mode, tls, action].split(), strict=True))[sni]
    assert f"{outcome.shows}/{outcome.contact}" == expected
