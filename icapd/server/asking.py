"""Questions to all workers at once, and the tokens of `icapd doctor`, which all of them must know."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

if TYPE_CHECKING:
    from icapd.server.channel import Message
    from icapd.server.crew import Place

_PATIENCE = 5.0  # s for all to answer
_TOKEN = 120.0  # s that a token is good for
_MAX_SEEN = 100


class _Question:
    """One question: who has not answered, what the others said."""

    def __init__(self, places: set[Place]) -> None:
        self.waiting = places
        self.values: list[Any] = []
        self.done: Deferred[list[Any]] = Deferred()

    def settle(self, place: Place) -> None:
        self.waiting.discard(place)
        if not self.waiting and not self.done.called:
            self.done.callback(self.values)


class Asking:
    """Asks the workers of `places`."""

    def __init__(self, places: list[Place], reactor: Any) -> None:  # noqa: ANN401
        self._places = places
        self._reactor = reactor
        self._questions: dict[int, _Question] = {}
        self._count = 0
        self._tokens: dict[str, float] = {}

    def ask(self, message: Message) -> Deferred[list[Any]]:
        """Ask all that are ready; fires with the values of those that answered in time."""
        ready = [place for place in self._places if place.pid]
        if not ready:
            return succeed([])
        self._count += 1
        number = self._count
        question = self._questions[number] = _Question(set(ready))
        late = self._reactor.callLater(_PATIENCE, self._give_up, question)
        for place in ready:
            place.send(message | {"to": number})

        def ended(values: list[Any]) -> list[Any]:
            del self._questions[number]
            if late.active():
                late.cancel()
            return values

        return question.done.addCallback(ended)

    def heard(self, place: Place, message: Message) -> None:
        """Take an answer."""
        question = self._questions.get(message["to"])
        if question is not None:
            question.values.append(message["value"])
            question.settle(place)

    def left(self, place: Place) -> None:
        """A worker is gone: nobody waits for it."""
        for question in tuple(self._questions.values()):
            question.settle(place)

    # --- Probes -----------------------------------------------------------------------------

    def tokens(self) -> list[str]:
        """Return the tokens that are good."""
        now = self._reactor.seconds()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        return list(self._tokens)

    def issue(self) -> Deferred[str]:
        """Return a new token once all workers know it."""
        token = secrets.token_hex(16)
        self._tokens[token] = self._reactor.seconds() + _TOKEN
        return self.ask({"kind": "probe", "token": token}).addCallback(lambda _: token)

    def seen(self, token: str) -> Deferred[list[dict[str, str]] | None]:
        """Return what came with each request of `token`, to whichever worker; None if it is not good."""

        def merged(values: list[list[dict[str, str]] | None]) -> list[dict[str, str]] | None:
            known = [each for each in values if each is not None]
            return [one for each in known for one in each][:_MAX_SEEN] if known else None

        return self.ask({"kind": "probed", "token": token}).addCallback(merged)

    @staticmethod
    def _give_up(question: _Question) -> None:
        for place in tuple(question.waiting):
            question.settle(place)
