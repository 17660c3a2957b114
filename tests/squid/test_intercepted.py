"""Which tls rules become ACLs; that Squid reads them. What they do is shown in tests/e2e."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from icapd.config import load_config
from icapd.pki import make_bump_ca
from icapd.policy import load_policy
from icapd.squid import check_fragment, render_conf
from icapd.squid.intercepted import compile_rules

YAML = """\
listen: ["icap://127.0.0.1:1344"]
policy: policy.yaml
squid:
  ports: [{address: "3128", bump: true}, {address: "3129", mode: tproxy}, {address: "3130", mode: intercept, bump: true}]
"""
needs_squid = pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="needs squid-openssl")


def fragment(directory: Path, policy: str) -> str:
    (directory / "policy.yaml").write_text(policy)
    (directory / "icapd.yaml").write_text(YAML)
    loaded = load_policy(directory / "policy.yaml")
    return render_conf(load_config(directory / "icapd.yaml"), directory / "errors", loaded)


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start) and "icapd_intercepted" in line]


def names(directory: Path, policy: str) -> list[str]:
    (directory / "policy.yaml").write_text(policy)
    return [one.rule.name for one in compile_rules(load_policy(directory / "policy.yaml"))]


@pytest.mark.parametrize(
    ("when", "compiles"),
    [
        ("{host: [bank.test, =one.test]}", True),
        ("{client: [10.0.0.0/8], port: [443, 8000-8100]}", True),
        ("{proxy_port: [3130], method: [CONNECT], scheme: [https]}", True),
        ("{host: [10.0.0.0/8]}", False),  # an address behind a name
        ("{host: [192.0.2.1]}", False),
        ("{user: [eve]}", False),
        ("{url: [https://bank.test/x]}", False),
        ("{method: [GET]}", False),
        ("{schedule: {from: '08:00', to: '18:00', tz: UTC}}", False),
    ],
)
def test_what_squid_judges_alone(tmp_path: Path, when: str, compiles: bool) -> None:
    policy = f"tls:\n  - {{name: one, when: {when}, action: terminate}}\n"
    assert names(tmp_path, policy) == (["one"] if compiles else [])


@pytest.mark.parametrize(
    "more", ["unless: [{port: [444]}]", "mode: shadow", "action: splice_if_sni_matches", "when: {user: [x]}"]
)
def test_the_run_ends_at_the_first_it_cannot_judge(tmp_path: Path, more: str) -> None:
    action = "" if "action" in more else ", action: terminate"
    policy = (
        "tls:\n  - {name: one, when: {host: [a.test]}, action: terminate}\n"
        f"  - {{name: two, {more}{action}}}\n  - {{name: three, action: terminate}}\n"
    )
    assert names(tmp_path, policy) == ["one"]


@pytest.mark.parametrize(
    ("access", "compiles"),
    [
        ("{host: [evil.test]}, action: block", True),
        ("{host: [evil.test]}, action: {redirect: 'https://a.test/'}", True),
        ("{host: [www.bank.test]}, action: block", False),
        ("{host: [test]}, action: block", False),
        ("{client: [10.0.0.0/8]}, action: block", False),
        ("{host: [10.0.0.0/8]}, action: block", False),
        ("{client: [10.0.0.0/8]}, action: allow", True),
    ],
)
def test_a_splice_is_squids_alone_only_where_access_denies_nothing(
    tmp_path: Path, access: str, compiles: bool
) -> None:
    policy = (
        f"access:\n  - {{name: a, when: {access}}}\n"
        "tls:\n  - {name: bank, when: {host: [bank.test]}, action: splice}\n"
    )
    assert names(tmp_path, policy) == (["bank"] if compiles else [])


def test_every_compiled_rule_is_named_with_its_place(tmp_path: Path) -> None:
    text = fragment(
        tmp_path,
        "tls:\n  - {name: printers, when: {client: [10.1.0.0/16]}, action: bump}\n"
        "  - {name: bank, when: {host: [bank.test]}, action: splice}\n  - {name: rest, action: bump}\n",
    )
    assert f"# 'bank' ({tmp_path}/policy.yaml:3)\n" in text
    assert "acl icapd_tls2_host ssl::server_name --client-requested .bank.test\n" in text
    assert lines(text, "ssl_bump") == [
        "ssl_bump bump icapd_intercepted icapd_step1 icapd_tls1_client",
        "ssl_bump peek icapd_intercepted icapd_step1",
        "ssl_bump bump icapd_intercepted !icapd_step1 icapd_tls1_client",
        "ssl_bump splice icapd_intercepted !icapd_step1 icapd_tls2_host icapd_unread",
        "ssl_bump bump icapd_intercepted !icapd_step1",
        "ssl_bump bump icapd_intercepted !icapd_step1",
    ]
    assert "\nssl_bump" in text.partition("icapd_say_splice note")[2]


def test_what_is_left_is_asked(tmp_path: Path) -> None:
    text = fragment(tmp_path, "tls:\n  - {name: mine, when: {user: [eve]}, action: splice}\n")
    assert lines(text, "ssl_bump") == [
        "ssl_bump peek icapd_intercepted icapd_step1 icapd_ask_step1 icapd_say_peek",
        "ssl_bump bump icapd_intercepted icapd_step1",
        "ssl_bump terminate icapd_intercepted !icapd_step1 icapd_ask_step2 icapd_say_terminate",
        "ssl_bump splice icapd_intercepted !icapd_step1 icapd_say_splice icapd_unread",
        "ssl_bump bump icapd_intercepted !icapd_step1",
    ]
    assert f"-m icapd helper -c {tmp_path}/icapd.yaml" in text


@needs_squid
def test_squid_takes_it(tmp_path: Path) -> None:
    fragment(
        tmp_path,
        "tls:\n  - {name: bank, when: {host: [bank.test], port: [443]}, action: splice}\n"
        "  - {name: b, when: {client: [10.0.0.0/8, 192.0.2.1-192.0.2.9]}, action: terminate}\n"
        "  - {name: c, when: {user: [eve]}, action: splice}\n",
    )
    make_bump_ca(tmp_path / "ca", name="x", now=datetime.now(UTC), key="ec")
    assert check_fragment(load_config(tmp_path / "icapd.yaml")) == []
