"""What is withheld is in no written record."""

import pytest

from icapd.events.privacy import Privacy, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("nonsense", None),
    ],
)
def test_a_client_is_its_network(address: str, network: str | None) -> None:
    assert network_of(address) == network


def test_switches() -> None:
    record = {"url": "http://a.example/p?q=1", "client": "192.0.2.77", "client_port": 9, "user": "ann"}
    out = Privacy(strip_query=True, anonymise_client=True, users="hash", key=b"k" * 16).apply(record)
    assert (out["url"], out["client"]) == ("http://a.example/p", "192.0.2.0")
    assert "client_port" not in out
    assert out["user"] not in {"ann", Privacy(users="hash", key=b"x" * 16).apply(record)["user"]}
    assert Privacy(users="drop").apply(record)["user"] is None
    assert Privacy().apply(record) == record
