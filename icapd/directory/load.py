"""Everything about users that icapd.yaml names, read and checked; nothing is asked yet."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from icapd.directory.file import StaticGroups, read_users
from icapd.directory.groups import Directory, Unasked, asks_groups
from icapd.directory.lookups import Lookups, Terms
from icapd.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from icapd.config import Config, LdapSettings
    from icapd.policy import Policy


def load_directory(config: Config, policy: Policy) -> Directory:
    """Read what `users` in icapd.yaml names. Raises ConfigErrors: all faults, at once."""
    users = config.users
    errors: list[ConfigError] = []
    static, lookups = StaticGroups(), None
    try:
        static = read_users(users.file) if users.file is not None else static
    except ConfigErrors as error:
        errors += error.errors
    if users.ldap is not None:
        try:
            lookups = _lookups(config, users.ldap)
        except ConfigErrors as error:
            errors += error.errors
    if errors:
        raise ConfigErrors(errors)
    denies = users.ldap is not None and users.ldap.on_error == "deny"
    return Directory(static, users.realms, lookups, asked=asks_groups(policy), denies=denies)


def unasked_directory(config: Config) -> Directory:
    """Return the same for those who only explain: LDAP is not asked, so what it would say is in doubt.

    Raises ConfigErrors for faults in users.file.
    """
    users = config.users
    static = StaticGroups() if users.file is None else read_users(users.file)
    return Directory(static, users.realms, None if users.ldap is None else Unasked())


def _lookups(config: Config, settings: LdapSettings) -> Lookups:
    errors: list[ConfigError] = []
    password = None
    try:
        if settings.password_file is not None:
            password = _password(settings.password_file)
    except ConfigError as error:
        errors.append(error)
    try:
        from icapd.directory import ldap  # noqa: PLC0415  (an extra, and the only module here with Twisted)
    except ImportError as error:
        if not (error.name or "").startswith("ldaptor"):
            raise
        errors.append(ConfigError(config.file, 0, "users.ldap needs ldaptor: pip install 'icapd[ldap]'"))
        raise ConfigErrors(errors) from None
    try:
        query = ldap.LdapQuery(settings, password)
    except ValueError as error:
        errors.append(ConfigError(config.file, 0, f"users.ldap: {error}"))
    if errors:
        raise ConfigErrors(errors)
    terms = Terms(settings.ttl, settings.negative_ttl, settings.stale, settings.cache)
    return Lookups(query, terms, ldap.seconds, query.report)


def _is_credential(path: Path) -> bool:
    """Whether systemd has put it there: what looks like its group's right is the one user it lets read it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.parent == Path(folder)


def _password(path: Path) -> str:
    """Read a password: the file's only line. Raises ConfigError, also if others can read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(4097)
    except OSError as error:
        raise ConfigError(path, 0, f"cannot be read: {error.strerror}") from error
    if mode & (0o037 if _is_credential(path) else 0o077):
        raise ConfigError(path, 0, f"may be read by others (mode {mode:04o}): chmod 600 it")
    try:
        password = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ConfigError(path, 0, "is not UTF-8") from error
    if not password or len(data) > 4096 or "\n" in password:  # noqa: PLR2004
        # RFC 4513 §5.1.2: a bind with an empty password succeeds, as nobody
        raise ConfigError(path, 0, "must hold one line, the password")
    return password
