"""The learner: it folds what all replicas did, in one order, and publishes the state."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial

from floorline.events import Decision, Event, Feedback, Judgement, Outcome, Tombstone
from floorline.replication.inbox_reader import Waiting
from floorline.replication.learner_store import LearnerStore
from floorline.router import Router

log = logging.getLogger("floorline.learner")

_MAX_ROWS = 2_000
"""Events that are taken at once: it bounds the memory, and the time until the next state."""


_GAP_SECONDS = 30.0
"""Time for which events wait for a missing one before them."""
_NO_ROW = -1
"""Id of a row that is not there."""
_OF_DECISIONS = (Outcome, Feedback, Judgement)
"""Events that belong to a decision."""


class Learner:
    """Moves events from the inbox to the log, folds them and publishes states.

    One process runs it, the one that holds the lease. What it publishes is the fold of the log up
    to a position, and how many events of each replica are in it.

    Parameters
    ----------
    router
        State at the end of the log; used by no one else.
    store
        The store with the lease; the router's log.

    Attributes
    ----------
    published : int
        Number of events in the last published state; −1 before the first.
    """

    def __init__(self, router: Router, store: LearnerStore) -> None:
        self._router = router
        self._store = store
        self._consumed = store.inbox.consumed()
        self.published = -1
        # When each gap was first seen, by replica and the number before it.
        self._gaps: dict[tuple[str, int], float] = {}
        # Decisions whose events this step appended: a look-up finds only committed ones.
        self._appended: set[str] = set()

    def step(self) -> int:
        """Fold events that wait, and make them durable; return how many there were.

        Raises
        ------
        LeaseLost
            If another process holds the lease: the state of this one is of no use any more.
        StoreUnavailable
            If the database raises an error; the next step goes on.
        """
        # Rows of events that are not committed would be read again.
        self._store.flush()
        taken = self._store.inbox.take(self._consumed, _MAX_ROWS)
        self._store.drop_repeated(taken.repeated)
        self._store.set_aside(taken.damaged, taken.misplaced)
        if taken.damaged:
            log.error(
                "%d damaged events in the inbox are lost: %d tombstones take their place, and the "
                "rows are kept in the table inbox_damaged",
                len(taken.damaged),
                len(taken.damaged) - len(taken.misplaced),
            )
        self._appended.clear()
        for waiting in [*taken.events, *self._missing(taken.gaps)]:
            event = self._recalled(waiting.event)
            self._router.ingest(event, partial(self._append, waiting))
            self._consumed[waiting.replica] = waiting.number
        self._store.flush()
        return len(taken.events)

    def _missing(self, gaps: Mapping[str, int]) -> list[Waiting]:
        """Return a tombstone for each gap in the numbers of a replica that stays.

        A replica commits its events in order, so that what is missing before an event is lost:
        its row was damaged, or deleted by something else. The rest must not wait for it.

        Parameters
        ----------
        gaps
            Number of the first event that waits for a missing one before it, by replica.
        """
        present = time.monotonic()
        places = {(name, self._consumed.get(name, 0)): first for name, first in gaps.items()}
        self._gaps = {place: self._gaps.get(place, present) for place in places}
        made = []
        for (name, last), first in places.items():
            if present - self._gaps[name, last] >= _GAP_SECONDS:
                log.error("events %d to %d of replica %s are lost", last + 1, first - 1, name)
                lost = Tombstone(lost="", reason=f"{first - 1 - last:,} events were missing")
                made.append(Waiting(_NO_ROW, name, first - 1, lost))
        return made

    def publish(self) -> bool:
        """Publish the state if it has changed, else confirm it; return whether it has changed.

        Raises
        ------
        LeaseLost, StoreUnavailable
            As for ``step``.
        """
        position = len(self._store)
        if position == self.published and self._store.confirm():
            return False
        body = self._router.snapshot(records=False)
        self._store.publish(position, self._consumed, body)
        self.published = position
        return True

    def forget_replicas(self, seconds: float) -> None:
        """Leave replicas out of states that ended and of which no event came for some time.

        Each start of a process makes a name. If a spool of theirs is drained later, the database
        says how far they were read.

        Raises
        ------
        StoreUnavailable
            If the database raises an error.
        """
        for name in self._store.ended_replicas(seconds):
            self._consumed.pop(name, None)

    def _append(self, waiting: Waiting, event: Event) -> None:
        self._store.append_waiting(event, waiting)
        if isinstance(event, Decision):
            self._appended.add(event.id)
        elif isinstance(event, _OF_DECISIONS):
            self._appended.add(event.decision)

    def _recalled(self, event: Event) -> Event:
        """Remember the decision of an outcome or a label again, if it is forgotten.

        Returns
        -------
        Event
            The event; a tombstone if its decision is lost, because it would stop every learner.
        """
        if not isinstance(event, _OF_DECISIONS):
            return event
        if self._router.find(event.decision) is None:
            if event.decision in self._appended:
                self._store.flush()
                self._appended.clear()
            decision = self._store.decision(event.decision)
            if decision is None:
                kind = str(type(event).__struct_config__.tag)
                return Tombstone(lost=kind, reason="its decision is not in the log", at=event.at)
            given = self._store.feedback_of(event.decision)
            self._router.restore_decision(decision, *given, at=event.at)
        return event
