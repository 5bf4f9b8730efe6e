"""Find the decision that a feedback message or an outcome is about, however old it is."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from floorline.events import Decision
from floorline.gateway.auth import Caller
from floorline.gateway.errors import ApiError
from floorline.router import Router
from floorline.stores.sql import SqlStore

_SECONDS_PER_DAY = 86_400


class DecisionLookup:
    """Finds decisions by their id or by the id of their completion.

    A decision that the router remembers is found in memory. An older one is read from the event
    log and restored in the router, so that it can take outcomes and feedback again.

    Parameters
    ----------
    router
        Remembers the latest decisions, and takes older ones back.
    store
        Holds the event log.
    max_age
        Returns the age in seconds up to which a decision may get feedback. It is asked at each
        search, because a reload of the configuration may change it.
    clock
        Returns the Unix time in seconds.
    """

    def __init__(
        self,
        router: Router,
        store: SqlStore,
        max_age: Callable[[], float],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._store = store
        self._max_age = max_age
        self._clock = clock
        # As many as the router remembers decisions; the log knows the older ones.
        self._by_completion: OrderedDict[str, str] = OrderedDict()

    def remember_completion(self, completion: str, decision: str) -> None:
        """Note which decision a completion belongs to, both by their ids."""
        self._by_completion[completion] = decision
        if len(self._by_completion) > self._router.memory:
            self._by_completion.popitem(last=False)

    async def find(self, id: str, caller: Caller) -> Decision:
        """Find a decision of the caller's tenant.

        Parameters
        ----------
        id
            Id of the decision or of its completion.
        caller
            Who asks; only decisions of the same tenant are found.

        Raises
        ------
        ApiError
            404 if there is no such decision, or it is another tenant's; 410 if it is too old.
        StoreUnavailable
            If the event log cannot be read.
        """
        remembered = self._router.find(id) or self._router.find(self._by_completion.get(id, ""))
        decision = await self._in_log(id) if remembered is None else remembered.decision
        if decision is None or decision.tenant != caller.tenant:
            raise ApiError(
                404,
                f"there is no decision or completion {id!r}: send the id of a completion, "
                "or the value of the X-Floorline-Decision header that came with it",
                code="decision_not_found",
                param="id",
            )
        self._check_age(decision)
        if self._router.find(decision.id) is None:
            scores, keys = await asyncio.to_thread(self._store.feedback_of, decision.id)
            self._router.restore_decision(decision, scores, keys, at=self._clock())
        return decision

    def _check_age(self, decision: Decision) -> None:
        age = self._max_age()
        if self._clock() - decision.at > age:
            raise ApiError(
                410,
                f"decision {decision.id} is older than {age / _SECONDS_PER_DAY:g} days, the limit "
                "for feedback (feedback.max_age): send feedback earlier",
                code="feedback_too_late",
                param="id",
            )

    async def _in_log(self, id: str) -> Decision | None:
        # An event that was just appended can be read only after its commit.
        await self._store.committed()
        return await asyncio.to_thread(self._read, id)

    def _read(self, id: str) -> Decision | None:
        decision = self._store.decision(id)
        if decision is None and (named := self._store.decision_of(id)) is not None:
            decision = self._store.decision(named)
        return decision
