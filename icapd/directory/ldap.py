"""Users' groups from LDAP (RFC 4511), over one connection that is opened when needed.

Two searches: the user, then the groups that have him as a member. Referrals are not followed: they would
have icapd show its password to servers that nobody named. ldaptor speaks the protocol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ldaptor.ldapfilter import InvalidLDAPFilter, parseFilter
from ldaptor.protocols.ldap.ldapclient import LDAPClient, LDAPClientConnectionLostException
from ldaptor.protocols.pureldap import (
    LDAP_DEREF_neverDerefAliases,
    LDAP_SCOPE_wholeSubtree,
    LDAPSearchRequest,
    LDAPSearchResultDone,
    LDAPSearchResultEntry,
)
from OpenSSL import SSL
from twisted.internet import defer, error, ssl
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from icapd.accounts import group_names
from icapd.directory.lookups import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icapd.config import LdapSettings
    from icapd.directory.lookups import Groups

reactor: Any = _reactor
_log = Logger(namespace="icapd")
_NESTED = "(member:1.2.840.113556.1.4.1941:={dn})"  # Active Directory's LDAP_MATCHING_RULE_IN_CHAIN
_NO_ATTRIBUTES = "1.1"  # RFC 4511 §4.5.1.8
_MAX_GROUPS = 5000  # of one user
_IDLE = 60.0  # seconds without a question after which the connection is closed
_SUCCESS, _SIZE_LIMIT = 0, 4
_OF_ONE = frozenset({3, _SIZE_LIMIT})  # timeLimitExceeded too: what fails one user may serve another
_RESULTS = {
    3: "it took longer than it may",
    10: "it refers to another server, which is not followed",
    32: "no such entry: user_base or group_base is not there",
    49: "wrong bind_dn or password",
    50: "bind_dn may not search there",
    51: "it is busy",
    52: "it is unavailable",
}
_LOST = (error.ConnectionDone, error.ConnectionLost, LDAPClientConnectionLostException)


def seconds() -> float:
    """Return the reactor's clock, which does not go back."""
    return float(reactor.seconds())


class _Unanswered(Exception):  # noqa: N818  (not always an error)
    """A question that the directory answered with something else."""

    def __init__(self, why: str, *, outage: bool) -> None:
        super().__init__(why)
        self.outage = outage


class _Client(LDAPClient):  # type: ignore[misc]  # ldaptor has no types
    """ldaptor's client, which tells when it has heard something and when it has ended."""

    def __init__(self, owner: LdapQuery) -> None:
        super().__init__()
        self._owner = owner

    def dataReceived(self, recd: bytes) -> None:  # noqa: N802
        """Take bytes; what is no LDAP ends the connection."""
        self._owner.heard += 1
        try:
            super().dataReceived(recd)
        except Exception as fault:  # noqa: BLE001  (ldaptor's decoder raises what it likes)
            _log.error("LDAP: an answer could not be read: {fault}", fault=repr(fault)[:200])
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Forget it; questions under way fail."""
        self._owner.lost(self)
        super().connectionLost(reason)


class LdapQuery:
    """Asks one directory. Raises ValueError for settings that cannot serve; connects when first asked."""

    def __init__(self, settings: LdapSettings, password: str | None) -> None:
        self._settings = settings
        self._password = password
        self._group_filter = _NESTED if settings.nested else settings.group_filter
        for option, template in (("user_filter", settings.user_filter), ("group_filter", self._group_filter)):
            try:
                parseFilter(filled(template, dict.fromkeys(("user", "login", "dn"), "x")))
            except InvalidLDAPFilter as fault:
                raise ValueError(f"{option}: no LDAP filter (RFC 4515): {template}") from fault
        self._tls = _tls(settings)
        self._live: _Client | None = None
        self._waiting: list[defer.Deferred[_Client]] = []
        self._idle: Any = None
        self.heard = 0  # times that anything came from the server

    def __call__(self, login: str, bare: str, done: Callable[[Groups | Failed], None]) -> None:
        """Ask for the groups of a user; `done` is called once."""
        heard = self.heard
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = reactor.callLater(_IDLE, self._close)
        asking = defer.ensureDeferred(self._groups(login, bare))
        asking.addTimeout(self._settings.timeout, reactor)
        asking.addErrback(self._failed, login, heard)
        asking.addCallback(done)
        asking.addErrback(lambda failure: _log.failure("LDAP: an answer could not be used", failure))

    def report(self, what: str, good: bool) -> None:
        """Log what became of the directory."""
        log = _log.info if good else _log.error
        log("directory {url}: {what}", url=self._settings.url.text, what=what)

    # -- two searches ----------------------------------------------------------------------------

    async def _groups(self, login: str, bare: str) -> Groups:
        reused = self._live is not None
        try:
            return await self._searches(await self._client(), login, bare)
        except _LOST:
            if not reused:
                raise
            return await self._searches(await self._client(), login, bare)  # the server had closed it

    async def _searches(self, client: _Client, login: str, bare: str) -> Groups:
        settings = self._settings
        names = {"user": bare, "login": login}
        text = filled(settings.user_filter, names)
        users = await self._search(client, settings.user_base, text, _NO_ATTRIBUTES, 2)
        if not users:
            return ()
        if len(users) > 1:
            raise _Unanswered(f"user_filter finds more than one entry for {login!r}", outage=False)
        dn = users[0].objectName.decode("utf-8", "replace")
        text = filled(self._group_filter, {**names, "dn": dn})
        base = settings.user_base if settings.group_base is None else settings.group_base
        groups = await self._search(client, base, text, "cn", _MAX_GROUPS)
        return tuple(dict.fromkeys(name for group in groups for name in _names(group)))

    def _search(
        self, client: _Client, base: str, text: str, attribute: str, limit: int
    ) -> defer.Deferred[list[Any]]:
        """Search below `base`; the entries found. References to other servers are passed over."""
        found: list[Any] = []
        result: defer.Deferred[list[Any]] = defer.Deferred()

        def take(message: object) -> bool:
            if isinstance(message, LDAPSearchResultEntry):
                found.append(message)
            elif isinstance(message, LDAPSearchResultDone):
                code = message.resultCode
                if code == _SUCCESS or (code == _SIZE_LIMIT and attribute == _NO_ATTRIBUTES):
                    result.callback(found)
                else:
                    result.errback(_result(code))
                return True
            return False

        request = LDAPSearchRequest(
            baseObject=base,
            scope=LDAP_SCOPE_wholeSubtree,
            derefAliases=LDAP_DEREF_neverDerefAliases,
            sizeLimit=limit,
            timeLimit=max(1, int(self._settings.timeout)),
            filter=parseFilter(text),
            attributes=[attribute],
        )
        client.send_multiResponse(request, take).addErrback(result.errback)  # fires only if the link is lost
        return result

    # -- the connection --------------------------------------------------------------------------

    def _client(self) -> defer.Deferred[_Client]:
        """The connection, when it is up; all who ask meanwhile wait for one attempt."""
        if self._live is not None:
            return defer.succeed(self._live)
        waiting: defer.Deferred[_Client] = defer.Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            connecting = defer.ensureDeferred(self._connect())
            connecting.addTimeout(self._settings.timeout, reactor)
            connecting.addBoth(self._connected)
        return waiting

    async def _connect(self) -> _Client:
        settings = self._settings
        endpoint: Any = HostnameEndpoint(reactor, settings.url.host, settings.url.port, settings.timeout)
        if self._tls is not None and not settings.start_tls:
            endpoint = wrapClientTLS(self._tls, endpoint)
        client: _Client = await connectProtocol(endpoint, _Client(self))
        try:
            if settings.start_tls:
                await client.startTLS(self._tls)
            if settings.bind_dn is not None:
                await client.bind(settings.bind_dn, self._password)
        except BaseException:
            client.transport.abortConnection()
            raise
        return client

    def _connected(self, result: _Client | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(result, Failure):
            self._live = result if result.connected else None
        for each in waiting:
            if isinstance(result, Failure):
                each.errback(result)
            else:
                each.callback(result)

    def lost(self, client: _Client) -> None:
        """Have the next question open another connection."""
        if self._live is client:
            self._live = None

    def _close(self) -> None:
        if self._live is not None:
            self._live.unbind()

    # -- what went wrong -------------------------------------------------------------------------

    def _failed(self, failure: Failure, login: str, heard: int) -> Failed:
        fault = failure.value
        if isinstance(fault, _Unanswered):
            return Failed(str(fault), fault.outage)
        if not isinstance(fault, (defer.TimeoutError, defer.CancelledError, error.TimeoutError)):
            return Failed(_reason(fault), outage=True)
        why = f"no answer in {self._settings.timeout:g} s"
        if self.heard != heard:
            return Failed(f"{why} about {login!r}", outage=False)
        if self._live is not None:
            self._live.transport.abortConnection()
            self._live = None
        return Failed(why, outage=True)


def filled(template: str, values: Mapping[str, str]) -> str:
    """Put values into a filter's {names}, so that each stays a value (RFC 4515 §3)."""
    return re.sub(r"\{(\w+)\}", lambda match: escaped(values[match[1]]), template)


def escaped(value: str) -> str:
    """Escape all ASCII but letters and digits; ldaptor reads an escape as a character, not as a byte."""
    return "".join(c if c.isalnum() or ord(c) > 127 else f"\\{ord(c):02x}" for c in value)  # noqa: PLR2004


def _names(group: Any) -> tuple[str, ...]:  # noqa: ANN401  (ldaptor has no types)
    dn = group.objectName.decode("utf-8", "replace")
    values = [value for _, values in group.attributes for value in values]  # only cn was asked for
    return (*group_names(dn), *(value.decode("utf-8", "replace") for value in values))


def _result(code: int) -> _Unanswered:
    return _Unanswered(_RESULTS.get(code, f"LDAP result code {code}"), outage=code not in _OF_ONE)


def _reason(fault: BaseException | None) -> str:
    if isinstance(fault, SSL.Error):
        return (
            "TLS: " + ", ".join(str(part[-1]) for part in fault.args[0] if part)
            if fault.args
            else "TLS failed"
        )
    code = getattr(fault, "resultCode", None)
    if isinstance(code, int) and code in _RESULTS:
        return _RESULTS[code]
    return str(fault).rstrip(".") or type(fault).__name__


def _tls(settings: LdapSettings) -> Any:  # noqa: ANN401  (Twisted's ClientTLSOptions, which is private)
    """Return how to check the server's certificate and name; None without TLS. Raises ValueError."""
    if settings.url.scheme == "ldap" and not settings.start_tls:
        return None
    trust: Any = ssl.platformTrust()
    if settings.ca is not None:
        begin = b"-----BEGIN CERTIFICATE-----"
        try:
            blocks = settings.ca.read_bytes().split(begin)[1:]
            certificates = [ssl.Certificate.loadPEM(begin + block) for block in blocks]
        except OSError as fault:
            raise ValueError(f"cannot read {settings.ca}: {fault.strerror}") from fault
        except SSL.Error:
            certificates = []
        except Exception as fault:  # the PEM reader's, of several packages
            raise ValueError(f"{settings.ca} holds no certificate in PEM form") from fault
        if not certificates:
            raise ValueError(f"{settings.ca} holds no certificate in PEM form")
        trust = ssl.trustRootFromCertificates(certificates)
    return ssl.optionsForClientTLS(settings.url.host, trustRoot=trust)
