"""What a message is called and how its path could be read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http import TargetError
from icapd.policy.facts import MAX_ROUNDS, names_of, sent_path, spellings
from tests.policy.asking import early, transaction


def test_every_name_counts_once_in_normal_form() -> None:
    tx = transaction(
        "GET", "http://A.test/", "Host: b.test:80", "Host: a.test", sni="C.test.", connect_host="a.test"
    )
    assert names_of(tx) == ("a.test", "b.test", "c.test")
    assert names_of(transaction("GET", "http://a.test/", "Host: A.TEST")) == ("a.test",)
    assert names_of(transaction("GET", "http://a.test/", "Host:")) == ("a.test",)
    assert names_of(transaction("GET", "http://a.test/", "X-Forwarded-Host: b.test")) == ("a.test",)
    assert names_of(transaction("GET", "//a.test/x", "Host: b.test")) == ("a.test", "b.test")


def test_names_are_known_before_the_request_is() -> None:
    assert names_of(early("a.test", "b.test")) == ("a.test", "b.test")
    assert names_of(early()) == ()


@pytest.mark.parametrize("host", ["a@b", "a b", "a/b", "a:99999", "\u00e9..x"])
def test_an_ill_formed_host_header_is_refused(host: str) -> None:
    with pytest.raises(TargetError):
        names_of(transaction("GET", "http://a.test/", f"Host: {host}"))


@pytest.mark.parametrize(
    ("path", "reading"),
    [
        ("/admin", "/admin"),
        ("//admin", "/admin"),
        ("/x/..;/admin", "/admin"),
        ("/x%2F..%2Fadmin", "/admin"),
        ("/x%252F..%252Fadmin", "/admin"),
        ("/%2561dmin", "/admin"),
        ("/%5Cadmin", "/admin"),
        ("/admin%00.png", "/admin"),
        ("/admin;v=1/x", "/admin/x"),
        ("/safe%2F..%2Fevil.exe", "/evil.exe"),
        ("/admin.", "/admin"),
        ("/admin%20/x", "/admin/x"),
        ("/%u0061dmin", "/admin"),
        ("/%C1%A1dmin", "/admin"),
        ("/x/%C0%AE%C0%AE/admin", "/admin"),
        ("/x%C0%AF..%C0%AFadmin", "/admin"),
    ],
)
def test_a_path_is_read_as_lax_servers_do(path: str, reading: str) -> None:
    assert spellings(path)[0] == path
    assert reading in spellings(path)


@given(st.text(alphabet="/.%25eEfF;\\a\0", max_size=60).map(lambda text: "/" + text))
def test_spellings_are_few_and_absolute(path: str) -> None:
    found = spellings(path)
    assert len(found) <= MAX_ROUNDS + 1
    assert all(each.startswith("/") for each in found)
    assert all("/../" not in each + "/" for each in found[1:])


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://a.test/x//..//y?q#f", "/x//..//y"),
        ("/x/../y?q", "/x/../y"),
        ("//a.test/x", "/x"),
        ("http://a.test", ""),
        ("http://a.test/%61%2f", "/a%2F"),
        ("http://a.test/\xc3\xa9\t", "/\u00e9"),
    ],
)
def test_the_path_as_sent_is_kept_for_lax_readings(target: str, path: str) -> None:
    assert sent_path(target) == path


def test_joined_slashes_are_read_before_dot_segments() -> None:
    assert "/admin" in spellings("/x//admin", "/x//..//admin")
    assert "/x/admin" in spellings("/x//admin", "/x//..//admin")


def test_spellings_take_linear_time() -> None:
    begin = time.perf_counter()
    spellings("/%25252e%25252e" * 10_000 + "/admin")
    assert time.perf_counter() - begin < 1
