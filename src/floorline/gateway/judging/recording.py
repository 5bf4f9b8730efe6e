"""Records what judges and rules say, also of decisions that the router has forgotten."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from floorline.errors import FloorlineError
from floorline.events import Decision
from floorline.router import Router

log = logging.getLogger("floorline.gateway")


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
        if self._router.find(decision.id) is None:
            return
        try:
            self._router.judgement(
                decision.id, judge, failure=reason, rate=rate, model=decision.model, source=source
            )
        except FloorlineError as error:
            log.warning("a response that judge %r missed cannot be recorded: %s", judge, error)
