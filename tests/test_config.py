from pathlib import Path

import pytest

from icapd.config import Config, Listen, load_config, render_config
from icapd.errors import ConfigErrors
from icapd.facts import USUAL, group_header

SMALLEST = 'listen: ["icap://127.0.0.1:1344"]\npolicy: policy.yaml\n'


def load(directory: Path, text: str) -> Config:
    file = directory / "icapd.yaml"
    file.write_text(text)
    return load_config(file)


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(directory, text)
    assert all(error.file == str(directory / "icapd.yaml") for error in caught.value.errors)
    return [f"{error.line}: {error.message}" for error in caught.value.errors]


def test_the_smallest_file_gives_every_default(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST)
    assert config.listen == (Listen("icap", "127.0.0.1", 1344, "icap://127.0.0.1:1344"),)
    assert config.policy == tmp_path / "policy.yaml"
    assert (config.page, config.decisions, config.tls) == (None, None, None)
    assert config.peers == ("127.0.0.0/8", "::1/128")
    assert (config.service.preview, config.service.options_ttl) == (1024, 3600)
    assert config.limits.idle == 600
    assert config.squid.icap == "icap://127.0.0.1:1344"
    assert config.squid.ca == tmp_path / "ca" / "bump.pem"
    assert [(port.address, port.bump) for port in config.squid.ports] == [("3128", True)]


def test_paths_are_relative_to_the_file_and_can_be_opened_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALLEST + "decisions: log/decisions\ntls: {certificate: tls/a.pem, key: /etc/b.pem}\n"
    (tmp_path / "icapd.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("icapd.yaml"))
    assert config.decisions == tmp_path / "log" / "decisions"
    assert config.tls is not None
    assert (config.tls.certificate, config.tls.key) == (tmp_path / "tls" / "a.pem", Path("/etc/b.pem"))


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("icap://127.0.0.1", ("icap", "127.0.0.1", 1344)),
        ("icap://[::1]:0", ("icap", "::1", 0)),
        ("icaps://filter.example/", ("icaps", "filter.example", 11344)),
        ("systemd:icap", ("icap", "127.0.0.1", 1344)),
        ("systemd+icaps:icap-tls", ("icaps", "127.0.0.1", 11344)),
    ],
)
def test_listen_forms(tmp_path: Path, text: str, listen: tuple[str, str, int]) -> None:
    config = load(tmp_path, f'listen: ["{text}"]\npolicy: p\ntls: {{certificate: c, key: k}}\n')
    assert (config.listen[0].scheme, config.listen[0].host, config.listen[0].port) == listen


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:1344",
        "http://a",
        "icap://a:65536",
        "icap://a/reqmod",
        "icap://a b",
        "icap://",
        "icap://a\\n:1",
        "systemd:",
        "systemd+http:a",
        "systemd:a:b",
    ],
)
def test_other_listen_forms_are_refused(tmp_path: Path, text: str) -> None:
    assert "not icap://HOST[:PORT]" in faults(tmp_path, f'policy: p\nlisten: ["{text}"]\n')[0]


def test_squid_is_told_the_first_plain_address_as_it_can_reach_it(tmp_path: Path) -> None:
    listen = 'listen: ["icaps://a", "icap://0.0.0.0:99"]\npolicy: p\ntls: {certificate: c, key: k}\n'
    assert load(tmp_path, listen).squid.icap == "icap://127.0.0.1:99"
    assert load(tmp_path, listen + "squid: {icap: 'icap://f:1'}").squid.icap == "icap://f:1"


def test_sockets_of_systemd_are_found_where_squid_is_told_to(tmp_path: Path) -> None:
    text = 'listen: ["systemd:icap"]\npolicy: p\n'
    assert load(tmp_path, text).squid.icap == "icap://127.0.0.1:1344"
    config = load(tmp_path, text + "squid: {icap: 'icap://[::1]:99'}")
    assert (config.listen[0].host, config.listen[0].port, config.listen[0].socket) == ("::1", 99, "icap")
    secure = 'listen: ["systemd+icaps:icap"]\npolicy: p\ntls: {certificate: c, key: k}\n'
    assert load(tmp_path, secure + "squid: {icap: 'icap://[::1]:99'}").listen[0].port == 11344
    twice = faults(tmp_path, 'listen: ["systemd:a", "systemd:b", "systemd+icap:a"]\npolicy: p\n')
    assert twice == ["1: systemd+icap:a is the same address as systemd:a"]


def test_credentials_are_where_systemd_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALLEST + "tls: {certificate: cert.pem, key: 'credential:tls-key'}\n"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    tls = load(tmp_path, text).tls
    assert tls is not None
    assert tls.key == Path("/run/credentials/icapd.service/tls-key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    tls = load(tmp_path, text).tls
    assert tls is not None
    assert tls.key == tmp_path / "given" / "tls-key"
    wrong = faults(tmp_path, SMALLEST + "page: 'credential:../key'\n")
    assert wrong == ["3: page: not credential:NAME, as in LoadCredential=NAME:…"]


def test_decisions_on_standard_output(tmp_path: Path) -> None:
    assert load(tmp_path, SMALLEST + "decisions: '-'\n").decisions is None


def test_every_fault_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        'listen: ["icap://127.0.0.1:1344"]\n'
        "polcy: policy.yaml\n"
        "limits:\n  idle: 60\n  head: nan\n  linger: soon\n"
        "squid:\n  clients: [10.0.0.1/8]\n  ca: 'a b'\n  ports: [{adress: 3128}]\n"
    )
    assert faults(tmp_path, text) == [
        "1: 'policy' is missing",
        "2: unknown key 'polcy'; did you mean 'policy'?",
        "4: limits.idle: should be greater than 60",
        "5: limits.head: should be a finite number",
        "6: limits.linger: should be a valid number, unable to parse string as a number",
        "8: squid.clients.0: not an address or network such as 10.0.0.0/8 (10.0.0.1/8 has host bits set)",
        "9: squid.ca: may hold no space, quote, backslash, # or control character",
        "10: 'address' is missing",
        "10: unknown key 'adress'; did you mean 'address'?",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("listen: []\npolicy: p\n", "1: listen: must not be empty"),
        ("policy: p\nlisten: [icaps://a]\n", "2: icaps://a needs tls: {certificate, key}"),
        (
            "policy: p\nlisten:\n- icap://a\n- icap://a:1344\n",
            "4: icap://a:1344 is the same address as icap://a",
        ),
        (SMALLEST + "squid: {ports: []}\n", "3: squid.ports: must not be empty"),
        (
            SMALLEST + "squid: {icap: 'icap://a/reqmod'}\n",
            "3: squid.icap: not icap://HOST[:PORT], without a path",
        ),
        (
            SMALLEST + "squid: {ports: [{address: 70000}]}\n",
            "3: squid.ports.0.address: not PORT or ADDRESS:PORT",
        ),
    ],
)
def test_contradictions(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]


def test_no_path_is_empty_or_holds_a_control_character(tmp_path: Path) -> None:
    for text in ("''", '"a\\0b"', '"a\\nb"', "."):
        assert faults(tmp_path, SMALLEST + f"page: {text}\n") == ["3: page: not a file name"]


def test_no_text_for_squid_conf_can_begin_a_second_directive(tmp_path: Path) -> None:
    for text in ('"a\\nhttp_access allow all"', '"a\\" b"', "'a # b'", "''"):
        assert len(faults(tmp_path, SMALLEST + f"squid: {{certgen: {text}}}\n")) == 1, text


def test_what_check_prints_loads_to_the_same_configuration(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        SMALLEST + "tls: {certificate: c, key: k}\npage: 'my \"page\" ä.html'\nlimits: {linger: 0.25}\n"
        "squid: {version: '6.10', ports: [{address: '127.0.0.1:3128', bump: yes}, {address: 3129}]}\n",
    )
    rendered = render_config(config)
    assert load(tmp_path, rendered) == config
    assert "linger: 0.25  # s to read on" in rendered


def test_every_option_has_a_description(tmp_path: Path) -> None:
    for line in render_config(load(tmp_path, SMALLEST)).splitlines():
        assert "  # " in line or line.endswith(":") or line.startswith("# "), line


# -- users and groups --------------------------------------------------------------------------------

LDAP = "url: ldaps://dc1.corp.test, user_base: 'DC=corp,DC=test'"


def ldap(more: str = "") -> str:
    return SMALLEST + f"users: {{ldap: {{{LDAP}{more}}}}}\n"


def test_users_by_default_come_from_headers_alone(tmp_path: Path) -> None:
    config = load(tmp_path, SMALLEST)
    assert config.user_headers == USUAL
    assert (config.users.file, config.users.ldap) == (None, None)


def test_users_of_a_file_and_of_a_directory(tmp_path: Path) -> None:
    config = load(tmp_path, ldap(", bind_dn: 'CN=icapd', password_file: secret, ca: ca.pem"))
    settings = config.users.ldap
    assert settings is not None
    assert (settings.url.scheme, settings.url.host, settings.url.port) == ("ldaps", "dc1.corp.test", 636)
    assert (settings.password_file, settings.ca) == (tmp_path / "secret", tmp_path / "ca.pem")
    assert load(tmp_path, render_config(config)) == config


def test_headers_of_users_and_of_squids_groups(tmp_path: Path) -> None:
    text = SMALLEST + (
        "users: {header: X-User, encoding: raw}\n"
        "squid: {groups: [{name: Staff, acl: external ldap_group Staff}]}\n"
    )
    names = load(tmp_path, text).user_headers
    assert (names.name, names.encoding) == (b"x-user", "raw")
    assert names.groups == ((group_header("Staff").lower().encode(), "Staff"),)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ldap(", bind_dn: cn=a"), "3: bind_dn and password_file need each other"),
        (ldap(", password_file: a"), "3: bind_dn and password_file need each other"),
        (ldap(", start_tls: yes"), "3: ldaps:// has TLS already; start_tls is for ldap://"),
        (
            ldap(", ca: c").replace("ldaps:", "ldap:"),
            "3: without start_tls there is no TLS on ldap://",
        ),
        (ldap(", nested: yes, group_filter: '(member={dn})'"), "3: nested has a group_filter of its own"),
        (ldap(", user_filter: '(uid=alice)'"), "3: needs {login} or {user}, and nothing else in braces"),
        (ldap(", user_filter: '(uid={dn})'"), "3: needs {login} or {user}, and nothing else in braces"),
        (
            ldap(", group_filter: '(a={dn})(b={realm})'"),
            "3: needs {dn} or {login} or {user}, and nothing else in braces",
        ),
        (
            ldap().replace("dc1.corp.test", "a/b"),
            "3: users.ldap.url: not ldap://HOST[:PORT] or ldaps://HOST[:PORT]",
        ),
        (SMALLEST + "users: {header: 'X User'}", "3: users.header: not a header's name"),
        (
            SMALLEST
            + "squid:\n  groups:\n  - {name: a, acl: src 10.0.0.1}\n  - {name: A, acl: src 10.0.0.2}",
            "6: the group A is here twice",
        ),
        (
            SMALLEST + 'squid: {groups: [{name: "a\\nb", acl: src ::1}]}',
            "3: squid.groups.0.name: not a group's name",
        ),
    ],
)
def test_faults_of_users_and_groups(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]


@pytest.mark.parametrize(
    "acl",
    ["external", "", "src  ::1", "src 'a b'", '"/etc/passwd"', "src a#b", "Src ::1", 'src "a"', 'src "/a b"',
     '"src ::1\\nhttp_access allow all"', "src /a\\b"],
)  # fmt: skip
def test_an_acl_is_one_line_of_words(tmp_path: Path, acl: str) -> None:
    text = acl if acl.startswith('"src') else "'" + acl.replace("'", "''") + "'"
    assert len(faults(tmp_path, SMALLEST + f"squid: {{groups: [{{name: a, acl: {text}}}]}}\n")) == 1


def test_an_argument_of_an_acl_may_be_a_file(tmp_path: Path) -> None:
    text = SMALLEST + "squid: {groups: [{name: a, acl: 'external groups \"/etc/squid/staff\"'}]}\n"
    assert load(tmp_path, text).squid.groups[0].acl == 'external groups "/etc/squid/staff"'


ADAPTERS = 'listen: ["icap://127.0.0.1:1344"]\npolicy: p\nadapters: '


def test_adapters_are_rendered_as_they_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "icapd.yaml"
    file.write_text(
        ADAPTERS + '[clamd, {yara: {name: y2, on_error: open, rules: [a.yar, "b c.yar"], "x y": 1}}]\n'
    )
    config = load_config(file)
    assert [(one.kind, one.name, one.text.on_error) for one in config.adapters] == [
        ("clamd", "clamd", "closed"),
        ("yara", "y2", "open"),
    ]
    file.write_text(render_config(config))
    assert load_config(file).adapters == config.adapters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{a: {}, b: {}}]", "adapters.0: an entry is one adapter: - KIND: {…}"),
        ("[a, a]", "two adapters are called a: give one a `name`"),
        ("[{a: {on_error: x}}]", "adapters.0.a.on_error: should be 'open' or 'closed'"),
        ("[{a: {timeout: 99}}]", "adapters.0.a.timeout: should be less than or equal to 50"),
        ("[{a: {name: content}}]", "adapters.0.a.name: not a name of letters"),
    ],
)
def test_what_no_adapter_is(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "icapd.yaml"
    file.write_text(f"{ADAPTERS}{text}\n")
    with pytest.raises(ConfigErrors) as raised:
        load_config(file)
    assert str(raised.value).startswith(f"{file}:3: {message}")
