"""What `-c` names, for the commands that ask a policy: an icapd.yaml, or a policy file by itself."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from icapd.adaptation import UseAdapted, carry_out, redirect_location
from icapd.adapters.urls import UrlThreats
from icapd.config import load_config
from icapd.directory import Directory, unasked_directory
from icapd.pages import Pages
from icapd.policy import Block, Policy, Redirect, load_policy
from icapd.policy.explain import Sent, explain
from icapd.replies import described, follows_redirects
from icapd.source import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icapd.config import Config
    from icapd.policy.explain import Asked, Explanation
    from icapd.policy.question import Question
    from icapd.source import Document

_OF_CONFIG = frozenset({"listen", "policy"})
_OF_POLICY = frozenset(
    {"lists", "bypass", "access", "protection", "default_protection", "tls", "workspaces", "groups"}
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A policy with what is served around it; `config` is None where only a policy file was given."""

    policy: Policy
    pages: Pages
    config: Config | None
    directory: Directory | None = None

    def known(self, question: Question) -> Question:
        """Return `question` with what icapd.yaml says of users: their headers, and groups of its file."""
        if self.config is None or self.directory is None:
            return question
        return replace(question, names=self.config.user_headers, complete=self.directory.complete)

    @property
    def bumps(self) -> bool:
        """Whether Squid decrypts on any of its ports; so presumed where no icapd.yaml says it."""
        return self.config is None or any(port.bump for port in self.config.squid.ports)

    def explain(self, question: Question) -> Explanation:
        """Say what becomes of `question`, the lists of threats asked as the server asks them."""
        return explain(self.policy, question, UrlThreats(self.policy.lists).find)

    def answer(self, asked: Asked) -> UseAdapted | None:
        """Return what icapd would send in place of the message, or None where it passes as it came."""
        if asked.tx is None:
            return None
        outcome = carry_out(
            asked.tx, asked.decision, self.policy, self.pages, "explain", marks_connect=self.bumps
        )
        return outcome.answer if isinstance(outcome.answer, UseAdapted) else None

    def sent(self, asked: Asked) -> Sent:
        """Return what that is, read off the answer itself: not every redirect is sent, nor every page."""
        answer = self.answer(asked)
        if answer is None or asked.tx is None or not isinstance(asked.decision.action, Block | Redirect):
            return Sent()
        location = self.location(asked)
        if location is not None and (
            answer.head.startswith(b"HTTP/1.1 302 ") or b"X-Icapd-Verdict: redirect" in answer.head
        ):
            return Sent(location)
        if answer.is_response and answer.head.startswith(b"HTTP/1.1 200 "):
            return Sent(reply="leave to ask (200), as CORS has it; what it asks for is blocked")
        reply = described(asked.tx.request, fits=self.pages.fits)
        if location is not None:
            reply += f"; the redirect to {location} {self._unsent(asked)}"
        return Sent(reply=reply)

    def _unsent(self, asked: Asked) -> str:
        """Say why a redirect is not sent."""
        request = None if asked.tx is None else asked.tx.request
        if follows_redirects(request, fits=self.pages.fits):
            return "is not sent, it would lead back to the same rule"
        return "is for pages"

    def location(self, asked: Asked) -> str | None:
        """Return where a rule redirects to, whether or not that is sent."""
        action = asked.decision.action
        if asked.tx is None or not isinstance(action, Redirect):
            return None
        return redirect_location(asked.tx, action, asked.decision, "explain")


def is_policy(file: Path) -> bool:
    """Tell a policy file from an icapd.yaml by its keys. Raises ConfigErrors if it cannot be read."""
    return says_policy(read_document(file))


def says_policy(document: Document) -> bool:
    """Tell it of a file that was read."""
    value = document.value
    keys = frozenset(value) if isinstance(value, dict) else frozenset()
    return not keys & _OF_CONFIG and bool(keys & _OF_POLICY)


def open_subject(file: Path) -> Subject:
    """Load what `-c FILE` names. Raises ConfigErrors with everything that is wrong with it."""
    with uncollected():
        document = read_document(file)
        if says_policy(document):
            return Subject(load_policy(file, document=document), Pages.load(None), None)
        config = load_config(file)
        directory = unasked_directory(config)
        pages = Pages.load(config.page, fits=config.replies == "fit")
        return Subject(load_policy(config.policy), pages, config, directory)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile, nor look at what was made: it stays, and 5,000 rules are many objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
