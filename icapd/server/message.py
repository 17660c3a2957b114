"""One message under adaptation: its facts, what was decided, and its one line in the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from icapd.adaptation import Scanned, UseEdited, UseVirgin, adapt, conclude, display_url
from icapd.content.shape import shape_of
from icapd.events import decision_line, with_tunnel
from icapd.server.tally import count_recorded, count_scanned
from icapd.transaction import Point, Transaction

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from icapd.adaptation import Answer, Outcome
    from icapd.adapters.model import Body
    from icapd.policy import Decision
    from icapd.protocol import RequestReceived
    from icapd.server.site import Generation, Site
    from icapd.verdicts import Finding

NO_ANSWER = 0  # in place of a status: the client was gone before it could be answered


class Message:
    """Adapted by the generation it began with. `answer` is what `outcome` says to answer."""

    __slots__ = (
        "_asked",
        "_looked",
        "_marks",
        "_recorded",
        "_site",
        "decision_id",
        "generation",
        "icap",
        "outcome",
        "tx",
    )

    def __init__(
        self,
        site: Site,
        generation: Generation,
        tx: Transaction,
        icap: RequestReceived,
        decision_id: str,
        *,
        marks: bool,
    ) -> None:
        self._site = site
        self.generation = generation
        self.tx = tx
        self.icap = icap
        self.decision_id = decision_id
        self._marks = marks
        self._recorded = False
        self._asked = 0.0  # when the body was given to be scanned, monotonic
        self._looked = ""  # what became of the body, for the log
        self.outcome: Outcome | None = None  # None until it is decided

    @property
    def answer(self) -> Answer:
        """What to answer."""
        return self._decided.answer

    @property
    def follows(self) -> bool:
        """Whether the body is to be read before it is answered."""
        return self._decided.follow

    @property
    def decision(self) -> Decision:
        """What was decided."""
        return self._decided.decision

    @property
    def _decided(self) -> Outcome:
        outcome = self.outcome
        if outcome is None:
            raise RuntimeError("not decided yet")
        return outcome

    @property
    def _is_connect(self) -> bool:
        request = self.tx.request
        return request is not None and request.method == "CONNECT"

    @property
    def url(self) -> str:
        """The request's URL for people."""
        return display_url(self.tx)

    def decide(self) -> None:
        """Decide by heads. What fails is recorded."""
        generation = self.generation
        directory = generation.directory
        try:
            outcome = adapt(
                self.tx,
                generation.policy,
                generation.pages,
                self.decision_id,
                marks_connect=self._marks,
                refused=directory.asked and directory.refuses(self.tx.client),
                scanning=generation.scanning,
            )
            late = self._site.late
            if late and self.tx.point is Point.REQMOD and isinstance(outcome.answer, UseVirgin | UseEdited):
                outcome = late.explain(self.tx, generation, self.decision_id, self.url) or outcome
            self.outcome = outcome
            if self._is_connect:
                self._site.tunnels.concluded(
                    self.icap.headers, self.tx, generation.policy, outcome.decision, outcome.tls
                )
        except Exception:
            self.record(500)
            raise

    def scan(self, body: Body) -> Deferred[Scanned]:
        """Have the body scanned."""
        self._asked = time.monotonic()
        return self.generation.scans.scan(self.tx, shape_of(self.tx), body)

    def conclude(self, scanned: Scanned) -> Answer:
        """Decide by what was found in the body."""
        generation, first = self.generation, self._decided
        if not self._looked:
            self._looked = "error" if scanned.errors else "cached" if scanned.cached else "scanned"
        if self._asked:
            count_scanned(self._site.counts, scanned, time.monotonic() - self._asked)
            self._asked = 0.0
        scanned = scanned._replace(findings=(*first.decision.findings, *scanned.findings))
        outcome = conclude(self.tx, generation.policy, generation.pages, self.decision_id, scanned)
        if isinstance(outcome.answer, UseVirgin) and isinstance(first.answer, UseEdited):
            outcome = outcome._replace(answer=first.answer)
        self.outcome = outcome
        return outcome.answer

    def give_up(self, finding: Finding) -> Answer:
        """Decide without having read the body whole: `finding` says why."""
        self._looked = "skipped"
        return self.conclude(Scanned((finding,)))

    def record(self, status: int, *, late: bool = False) -> None:
        """Write the line, once. `status` is the ICAP status of the answer; `late`: it was cut on the way."""
        if self._recorded:
            return
        self._recorded = True
        outcome = self.outcome
        decision = None if outcome is None else outcome.decision
        count_recorded(self._site.counts, self.tx.point, decision, status, late=late)
        line = decision_line(
            self.tx,
            decision,
            decision_id=self.decision_id,
            url=self.url,
            status=status,
            tls=None if outcome is None else outcome.tls,
            scan=self._looked,
            late=late,
        )
        self._site.decisions.append(with_tunnel(line, self.tx) if self._is_connect else line)


def recorded(site: Site, icap: RequestReceived) -> Message:
    """Return what stands for a message that was decided, and recorded, elsewhere."""
    message = Message(site, site.generation, Transaction(Point.RESPMOD), icap, "", marks=False)
    message._recorded = True  # noqa: SLF001  # a second way to make one
    return message
