"""A replica's router: it decides from the learner's last state and its own events since then."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from floorline.core.random import CounterRng
from floorline.errors import UnknownDecision
from floorline.events import (
    CLIENT,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    RequestContext,
    WarmStart,
)
from floorline.replication.budget_shares import BudgetShares
from floorline.replication.recalled_sessions import RecalledSessions, unknown_names
from floorline.replication.replica_store import PublishedState, ReplicaStore
from floorline.replication.shares import Account, Shares
from floorline.router import Router
from floorline.state.fold import MAX_KEYS, Fold, RememberedDecision
from floorline.state.foreign_events import completed
from floorline.state.router_snapshot import restore_snapshot

_LEARNED = (Feedback, Judgement, WarmStart)
"""Events that only the learner folds: what they teach is in the next state."""
_OWN_PER_REMEMBERED = 4
"""Own events that wait for a state, for each decision that ``memory`` allows: about two a request,
so that they need about twice the memory of the decisions themselves."""


class ReplicaRouter(Router):
    """Router of one of several replicas of one log.

    Its state is the published one, and in addition what this replica did since then: decisions and
    outcomes. Queues, counts and surplus are sums, so that the two add up exactly. What labels teach
    comes with the next state.

    Parameters
    ----------
    args, kwargs
        As for ``Router``; ``log`` is the store of the replica.

    Attributes
    ----------
    budgets : BudgetShares
        What this replica may spend of the budgets of SLAs.
    state_position, state_at : int, float
        Number of events in the last state, and its time by the database's clock; −1 and 0 before
        the first.
    """

    log: ReplicaStore

    def __init__(self, *args: Any, log: ReplicaStore, **kwargs: Any) -> None:
        super().__init__(*args, log=log, **kwargs)
        self.budgets = BudgetShares(Shares())
        self._fold.limit = self.budgets
        self._recalled = RecalledSessions(self._fold.zoo_)
        self._recalled.attach(self._fold)
        self._accounts: tuple[object, list[Account]] = None, []
        self.state_position = -1
        self.state_at = 0.0
        # Own events that are not in the last state, with their numbers.
        self._own: deque[tuple[int, Event]] = deque()
        self._max_own = _OWN_PER_REMEMBERED * self._fold.memory
        # Own decisions whose clients make the call: another replica may get its outcome.
        self._client_calls: set[str] = set()
        # Number of the last own event that is in this fold only: a state must have it.
        self._let_go = 0
        # Replicas that are at the same decision draw different numbers.
        name = int.from_bytes(blake2b(log.replica.encode(), digest_size=8).digest())
        self._rng = CounterRng(self.seed ^ name)

    def prepare(self, state: PublishedState, fold: Fold) -> Fold:
        """Return a fold with a published state; it may run in another thread than decisions.

        Parameters
        ----------
        state
            The state.
        fold
            A new fold, built as this router's.

        Raises
        ------
        SnapshotMismatch
            If the state is that of another policy, encoder, seed or version.
        """
        restore_snapshot(state.body, fold, self.encoder, self.seed)
        return fold

    @property
    def waiting_since(self) -> float | None:
        """Unix time of the oldest own event that is not in the state; None if there is none."""
        with self._lock:
            return self._own[0][1].at if self._own else None

    def budget_accounts(self) -> list[Account]:
        """Return the accounts of all budgets of SLAs: the same list until they change."""
        slas, known = self._fold.slas_, self._accounts
        # Each published state has its own mapping of SLAs.
        if known[0] is not slas:
            found = self.budgets.accounts(slas.values())
            known = self._accounts = slas, known[1] if found == known[1] else found
        return known[1]

    def can_adopt(self, state: PublishedState) -> bool:
        """Whether all own events that a state lacks are kept, so that they can be added to it.

        While no learner is at work, only the latest ones are kept, which bounds the memory. This
        router then goes on from the state that it has, until one comes with the others.
        """
        return state.consumed.get(self.log.replica, 0) >= self._let_go

    def adopt(self, state: PublishedState, fold: Fold) -> None:
        """Decide from a state that ``prepare`` returned, and from own events that it lacks.

        ``can_adopt`` says whether it is possible.
        """
        with self._lock:
            number = state.consumed.get(self.log.replica, 0)
            while self._own and self._own[0][0] <= number:
                self._own.popleft()
            records = self._fold.records_, self._fold.open_
            fold.records_, fold.open_ = records
            undone = self._undo(fold)
            fold.limit = self.budgets
            self._recalled.attach(fold)
            self._fold = fold
            for _, event in self._own:
                if not isinstance(event, _LEARNED):
                    # The outcome of a decision that is too old to be remembered.
                    with suppress(UnknownDecision):
                        fold.apply(completed(fold, event))
            for before in undone:
                again = fold.remembered(before.decision.id)
                if again is not None:
                    again.scores, again.keys = before.scores, before.keys
            self._end_client_calls(fold)
            self.state_position, self.state_at = state.position, state.at

    def unknown_sessions(self, context: RequestContext) -> list[str]:
        """Return the names by which to look up the earlier turns of a request; see there."""
        with self._lock:
            return unknown_names(self._fold, context)

    def recall_session(self, context: RequestContext, turns: Sequence[Decision | Outcome]) -> None:
        """Decide on a conversation with its earlier turns, which another replica served."""
        with self._lock:
            # The models may have changed here since the last state.
            self._recalled.attach(self._fold)
            self._recalled.add(context, turns)

    def _end_client_calls(self, fold: Fold) -> None:
        """End calls whose outcome came to another replica, so that no money stays held for them."""
        for id in [id for id in self._client_calls if id not in fold.client_calls_]:
            self._client_calls.discard(id)
            record = fold.remembered(id)
            if record is not None and record.reserved:
                record.reserved.clear()
                self.budgets.note_elsewhere(record.decision)

    def _undo(self, fold: Fold) -> list[RememberedDecision]:
        """Take what own events changed in remembered decisions back; they are applied again.

        Returns
        -------
        list
            What was remembered of the decisions that are not in the state.
        """
        undone = []
        for _, event in self._own:
            if isinstance(event, Decision):
                both = fold.records_, fold.open_
                undone += [kept.pop(event.id) for kept in both if event.id in kept]
        for _, event in self._own:
            if isinstance(event, Outcome):
                record = fold.remembered(event.decision)
                if record is not None:
                    reserved = record.decision.reservations.get(event.model)
                    if reserved is not None:
                        record.reserved[event.model] = reserved
        return undone

    def _append(self, event: Event) -> bool:
        if isinstance(event, Recall):
            # The learner finds the decision in the log by itself.
            return self._fold.apply(event)
        self.log.append(event)
        self._own.append((len(self.log), event))
        if len(self._own) > self._max_own:
            self._let_go, _ = self._own.popleft()
        if isinstance(event, Feedback):
            return self._note_label(event)
        if isinstance(event, Judgement):
            return True
        if not isinstance(event, Decision | Outcome):
            return self._fold.apply(event)
        changed = self._fold.apply(event)
        if changed:
            self.budgets.note(event)
        if isinstance(event, Decision) and event.call_by == CLIENT and event.reservations:
            self._client_calls.add(event.id)
        return changed

    def _note_label(self, event: Feedback) -> bool:
        """Remember that a response has a label, for judges and repeated messages.

        Returns
        -------
        bool
            Whether the label is new, as ``Fold.apply`` would say.
        """
        record: RememberedDecision | None = self._fold.remembered(event.decision)
        if record is None:
            return True
        if event.key:
            if event.key in record.keys:
                return False
            record.keys.append(event.key)
            del record.keys[:-MAX_KEYS]
        score = float(event.score)
        changed = record.scores.get(event.model) != score
        record.scores[event.model] = score
        return changed
