"""Find the decision that a feedback message or an outcome is about, however old it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from floorline.core.bounds import canonical_id, is_name
from floorline.core.ids import IdSource
from floorline.errors import StoreUnavailable, abbreviated
from floorline.events import Decision
from floorline.gateway.auth import Caller
from floorline.gateway.completion_ids import MAX_CANDIDATES, CompletionIds
from floorline.gateway.errors import ApiError
from floorline.router import Router
from floorline.stores.queued import QueuedStore

_SECONDS_PER_DAY = 86_400
_LATE_OUTCOME_SECONDS = 0.2
"""Pause before a second look for an outcome of another server, which is committed up to 5 ms after
its answer, and later while the database is slow."""


class Logged(NamedTuple):
    """What the log has of some ids.

    Attributes
    ----------
    completions
        Ids of the caller's decisions by the id of their completion, the latest first.
    decisions
        What the log has under each id that the router does not remember as a decision's own: the
        decision of any caller, or None.
    """

    completions: Mapping[str, Sequence[str]]
    decisions: Mapping[str, Decision | None]


class DecisionLookup:
    """Finds decisions by their id or by the id of their completion.

    The id of a completion is its provider's choice. It is a name within the caller's tenant, and it
    may mean several decisions there; then it is refused as ambiguous, because a label must not be
    credited to the wrong answer.

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
        store: QueuedStore,
        max_age: Callable[[], float],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._store = store
        self._max_age = max_age
        self._clock = clock
        self._completions = CompletionIds()
        # Number of events when an id was last forgotten: up to there the log must be read.
        self._forgotten_at = 0

    def note_completion(self, completion: str, decision: Decision) -> None:
        """Note which decision a completion belongs to, as soon as its id is known."""
        forgotten = self._completions.forgotten
        self._completions.note(decision.owner, completion, decision.id)
        if self._completions.forgotten != forgotten:
            self._forgotten_at = len(self._store)

    async def logged(self, ids: Iterable[str], caller: Caller) -> Logged:
        """Look up in the log what ids can mean to a caller.

        Raises
        ------
        StoreUnavailable
            If the event log cannot be read.
        """
        given = list(dict.fromkeys(ids))
        noted = self._completions.decisions
        absent = [id for id in given if self._router.find(id) is None]
        unknown = [id for id in absent if not noted(caller.owner, canonical_id(id))]
        if unknown:
            # An event that was just appended can be read only after its commit.
            await self._store.committed()
        elif self._store.durable < self._forgotten_at:
            await self._store.committed(self._forgotten_at)
        # An id that a completion has is no decision's, too, unless it looks like one of ours.
        ours = {*unknown, *(id for id in absent if IdSource.issues(id))}
        read = await asyncio.to_thread(self._read, given, ours, caller)
        return Logged(read.completions, {**dict.fromkeys(absent), **read.decisions})

    def _read(self, ids: Sequence[str], ours: Iterable[str], caller: Caller) -> Logged:
        completions = self._store.decisions_of(
            [canonical_id(id) for id in ids], caller.tenant, caller.judged_key, MAX_CANDIDATES
        )
        missing = [id for id in ours if is_name(id)]
        return Logged(completions, self._store.decisions(missing) if missing else {})

    async def find(self, id: str, caller: Caller, logged: Logged | None = None) -> Decision:
        """Find a decision of the caller by its own id or the id of its completion.

        Parameters
        ----------
        id
            Id of the decision or of its completion.
        caller
            Who asks; only decisions of the same tenant, or of the same key, are found.
        logged
            What ``logged`` found for this id among others; by default it is looked up now.

        Raises
        ------
        ApiError
            404 if there is no such decision, or it is another tenant's; 409 if there are several;
            410 if it is too old.
        StoreUnavailable
            If the event log cannot be read.
        """
        completion = canonical_id(id)
        noted = self._completions.decisions(caller.owner, completion)
        if logged is None:
            try:
                logged = await self.logged([id], caller)
            except StoreUnavailable:
                if not noted and self._router.find(id) is None:
                    raise
                # While the database is away, what this process served itself can still be judged.
                logged = Logged({}, {id: None})
        named = dict.fromkeys([id, *noted, *logged.completions.get(completion, ())])
        return await self._only(id, list(named), caller, logged.decisions)

    async def has_completion(self, completion: str, caller: Caller) -> bool:
        """Whether an answer of this id went to the caller, as far back as the log reaches.

        Where several servers serve, the outcome of a call that ended at another one a moment ago
        gets a second look.

        Raises
        ------
        StoreUnavailable
            If the event log cannot be read.
        """
        id = canonical_id(completion)
        if self._completions.decisions(caller.owner, id):
            return True
        if id in (await self.logged([completion], caller)).completions:
            return True
        if not self._store.shared:
            return False
        await asyncio.sleep(_LATE_OUTCOME_SECONDS)
        return id in (await self.logged([completion], caller)).completions

    async def look_up(self, id: str, caller: Caller, sees: Callable[[Decision], bool]) -> Decision:
        """Find a decision by its own id or the id of its completion, and leave all as it is.

        Its age does not matter, because it is only read about.

        Parameters
        ----------
        id, caller
            As for ``find``.
        sees
            Whether a decision may be found.

        Raises
        ------
        ApiError
            404 if there is no such decision, or it may not be found; 409 if there are several.
        StoreUnavailable
            If the event log cannot be read.
        """
        logged = await self.logged([id], caller)
        completion = canonical_id(id)
        noted = self._completions.decisions(caller.owner, completion)
        named = dict.fromkeys([id, *noted, *logged.completions.get(completion, ())])
        return await self._one(id, list(named), sees, logged.decisions)

    async def find_exactly(self, id: str, caller: Caller) -> Decision:
        """Find a decision of the caller by its own id; errors as for ``find``, but for 409."""
        if self._router.find(id) is None:
            await self._store.committed()
        return await self._only(id, [id], caller, {})

    async def _only(
        self,
        id: str,
        named: Sequence[str],
        caller: Caller,
        logged: Mapping[str, Decision | None],
    ) -> Decision:
        """Return the one decision of the caller among those that ``id`` names, remembered."""
        return await self._remembered(await self._one(id, named, caller.owns, logged))

    async def _one(
        self,
        id: str,
        named: Sequence[str],
        sees: Callable[[Decision], bool],
        logged: Mapping[str, Decision | None],
    ) -> Decision:
        """Return the one decision that may be found among those that ``id`` names."""
        found = []
        missing = []
        for name in named:
            remembered = self._router.find(name)
            decision = logged.get(name) if remembered is None else remembered.decision
            if decision is not None:
                found.append(decision)
            elif name not in logged and is_name(name):
                missing.append(name)
        if missing:
            found += (await asyncio.to_thread(self._store.decisions, missing)).values()
        if not found and await asyncio.to_thread(self._store.lags, id):
            raise StoreUnavailable(
                f"{abbreviated(id)} is not in the log: it may still be on the disk of the server "
                "that answered; send the request again after the seconds in Retry-After"
            )
        found = [decision for decision in found if sees(decision)]
        if not found:
            raise _not_found(id)
        if len(found) > 1:
            raise _ambiguous(id, found)
        return found[0]

    async def restore(self, id: str) -> bool:
        """Restore a forgotten decision in the router; False if the log does not have it.

        Raises
        ------
        StoreUnavailable
            If the event log cannot be read.
        """
        await self._store.committed()
        decision = await asyncio.to_thread(self._store.decision, id)
        if decision is None:
            return False
        await self._restore(decision)
        return True

    async def _remembered(self, decision: Decision) -> Decision:
        self._check_age(decision)
        await self._restore(decision)
        return decision

    async def _restore(self, decision: Decision) -> None:
        if self._router.find(decision.id) is None:
            given = await asyncio.to_thread(self._store.feedback_of, decision.id)
            self._router.restore_decision(decision, *given, at=self._clock())

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


def _not_found(id: str) -> ApiError:
    return ApiError(
        404,
        f"there is no decision or completion {abbreviated(id)}: send the id of a completion, "
        "or the value of the X-Floorline-Decision header that came with it",
        code="decision_not_found",
        param="id",
    )


def _ambiguous(id: str, found: list[Decision]) -> ApiError:
    latest = sorted(found, key=lambda decision: (decision.at, decision.seq), reverse=True)
    shown = ", ".join(decision.id for decision in latest[:MAX_CANDIDATES])
    return ApiError(
        409,
        f"{abbreviated(id)} is the id of several answers, because their providers repeat ids: send "
        "the value of the X-Floorline-Decision header that came with the answer as 'decision' in "
        f"place of 'id'. The latest first: {shown}",
        code="ambiguous_id",
        param="id",
    )
