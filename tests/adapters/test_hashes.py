"""Lists of digests with `threat:` and what is inside a body."""

import hashlib
from pathlib import Path

import pytest

from icapd.adapters.hashes import HashThreats
from icapd.verdicts import Kind
from tests.adapters.messages import message
from tests.adapters.scanning import policy_of


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_every_item_is_looked_up(tmp_path: Path, kind: str) -> None:
    digest = hashlib.new(kind, b"bad").hexdigest()
    lists = policy_of(tmp_path, f"{{m: {{{kind}: h, threat: malware}}}}", h=f"{digest}\n").lists
    threats = HashThreats(lists)
    assert threats.is_active
    with message(b"zip", inside=b"bad") as one:
        [found] = threats.find(one.report.items)
    assert (found.kind, found.threat, found.where) == (Kind.MALWARE, "m", "inside")


def test_lists_without_threat_or_digests_do_not_count(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"bad").hexdigest()
    text = "{m: {sha256: h}, d: {domains: d, threat: malware}}"
    threats = HashThreats(policy_of(tmp_path, text, h=f"{digest}\n", d="a.test\n").lists)
    assert not threats.is_active
    with message(b"bad") as one:
        assert not list(threats.find(one.report.items))
