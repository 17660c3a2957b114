"""Criteria as written: every wrong value is named."""

from __future__ import annotations

import pytest

from icapd.policy.compile import compile_criterion
from icapd.policy.faults import Faults
from icapd.policy.match import HostIs, PortIs, UrlIs


@pytest.mark.parametrize(
    ("criterion", "value"),
    [
        *(
            ("host", value)
            for value in ("", "a b", "a/b", "a..b", "a:80", "=", "10.0.0.0/33", "10.0.0.1/8", "http://a/")
        ),
        *(
            ("url", value)
            for value in ("", "/x", "gopher://a/", "http://", "u@a.test/", "a.test/#x", "a.test:0/", "a b/")
        ),
        *(("method", value) for value in ("", "GET POST", "G\u00c9T", "GET,PUT")),
        *(("port", value) for value in ("", "0", "65536", "90-80", "http", "-1", "80,443", "1-2-3")),
        *(("scheme", value) for value in ("", "httpx", "http:", "gopher")),
        *(("client", value) for value in ("", "a.test", "10.0.0.0/99", "10.0.0.9-10.0.0.1")),
        ("list", "adlt"),
    ],
)
def test_a_wrong_value_is_named(criterion: str, value: str) -> None:
    right = {"port": "80", "client": "::1", "scheme": "http", "list": "adult"}.get(criterion, "a.test")
    with pytest.raises(Faults) as caught:
        compile_criterion(criterion, (right, value), ["adult"])
    ((index, message),) = caught.value.faults
    assert index == 1
    assert message.isprintable()


def test_all_wrong_values_are_named() -> None:
    with pytest.raises(Faults) as caught:
        compile_criterion("port", ("0", "80", "x"), [])
    assert [index for index, _ in caught.value.faults] == [0, 2]


def test_an_unknown_list_is_answered_with_the_nearest() -> None:
    with pytest.raises(Faults) as caught:
        compile_criterion("list", ("adlt",), ["adult", "games"])
    assert caught.value.faults == [(0, "unknown list 'adlt'; did you mean 'adult'?")]
    with pytest.raises(Faults) as caught:
        compile_criterion("list", ("zzz",), ["adult"])
    assert caught.value.faults == [(0, "unknown list 'zzz'; it is not among `lists`")]


def test_values_stay_as_written_for_explain() -> None:
    matcher = compile_criterion("host", ("A.Test.", "=B.test", "10.0.0.0/8"), [])
    assert isinstance(matcher, HostIs)
    assert matcher.wanted == ("A.Test.", "=B.test", "10.0.0.0/8")
    assert matcher.domains == {"a.test"}
    assert matcher.exact == {"b.test"}


def test_a_url_is_read_into_its_parts() -> None:
    matcher = compile_criterion("url", ("HTTPS://*.B\u00fccher.test:8443/%61/../b?q",), [])
    assert isinstance(matcher, UrlIs)
    (pattern,) = matcher.patterns
    assert (pattern.scheme, pattern.host, pattern.subdomains) == ("https", "xn--bcher-kva.test", True)
    assert (pattern.port, pattern.path, pattern.query, pattern.exact) == (8443, "/b", "q", False)


def test_ports_are_numbers_and_ranges() -> None:
    matcher = compile_criterion("port", ("80", "8000 - 8080"), [])
    assert isinstance(matcher, PortIs)
    assert matcher.ranges == ((80, 80), (8000, 8080))
