"""State of a router beside its log: appended to, read and restored by one thread at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from threading import RLock
from types import MappingProxyType

from floorline.core.bounds import check_name
from floorline.core.ids import IdSource
from floorline.encoders.base import Encoder
from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import Decision, Event, Feedback, QualityChange
from floorline.policies import Policy
from floorline.sla import SLA
from floorline.state.budget_status import BudgetStatus, budget_status
from floorline.state.certificate import Certificate, certificate_of, window_certificate_of
from floorline.state.eligibility import eligible_models
from floorline.state.event_log import EventLog, HistoryLog, MemoryLog
from floorline.state.explaining import decision_history, explain, made_by
from floorline.state.explanation import Explanation
from floorline.state.fold import DecisionRecord, Find, Fold
from floorline.state.foreign_events import completed
from floorline.state.model_knowledge import knowledge_of
from floorline.state.outlook import ModelOutlook, outlook_of
from floorline.state.router_snapshot import restore_snapshot, write_snapshot
from floorline.state.senders import SenderRow
from floorline.state.status import SlaTotals, Status, status_of, totals_of
from floorline.state.time_buckets import LabelSums, TimeCounts, label_sums_of, time_counts_of
from floorline.zoo import Zoo


class LiveState:
    """What a router knows, with the log it comes from; the read-only half of ``Router``.

    Parameters
    ----------
    fold
        State at the beginning; used by no one else.
    log
        Event log to which every event is appended before it is folded.
    encoder, seed
        Encoder and seed of the router, which its snapshots name.
    ids
        Source of the ids of decisions.
    """

    def __init__(
        self, fold: Fold, log: EventLog, encoder: Encoder, seed: int, ids: IdSource
    ) -> None:
        self.log = log
        self.encoder = encoder
        self.seed = seed
        self._fold = fold
        self._ids = ids
        self._lock = RLock()
        self._listener: Callable[[Event], object] | None = None

    @property
    def zoo(self) -> Zoo:
        """Models that can serve now."""
        return self._fold.zoo_

    @property
    def policy(self) -> Policy:
        """The policy, with its state."""
        return self._fold.policy_

    @property
    def slas(self) -> Mapping[str, SLA]:
        """Read-only mapping of the SLAs that hold now, by name; the default SLA comes first."""
        return MappingProxyType(self._fold.slas_)

    @property
    def memory(self) -> int:
        """Number of latest decisions that outcomes and feedback can still come for."""
        return self._fold.memory

    @property
    def position(self) -> int:
        """Number of events in the state; ``apply(log.read(position))`` folds those after it."""
        return self._fold.events_

    @property
    def remembered(self) -> tuple[str, ...]:
        """Ids of the decisions that outcomes and feedback can still come for, oldest first."""
        with self._lock:
            return (*self._fold.open_, *self._fold.records_)

    def find(self, decision: str) -> DecisionRecord | None:
        """Return what is remembered of a decision, by its id; None if it is not remembered."""
        with self._lock:
            kept = self._fold.remembered(decision)
            return None if kept is None else kept.record()

    def explain(self, decision: str) -> Explanation:
        """Explain a decision: who could serve, why the others did not, and what came of it.

        Parameters
        ----------
        decision
            Id of a decision that the log has, or that is remembered.

        Raises
        ------
        UnknownDecision
            If neither the log nor the router's memory has it.
        """
        with self._lock:
            kept = self._fold.remembered(decision)
            events = self._history(decision)
            made = made_by(events, decision) if kept is None else kept.decision
            return explain(made, events, cost_unit=self.zoo.cost_unit)

    def _history(self, decision: str) -> list[Event]:
        if isinstance(self.log, HistoryLog):
            return self.log.decision_history(decision)
        first = self.log.first if isinstance(self.log, MemoryLog) else 0
        return decision_history(self.log.read(first), decision)

    def open_calls(self) -> list[DecisionRecord]:
        """Return the decisions with a call that has no outcome so far, by the order of memory."""
        with self._lock:
            kept = [*self._fold.open_.values(), *self._fold.records_.values()]
            return [record.record() for record in kept if record.reserved]

    def unreported_calls(self, before: float) -> list[Decision]:
        """Return decisions up to a time in seconds whose client has not reported its call."""
        found = []
        with self._lock:
            for name, began in self._fold.client_calls_.items():
                kept = self._fold.remembered(name)
                if began > before:
                    break
                if kept is not None:
                    found.append(kept.decision)
        return found

    def status(self, sla: str | None = None) -> Status:
        """Report an SLA's satisfaction, certificate and costs; the first one by default."""
        with self._lock:
            agreement = self._fold.sla(sla)
            ledger, models = (
                self._fold.ledgers_[agreement.name],
                eligible_models(self._fold, agreement),
            )
            return status_of(agreement, ledger, self.zoo, models, self.policy.model_estimates())

    def outlook(self, sla: str | None = None) -> list[ModelOutlook]:
        """Say what would bring each model more of an SLA's traffic; the first SLA by default."""
        with self._lock:
            agreement = self._fold.sla(sla)
            known = knowledge_of(
                self._fold.ledgers_[agreement.name],
                self.zoo,
                eligible_models(self._fold, agreement),
                self.policy.model_estimates(),
            )
            return outlook_of(agreement, known, self.zoo.cost_unit)

    def totals(self, sla: str | None = None) -> SlaTotals:
        """Return an SLA's counts of requests and labels and its spending; the first by default."""
        with self._lock:
            return totals_of(self._fold.ledgers_[self._fold.sla(sla).name])

    def budget_status(self, sla: str | None = None, *, at: float) -> BudgetStatus:
        """Return what an SLA's budget has left at a Unix time in seconds; the first by default."""
        with self._lock:
            agreement = self._fold.sla(sla)
            return budget_status(agreement, self._fold.ledgers_[agreement.name], at)

    def label_sender(self, sla: str, sender: str) -> SenderRow | None:
        """Return what the labels of a sender weigh under an SLA; None for one of the smallest."""
        with self._lock:
            return self._fold.ledgers_[self._fold.sla(sla).name].senders_.row(sender)

    def certificate(self, sla: str | None = None, *, window: bool = False) -> Certificate:
        """Certify an SLA's floor, over all labels or over those of its window."""
        with self._lock:
            agreement = self._fold.sla(sla)
            ledger = self._fold.ledgers_[agreement.name]
            if window:
                return window_certificate_of(agreement, ledger)
            return certificate_of(agreement, ledger, eligible_models(self._fold, agreement))

    def listen(self, listener: Callable[[Event], object] | None) -> int:
        """Call a function with every event from now on, in the order of the log; None for none.

        It is called while the request waits, so it must do no more than take the event.

        Returns
        -------
        int
            Number of events in the log before the first one that it is called with.
        """
        with self._lock:
            self._listener = listener
            return len(self.log)

    def label_sums(self, sla: str) -> LabelSums:
        """Return what the labels of an SLA add up to, as its certificate counts them.

        Raises
        ------
        InvalidInput
            If there is no such SLA.
        """
        with self._lock:
            return label_sums_of(self._fold.ledgers_[self._fold.sla(sla).name])

    def time_counts(self, sla: str) -> dict[str, TimeCounts]:
        """Return the counts of an SLA's promises of latency, by the promise's name.

        Raises
        ------
        InvalidInput
            If there is no such SLA.
        """
        with self._lock:
            return time_counts_of(self._fold.ledgers_[self._fold.sla(sla).name])

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events that are in the log already, such as those after the last snapshot."""
        with self._lock:
            for event in events:
                self._fold.apply(event)

    def ingest(self, event: Event, append: Callable[[Event], None] | None = None) -> bool:
        """Log and fold an event of another router, which decides from an earlier state of this log.

        Parameters
        ----------
        event
            The event; it gets the number and the weights that follow from this state.
        append
            Appends it to the log; the log's own method by default.

        Returns
        -------
        bool
            Whether it changed anything: False if its content is known already.

        Raises
        ------
        UnknownDecision
            If it belongs to a decision that is not, or no longer, remembered; nothing changes then.
        """
        with self._lock:
            made = completed(self._fold, event)
            (self.log.append if append is None else append)(made)
            before = self.policy.changes_detected
            changed = self._fold.apply(made)
            if isinstance(made, Feedback):
                self._log_quality_change(made, before)
            return changed

    def snapshot(self, *, decisions: bool = True, records: bool = True) -> bytes:
        """Serialise the whole state; a router restored from it decides as this one would.

        Without ``decisions`` the remembered ones are named by their ids only, which keeps the
        snapshot small where they are in a log anyway. Without ``records`` no decision is
        remembered, for routers that remember their own.
        """
        with self._lock:
            return write_snapshot(
                self._fold, self.encoder, self.seed, decisions=decisions, records=records
            )

    def restore(self, snapshot: bytes, find: Find | None = None) -> None:
        """Take over a state that ``snapshot`` of a router built the same way wrote.

        ``find`` looks up decisions that the snapshot names by their ids only, by a list of ids.

        Raises
        ------
        SnapshotMismatch
            If the bytes are no snapshot, or one of another policy, encoder, seed or version.
        """
        with self._lock:
            restore_snapshot(snapshot, self._fold, self.encoder, self.seed, find)
            # Numbers of decisions may begin again from an earlier one.
            self._ids.renew()

    def _new_id(self, given: str | None) -> str:
        """Id of the next decision: the given one, or a new one. The caller holds the lock.

        Raises
        ------
        InvalidInput
            If the id is no name, or a decision of this id is remembered.
        """
        if given is not None:
            check_name("id", given)
        number, known = self._fold.decisions_ + 1, self._fold.remembered
        made = self._ids.make(number) if given is None else given
        if given is None and known(made):
            # Events with lower numbers were applied.
            self._ids.renew()
            made = self._ids.make(number)
        if known(made):
            raise InvalidInput("id", made, "give every decision its own id")
        return made

    def _append_label(self, label: Feedback) -> bool:
        """Log and fold a label, and log the change of quality that the policy detects by it."""
        before = self.policy.changes_detected
        changed = self._append(label)
        self._log_quality_change(label, before)
        return changed

    def _log_quality_change(self, label: Feedback, before: int) -> None:
        """Log that a label let the policy detect a change; there were ``before`` changes so far."""
        if self.policy.changes_detected > before:
            # A log that takes no more has the label, by which every fold detects the change.
            with contextlib.suppress(StoreUnavailable):
                self._append(QualityChange(model=label.model, decision=label.decision, at=label.at))

    def _append(self, event: Event) -> bool:
        """Log and fold an event; False if it changed nothing. The caller holds the lock."""
        self.log.append(event)
        if self._listener is not None:
            self._listener(event)
        return self._fold.apply(event)
