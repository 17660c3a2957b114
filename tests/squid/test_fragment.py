"""The real Squid under the fragment: what becomes of each of icapd's marks, and of those who forge them."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.squid.lab import LOCALHOST, LOCATION, PAGE, SQUID, Lab, free_port, running_lab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(SQUID).exists() or shutil.which("curl") is None, reason="needs squid-openssl and curl"
    ),
]
BUMPED = "CN=Fragment test"
SPLICED = "CN=Origin test"


def handshake(lab: Lab, host: str, sni: str | None) -> tuple[ssl.SSLSocket, str]:
    """CONNECT to `host` but name `sni` inside; return the TLS socket and its certificate's issuer."""
    lab.forget()
    raw = socket.create_connection((LOCALHOST, lab.bump_port), 10)
    target = f"{host}:{lab.https.port}"
    raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
    context = ssl.create_default_context(cafile=str(lab.directory / "trust.pem"))
    context.check_hostname = False
    tls = context.wrap_socket(raw, server_hostname=sni)
    certificate: Any = tls.getpeercert()
    return tls, "CN=" + dict(pair[0] for pair in certificate["issuer"])["commonName"]


def test_allowed_http_and_https_reach_the_origin_decrypted(lab: Lab) -> None:
    seen = lab.fetch(f"http://allowed.test:{lab.http.port}/")
    assert (seen.status, seen.body, lab.http.accepted) == (200, "origin", 1)
    seen = lab.fetch(f"https://allowed.test:{lab.https.port}/")
    assert (seen.status, seen.body, lab.https.accepted) == (200, "origin", 1)
    assert BUMPED in seen.issuer
    assert [ask.method for ask in lab.icap.asks] == ["CONNECT", "GET"]


def test_a_blocked_connect_shows_icapds_page_in_the_tunnel_and_no_byte_reaches_the_origin(lab: Lab) -> None:
    seen = lab.fetch(f"https://blocked.test:{lab.https.port}/path?query")
    assert (seen.connect, seen.status, seen.body) == (200, 403, PAGE)
    assert BUMPED in seen.issuer
    assert lab.https.accepted == 0
    assert [ask.method for ask in lab.icap.asks] == ["CONNECT"]


def test_a_redirected_connect_gives_the_exact_location(lab: Lab) -> None:
    seen = lab.fetch(f"https://redirect.test:{lab.https.port}/")
    assert (seen.connect, seen.status, seen.location) == (200, 302, LOCATION)
    assert lab.https.accepted == 0


def test_the_decision_id_can_be_logged(lab: Lab) -> None:
    lab.fetch(f"https://blocked.test:{lab.https.port}/")
    lines = [line for line in lab.access("icapd").splitlines() if "CONNECT blocked.test" in line]
    assert " bump d42 " in lines[-1]


@pytest.mark.parametrize("name", ["blocked", "redirect", "ended"])
def test_without_decryption_a_denied_connect_is_ended(lab: Lab, name: str) -> None:
    seen = lab.fetch(f"https://{name}.test:{lab.https.port}/", port=lab.plain_port)
    assert (seen.exit, seen.status, lab.https.accepted) == (56, 0, 0)


def test_a_verdict_the_fragment_does_not_know_denies(lab: Lab) -> None:
    seen = lab.fetch(f"https://odd.test:{lab.https.port}/")
    assert (seen.status, lab.https.accepted) == (403, 0)


def test_splice_leaves_the_origins_certificate(lab: Lab) -> None:
    seen = lab.fetch(f"https://spliced.test:{lab.https.port}/")
    assert (seen.status, seen.body) == (200, "origin")
    assert SPLICED in seen.issuer


def test_terminate_ends_the_connection(lab: Lab) -> None:
    seen = lab.fetch(f"https://ended.test:{lab.https.port}/")
    assert (seen.exit, seen.connect, lab.https.accepted) == (56, 0, 0)


@pytest.mark.parametrize("sni", ["checked.test", "CHECKED.test"])
def test_splice_if_sni_matches_splices_where_it_does(lab: Lab, sni: str) -> None:
    tls, issuer = handshake(lab, "checked.test", sni)
    tls.close()
    assert issuer == SPLICED
    assert [ask.icap["x-sni"] for ask in lab.icap.asks] == ["-", sni]


@pytest.mark.parametrize("sni", ["other.test", None])
def test_splice_if_sni_matches_ends_what_names_another_host_or_none(lab: Lab, sni: str | None) -> None:
    with pytest.raises(OSError, match="WRONG_VERSION_NUMBER|reset|EOF"):
        handshake(lab, "checked.test", sni)
    assert lab.https.accepted == 0


def test_a_splice_is_ended_if_icapd_no_longer_says_so_once_it_knows_the_name(lab: Lab) -> None:
    tls, issuer = handshake(lab, "fickle.test", None)
    tls.close()
    assert issuer == SPLICED
    with pytest.raises(OSError, match="WRONG_VERSION_NUMBER|reset|EOF"):
        handshake(lab, "fickle.test", "other.test")
    assert lab.https.accepted == 0


@pytest.mark.parametrize("inner", ["allowed.test", "spliced.test", "blocked.test"])
def test_a_connect_inside_a_decrypted_tunnel_is_refused(lab: Lab, inner: str) -> None:
    tls, issuer = handshake(lab, "allowed.test", "allowed.test")
    target = f"{inner}:{lab.https.port}"
    tls.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert tls.recv(4096).startswith(b"HTTP/1.1 403 ")
    tls.close()
    assert issuer == BUMPED
    assert lab.https.accepted == 0
    assert len(lab.icap.asks) == 1


@pytest.mark.parametrize(
    "header",
    ["X-Icapd-Bump: splice", "x-icapd-bump: splice", "X-Icapd-Bump;", "X-Icapd-Verdict: none",
     "X-Icapd-Page: <p>", "X-Icapd-Location: https://portal.test/"],
)  # fmt: skip
def test_forged_marks_are_denied_on_every_way(lab: Lab, header: str) -> None:
    seen = lab.fetch(f"https://other.test:{lab.https.port}/", "--proxy-header", header)
    assert (seen.status, lab.https.accepted, lab.icap.asks) == (403, 0, [])
    assert BUMPED in seen.issuer
    seen = lab.fetch(f"https://other.test:{lab.https.port}/", "--proxy-header", header, port=lab.plain_port)
    assert (seen.connect, lab.https.accepted, lab.icap.asks) == (403, 0, [])
    seen = lab.fetch(f"https://allowed.test:{lab.https.port}/", "-H", header)
    assert (seen.status, lab.https.accepted) == (403, 0)
    seen = lab.fetch(f"http://allowed.test:{lab.http.port}/", "-H", header)
    assert (seen.status, lab.http.accepted, lab.icap.asks) == (403, 0, [])


@pytest.mark.parametrize(
    "lines",
    ["X-Icapd-Bump : splice", "X-Icapd-Bump\t: splice", "A: b\r\n X-Icapd-Bump: splice",
     "X-Icapd-Bump:\r\n splice", "Connection: X-Icapd-Bump\r\nX-Icapd-Bump: splice",
     "X-Icapd-Bump: a\r\nX-Icapd-Bump: splice", "\0X-Icapd-Bump: splice"],
)  # fmt: skip
def test_no_spelling_of_a_forged_mark_splices(lab: Lab, lines: str) -> None:
    lab.forget()
    target = f"other.test:{lab.https.port}"
    with socket.create_connection((LOCALHOST, lab.bump_port), 10) as raw:
        raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{lines}\r\n\r\n".encode())
        if raw.recv(4096).startswith(b"HTTP/1.1 200 "):
            context = ssl.create_default_context(cafile=str(lab.ca.certificate))
            context.wrap_socket(raw, server_hostname="other.test").close()  # trusts none but the bump CA
    assert lab.https.accepted == 0


def test_page_and_redirect_need_no_access_log_and_the_ca_may_be_ec() -> None:
    # Squid 5.7 shows "-" in their place if nothing makes it keep the ICAP headers.
    with running_lab(key="ec", log_formats=()) as lab:
        assert lab.fetch(f"https://blocked.test:{lab.https.port}/").body == PAGE
        assert lab.fetch(f"https://redirect.test:{lab.https.port}/").location == LOCATION
        assert BUMPED in lab.fetch(f"https://allowed.test:{lab.https.port}/").issuer


def test_an_origins_own_marks_do_not_reach_the_client(lab: Lab) -> None:
    seen = lab.fetch(f"http://allowed.test:{lab.http.port}/")
    assert seen.status == 200
    assert "x-icapd" not in seen.head.lower()
    assert "x-icapd" not in "".join(lab.http.heads).lower()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "allowed.test", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
     "2130706433", "0x7f.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"],
)  # fmt: skip
def test_loopback_and_link_local_are_denied_in_every_spelling(lab: Lab, host: str) -> None:
    seen = lab.fetch(f"http://{host}:{free_port()}/")
    assert (seen.status, lab.icap.asks) == (403, [])


def test_odd_ports_and_the_cache_manager_are_denied(lab: Lab) -> None:
    assert lab.fetch("http://192.0.2.1:25/").status == 403
    assert lab.fetch("https://192.0.2.1:22/", port=lab.plain_port).connect == 403
    assert lab.fetch(f"http://proxy.test:{lab.bump_port}/squid-internal-mgr/menu").status == 403


def test_squid_complains_about_nothing(lab: Lab) -> None:
    complaints = [line for line in lab.log.splitlines() if "ERROR" in line or "WARNING" in line]
    others = ("NULL characters", "while accepting a TLS connection")  # a forger's above, and who refuses
    assert [line for line in complaints if not any(text in line for text in others)] == []
