"""Lists with `threat:` and the names and URLs of a message."""

from pathlib import Path
from typing import Any

import pytest

from icapd.adapters.urls import UrlThreats
from icapd.verdicts import Kind
from tests.adapters.scanning import policy_of, request

LISTS = (
    "{phish: {domains: d, threat: phishing}, bad: {urls: u, cidr: c, expressions: e, threat: malicious_url},"
    " other: {domains: o}}"
)
FILES = {
    "d": "phish.test\n",
    "u": "host.test/bad\n",
    "c": "192.0.2.0/24\n",
    "e": "evil[0-9]+\n",
    "o": "a.test\n",
}


@pytest.mark.parametrize(
    ("tx", "kinds"),
    [
        (request("http://a.test/"), []),
        (request("http://www.phish.test/"), [Kind.PHISHING]),
        (request(sni="phish.test"), [Kind.PHISHING]),
        (request(connect_host="phish.test"), [Kind.PHISHING]),
        (request("http://host.test/good"), []),
        (request("http://host.test/x/..%2fbad/1"), [Kind.MALICIOUS_URL]),
        (request("http://192.0.2.7/"), [Kind.MALICIOUS_URL]),
        (request(addresses=("192.0.2.7",)), [Kind.MALICIOUS_URL]),
        (request("http://a.test/evil7"), [Kind.MALICIOUS_URL]),
        (request(location="https://phish.test/x"), [Kind.PHISHING]),
        (request(location="\\\\\\\\phish.test/x"), [Kind.PHISHING]),
        (request("http://host.test/", location="/bad"), [Kind.MALICIOUS_URL]),
        (request(location="mailto:a@phish.test"), []),
        (request(location="http://["), []),
    ],
)
def test_every_name_and_where_it_leads(tmp_path: Path, tx: Any, kinds: list[Kind]) -> None:
    threats = UrlThreats(policy_of(tmp_path, LISTS, **FILES).lists)
    assert [one.kind for one in threats.find(tx)] == kinds
    assert [one.kind for one in threats.find(tx)] == kinds


def test_without_lists_nothing_is_asked(tmp_path: Path) -> None:
    threats = UrlThreats(policy_of(tmp_path, "{other: {domains: o}}", o="a.test\n").lists)
    assert not threats.is_active
    assert threats.find(request()) == ()


def test_quiet_hosts_are_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threats = UrlThreats(policy_of(tmp_path, "{p: {domains: d, threat: phishing}}", d="p.test\n").lists)
    asked: list[str] = []
    holds = UrlThreats._holds

    def counted(self: UrlThreats, name: str) -> bool:
        asked.append(name)
        return holds(self, name)

    monkeypatch.setattr(UrlThreats, "_holds", counted)
    for _ in range(3):
        assert threats.find(request()) == ()
    assert asked == ["a.test"]
