"""Records what judges and rules say, also of decisions that the router has forgotten."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from floorline.errors import FloorlineError
from floorline.events import Decision
from floorline.router import Router

log = logging.getLogger("floorline.gateway")

_MAX_MISSED = 10_000
"""Most missed responses of forgotten decisions that wait to be recorded; the oldest go first. They
are those of ten judges for each of which as much waits as can."""


class JudgementRecorder:
    """Puts judgements into the router's log.

    A judge that is slow, or a rule that waits for the next question, may speak of a decision after
    so many others that the router has forgotten it. It is then restored from the log.

    Parameters
    ----------
    router
        Takes the judgements.
    restore
        Restores a forgotten decision by its id, if the log has it.
    """

    def __init__(self, router: Router, restore: Callable[[str], Awaitable[bool]]) -> None:
        self._router = router
        self._restore = restore
        self._missed: deque[tuple[str, str, dict[str, Any]]] = deque(maxlen=_MAX_MISSED)

    async def record(self, decision: str, judge: str, score: float | None, **given: Any) -> None:
        """Record a judgement; arguments as for ``Router.judgement``.

        Raises
        ------
        UnknownDecision
            If the log has no such decision.
        StoreUnavailable
            If the log cannot be read.
        """
        if self._router.find(decision) is None:
            await self._restore(decision)
        self._router.judgement(decision, judge, score, **given)

    def miss(
        self, decision: Decision, judge: str, reason: str, rate: float | None, source: str
    ) -> None:
        """Record that a judge does not see a response that was drawn; nothing waits for it.

        If the router has forgotten the decision, ``record_missed`` records it.

        Parameters
        ----------
        decision, judge
            The decision, and the name of the judge.
        reason
            One of ``events.UNSEEN``.
        rate
            Probability of the draw; None if it was drawn for another reason.
        source
            ``"judge"`` or ``"rule"``.
        """
        given: dict[str, Any] = {
            "failure": reason,
            "rate": rate,
            "model": decision.model,
            "source": source,
        }
        if self._router.find(decision.id) is None:
            self._missed.append((decision.id, judge, given))
            return
        try:
            self._router.judgement(decision.id, judge, **given)
        except FloorlineError as error:
            _warn(judge, error)

    async def record_missed(self) -> None:
        """Record what was missed of decisions that the router has forgotten."""
        while self._missed:
            decision, judge, given = self._missed.popleft()
            try:
                await self.record(decision, judge, None, **given)
            except FloorlineError as error:
                _warn(judge, error)


def _warn(judge: str, error: FloorlineError) -> None:
    log.warning("a response that judge %r missed cannot be recorded: %s", judge, error)
