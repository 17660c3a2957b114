r"""Names of users and groups in the forms in which directories and proxies write them.

`alice@CORP.TEST` (Kerberos), `CORP\alice` (NTLM), `LDAP://host/CN=Alice,OU=Users,DC=corp` (a URI of the
ICAP extensions draft, draft-stecher-icap-subid), plain. Distinguished names as in RFC 4514.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

IN_DOUBT = "\0"  # stands among the groups of a user whose other groups could not be told; no name has it
_PIECE = re.compile(r"(?:[^,\\]|\\.?)+", re.DOTALL)  # up to a comma that no backslash takes away
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSWORD = re.compile(r"^([^/:@]*):[^/@]*@")  # of the part of a URI that says who asks
_NEXT_URI = re.compile(r",\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9.-]*")
_ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)
_INNER = re.compile(r"\\,(?=\s*(?:cn|ou|o|dc|c|l|st|uid|street)\s*=)", re.IGNORECASE)
_ROOTS = frozenset({"dc", "c", "o"})  # attributes in which a distinguished name ends


def base64_text(value: str) -> str | None:
    """Return the text that `value` is the base64 of; None if it is not, or not printable text."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text if text.isprintable() else None


def guessed(value: str) -> str:
    """Return `value`, or the text that it is most likely the base64 of.

    Many a plain name is base64 by its letters: only a URI inside, or the padding, tells.
    """
    text = base64_text(value)
    return text if text and ("://" in text or value.endswith("=")) else value


def without_password(text: str) -> str:
    """Return NAME of NAME:PASSWORD, in base64 or not: some send on what Basic authentication brought them."""
    plain = base64_text(text) or text
    return plain.partition(":")[0] if ":" in plain and "://" not in plain else text


def without_scheme(text: str) -> str:
    r"""Return the name in a URI: LDAP://host/DN is DN, WinNT://DOM/name is DOM\name, Local://name is name."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    rest = unquote(_PASSWORD.sub(r"\1@", text[scheme.end() :]))
    if scheme[0].lower() in {"ldap://", "ldaps://"}:
        host, slash, name = rest.partition("/")
        return name if slash and "=" not in host else rest
    return rest.replace("/", "\\", 1)


def pairs_of(name: str) -> tuple[tuple[str, str], ...]:
    """Return a distinguished name as (attribute in small letters, value); () if it is none."""
    pairs = []
    for piece in _PIECE.findall(name):
        attribute, _, value = piece.partition("=")
        if _ATTRIBUTE.fullmatch(attribute.strip()) is None or not value.strip():
            return ()
        pairs.append((attribute.strip().lower(), _unescaped(value.strip())))
    return tuple(pairs)


def _unescaped(value: str) -> str:
    def plain(match: re.Match[str]) -> str:
        digits = match[1]
        return bytes.fromhex(digits.replace("\\", "")).decode("utf-8", "replace") if digits else match[2]

    return _ESCAPE.sub(plain, value)


@lru_cache(4096)
def user_forms(user: str) -> tuple[str, ...]:
    r"""Return every name that a user could be meant by, in folded case, the one sent first.

    `CORP\alice`, `alice@CORP.TEST` and `CN=alice,OU=users` could be alice. So could what a server takes for
    the same name: percent-encoded, in wide letters, with more spaces (RFC 4518 §2 prepares names so).
    """
    forms = {user.casefold(): None}
    decoded = unquote(user)
    for text in (user, decoded, " ".join(unicodedata.normalize("NFKC", decoded).split())):
        name = text.casefold()
        pairs = pairs_of(name) if "=" in name else ()
        for each in (name, name.rpartition("\\")[2], pairs[0][1] if pairs else ""):
            forms[each] = forms[each.partition("@")[0]] = None
    forms.pop("", None)
    return tuple(forms)


def bare_name(user: str, realms: frozenset[str] = frozenset()) -> str:
    """Return a user's name without realm, domain and place in a directory.

    `realms` (folded case), if any are given, are the only ones that are taken off.
    """
    if "=" in user and (pairs := pairs_of(user)):
        return pairs[0][1]
    for cut, realm, name in (_cut_domain(user), _cut_realm(user)):
        if cut and (not realms or realm.casefold() in realms):
            return name
    return user


def _cut_domain(user: str) -> tuple[str, str, str]:
    domain, cut, name = user.partition("\\")
    return (cut, domain, name) if domain and name else ("", "", user)


def _cut_realm(user: str) -> tuple[str, str, str]:
    name, cut, realm = user.rpartition("@")
    return (cut, realm, name) if realm and name else ("", "", user)


def group_names(text: str) -> tuple[str, ...]:
    r"""Return every name a group goes by, the fullest first.

    CN=Staff,OU=Groups,DC=corp,DC=test is also Staff, and corp.test/Groups/Staff (Active Directory's
    canonicalName); CORP\staff is also staff.
    """
    name = without_scheme(text.strip())
    pairs = pairs_of(name) if "=" in name else ()
    if not pairs:
        short = _cut_domain(name)[2]
        return (name, short) if short != name else (name,)
    domain = ".".join(value for attribute, value in pairs if attribute == "dc")
    path = [value for attribute, value in reversed(pairs) if attribute != "dc"]
    names = (name, pairs[0][1], "/".join([domain, *path]) if domain else "")
    return tuple(dict.fromkeys(filter(None, names)))


def groups_in(value: str, encoding: str = "auto") -> tuple[str, ...]:
    """Return the groups a comma list names, each once: URIs, names or DNs, each or all of it in base64.

    `encoding` is auto, raw or base64; a base64 that is none gives no group. A comma inside a DN may be
    escaped or not.
    """
    found: list[str] = []
    plain: list[str] = []
    for piece in filter(None, map(str.strip, _PIECE.findall(value))):
        text = piece if encoding == "raw" else guessed(piece)
        if encoding == "base64":
            text = base64_text(piece) or ""
        if text != piece:
            found += _listed(text)
        else:
            plain.append(_INNER.sub(",", piece))
    found += _joined(plain)
    return tuple(dict.fromkeys(found))


def _listed(text: str) -> list[str]:
    """Cut what was one piece of base64: one URI or DN, or a whole list."""
    if "://" in text:
        return _NEXT_URI.split(text)
    return _joined([_INNER.sub(",", piece.strip()) for piece in _PIECE.findall(text)])


def _joined(pieces: list[str]) -> list[str]:
    """Put the pieces of DNs together again: one ends where it has reached its root and goes no further."""
    names: list[str] = []
    last = ""  # attribute of the piece before, where a DN can go on
    for piece in filter(None, pieces):
        pairs = pairs_of(without_scheme(piece)) if "=" in piece else ()
        if not last or not pairs or "://" in piece or (last in _ROOTS and pairs[0][0] not in _ROOTS):
            names.append(piece)
        else:
            names[-1] += "," + piece
        last = pairs[-1][0] if pairs else ""
    return names
