"""Names of users and groups in every form in which they come."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.accounts import bare_name, group_names, groups_in, guessed, pairs_of, user_forms, without_scheme


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("user", "bare"),
    [
        ("alice", "alice"),
        ("Alice@CORP.TEST", "Alice"),
        ("CORP\\alice", "alice"),
        ("CN=Alice Smith,OU=Users,DC=corp", "Alice Smith"),
        ("uid=alice", "alice"),
        ("CN=Smith\\, Alice,DC=corp", "Smith, Alice"),
        ("@CORP", "@CORP"),
        ("alice@", "alice@"),
        ("\\alice", "\\alice"),
        ("CORP\\", "CORP\\"),
        ("a=", "a="),
        ("alice@mail.example@CORP.TEST", "alice@mail.example"),
    ],
)
def test_a_bare_name(user: str, bare: str) -> None:
    assert bare_name(user) == bare


@pytest.mark.parametrize(
    "user",
    ["alice", "ALICE", "alice@CORP.TEST", "CORP\\Alice", "CORP\\alice@CORP.TEST", "CN=Alice,OU=Users,DC=corp",
     "CORP%5Calice", "%61lice", "alice%40CORP", "\uff41\uff4c\uff49\uff43\uff45", " alice ", "ALICE@corp.test"],
)  # fmt: skip
def test_who_could_be_alice(user: str) -> None:
    assert "alice" in user_forms(user)
    assert user_forms(user)[0] == user.casefold()


@pytest.mark.parametrize(
    "user", ["bob", "malice", "bob@alice", "alice\\bob", "cn=bob,cn=alice", "@alice", ""]
)
def test_who_could_not(user: str) -> None:
    assert "alice" not in user_forms(user)
    assert "" not in user_forms(user)


def test_letters_are_one_name_however_they_are_composed() -> None:
    assert "zoë" in user_forms("zoe\u0308")


def test_only_known_realms_are_taken_off() -> None:
    realms = frozenset({"corp.test", "corp"})
    assert bare_name("alice@Corp.Test", realms) == "alice"
    assert bare_name("CORP\\alice", realms) == "alice"
    assert bare_name("alice@PARTNER.TEST", realms) == "alice@PARTNER.TEST"
    assert bare_name("PARTNER\\alice", realms) == "PARTNER\\alice"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("Local://alice", "alice"),
        ("WinNT://CORP/alice", "CORP\\alice"),
        ("LDAP://dc1.corp.test/CN=Alice%20Smith,DC=corp", "CN=Alice Smith,DC=corp"),
        ("LDAP://CN=A/B,DC=corp", "CN=A/B,DC=corp"),
        ("ldaps://dc1:636/alice", "alice"),
        ("alice", "alice"),
        ("://alice", "://alice"),
    ],
)
def test_a_uri_is_its_name(uri: str, name: str) -> None:
    assert without_scheme(uri) == name


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("CN=Staff,DC=corp", (("cn", "Staff"), ("dc", "corp"))),
        (r"cn = A\, B , dc=x", (("cn", "A, B"), ("dc", "x"))),
        (r"CN=a\\,DC=x", (("cn", "a\\"), ("dc", "x"))),
        (r"CN=M\c3\bcller", (("cn", "Müller"),)),
        ("Staff", ()),
        ("CN=a,b", ()),
        ("=a", ()),
    ],
)
def test_parts_of_a_distinguished_name(name: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert pairs_of(name) == pairs


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("staff", ("staff",)),
        (
            "CN=Staff,OU=Groups,DC=corp,DC=test",
            ("CN=Staff,OU=Groups,DC=corp,DC=test", "Staff", "corp.test/Groups/Staff"),
        ),
        ("CORP\\Domain Users", ("CORP\\Domain Users", "Domain Users")),
        ("WinNT://CORP/staff", ("CORP\\staff", "staff")),
        ("LDAP://dc1/cn=a,o=x", ("cn=a,o=x", "a")),
    ],
)
def test_every_name_of_a_group(group: str, names: tuple[str, ...]) -> None:
    assert group_names(group) == names


STAFF = "CN=Staff,OU=Groups,DC=corp,DC=test"
KIDS = "CN=Kids,CN=Users,DC=corp,DC=test"


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        ("staff, kids ,,staff", ("staff", "kids")),
        (f"{b64('Local://staff')},{b64('LDAP://dc1/' + KIDS)}", ("Local://staff", "LDAP://dc1/" + KIDS)),
        (b64(f"LDAP://{STAFF}, LDAP://{KIDS}"), (f"LDAP://{STAFF}", f"LDAP://{KIDS}")),
        (b64("staff,kids"), ("staff", "kids")),
        (f"{STAFF},{KIDS}", (STAFF, KIDS)),
        (f"LDAP://{STAFF},LDAP://{KIDS},plain", (f"LDAP://{STAFF}", f"LDAP://{KIDS}", "plain")),
        (STAFF.replace(",", "\\,") + "," + KIDS.replace(",", "\\,"), (STAFF, KIDS)),
        (r"CN=Smith\, John,OU=x,DC=y,kids", (r"CN=Smith\, John,OU=x,DC=y", "kids")),
        ("kids," + STAFF, ("kids", STAFF)),
        ("Teachers,students", ("Teachers", "students")),
        ("", ()),
        (",\\", ("\\",)),
    ],
)
def test_a_list_of_groups(value: str, groups: tuple[str, ...]) -> None:
    assert groups_in(value) == groups


def test_an_encoding_that_is_told_is_not_guessed() -> None:
    assert groups_in(b64("Local://staff"), "raw") == (b64("Local://staff"),)
    assert groups_in(b64("abc"), "base64") == ("abc",)
    assert groups_in("not base64", "base64") == ()


@pytest.mark.parametrize("name", ["admin123", "Luke", "markus", "abcdefgh", "Ym9i"])
def test_a_plain_name_is_not_taken_for_base64(name: str) -> None:
    assert guessed(name) == name


@given(st.text(max_size=60))
def test_no_text_breaks_them(text: str) -> None:
    assert all(group_names(group) for group in groups_in(text) if group)
    bare_name(text)
    without_scheme(text)


@given(
    st.lists(
        st.text("abz ,\\=äé#+", min_size=1, max_size=8).map(str.strip).filter(bool), min_size=1, max_size=4
    )
)
def test_escaped_values_come_back(values: list[str]) -> None:
    def escaped(value: str) -> str:
        return "".join(c if c.isalnum() else "".join(f"\\{byte:02x}" for byte in c.encode()) for c in value)

    name = ",".join(f"ou={escaped(value)}" for value in values)
    assert [value for _, value in pairs_of(name)] == values
