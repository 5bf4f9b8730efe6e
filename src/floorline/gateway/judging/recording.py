"""Records what judges and rules say, also of decisions that the router has forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from floorline.router import Router


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
