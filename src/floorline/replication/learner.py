"""The learner: it folds what all replicas did, in one order, and publishes the state."""

from __future__ import annotations

from functools import partial

from floorline.events import Event, Feedback, Outcome, Tombstone
from floorline.replication.inbox import Waiting
from floorline.replication.learner_store import LearnerStore
from floorline.router import Router

_MAX_ROWS = 2_000
"""Events that are taken at once: it bounds the memory, and the time until the next state."""


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
        for waiting in taken.events:
            event = self._recalled(waiting.event)
            self._router.ingest(event, partial(self._append, waiting))
            self._consumed[waiting.replica] = waiting.number
        self._store.flush()
        return len(taken.events)

    def publish(self) -> bool:
        """Publish the state if it has changed, else confirm it; return whether it has changed.

        Raises
        ------
        LeaseLost, StoreUnavailable
            As for ``step``.
        """
        position = len(self._store)
        if position == self.published:
            self._store.confirm()
            return False
        body = self._router.snapshot(records=False)
        self._store.publish(position, self._consumed, body)
        self.published = position
        return True

    def forget_replicas(self, seconds: float) -> None:
        """Forget replicas that ended and of which no event came for some time.

        Raises
        ------
        LeaseLost, StoreUnavailable
            As for ``step``.
        """
        for name in self._store.forget_replicas(seconds):
            self._consumed.pop(name, None)

    def _append(self, waiting: Waiting, event: Event) -> None:
        self._store.append_waiting(event, waiting)

    def _recalled(self, event: Event) -> Event:
        """Remember the decision of an outcome or a label again, if it is forgotten.

        Returns
        -------
        Event
            The event; a tombstone if its decision is lost, because it would stop every learner.
        """
        if not isinstance(event, Outcome | Feedback):
            return event
        if self._router.find(event.decision) is None:
            decision = self._store.decision(event.decision)
            if decision is None:
                kind = str(type(event).__struct_config__.tag)
                return Tombstone(lost=kind, reason="its decision is not in the log", at=event.at)
            given = self._store.feedback_of(event.decision)
            self._router.restore_decision(decision, *given, at=event.at)
        return event
