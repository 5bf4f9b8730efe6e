"""State of a router: a deterministic fold over its events.

Serving, replay and recovery all use ``Fold.apply``; nothing else changes the state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from floorline.core.snapshots import State, Stateful, copy_in, copy_out
from floorline.errors import InvalidInput, SnapshotMismatch, UnknownDecision, listed
from floorline.events import (
    CLIENT,
    DIRECT,
    GATEWAY,
    RECOGNISED,
    ConfigChange,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    QualityChange,
    Recall,
    SlaChange,
    Tombstone,
    WarmStart,
    ZooChange,
    decode_event,
    encode_event,
)
from floorline.policies import Policy
from floorline.sla import SLA
from floorline.state.budget_left import BudgetLimit
from floorline.state.by_judge import ByJudge
from floorline.state.conversations import Conversations
from floorline.state.elapsed import call_times
from floorline.state.history import unpack_history
from floorline.state.judge_accounts import (
    IN_FULL,
    correct_pairs,
    count_judgement,
    pair_with_judges,
    recalled_judgements,
)
from floorline.state.judge_calibration import JudgeCalibration
from floorline.state.latency import LatencyWindows, latency_bucket
from floorline.state.ledger import Ledger
from floorline.state.senders import OTHERS, SenderAccounts, sender_of
from floorline.state.sessions import Sessions
from floorline.state.trust import SenderTrust
from floorline.zoo import Zoo

_E = TypeVar("_E", Decision, ZooChange, SlaChange)

MAX_KEYS = 100
"""Most keys of feedback messages that are remembered of a decision: the latest ones. A client could
otherwise fill the memory by messages about one decision."""

Find = Callable[[list[str]], Mapping[str, Decision | None]]
"""Finds decisions in a log by a list of their ids; unknown ids are left out, and decisions that the
log lost are None."""


class DecisionRecord(NamedTuple):
    """What is remembered of a decision, which may still get outcomes and feedback; read-only.

    Attributes
    ----------
    decision
        The decision.
    reserved
        Expected cost by model name, of the calls without an outcome so far.
    scores
        Latest score from 0 to 1 by model name, of the models whose response has a label.
    keys
        Keys of the latest feedback messages, at most ``MAX_KEYS``.
    weights
        ``Feedback.weight`` and ``influence`` by model name, of the labels that have others than 1.
    """

    decision: Decision
    reserved: Mapping[str, float]
    scores: Mapping[str, float]
    keys: Sequence[str]
    weights: Mapping[str, tuple[float, float]]


_CLIENT_CALL_SECONDS = 7200.0
"""Seconds for which money stays reserved for a call that the client makes and does not report. The
gateway ends such a call after an hour by an outcome; this is for hours in which none ran."""


class RememberedDecision(msgspec.Struct):
    """State behind a ``DecisionRecord``, with the same fields and what judges said."""

    decision: Decision
    reserved: dict[str, float]
    scores: dict[str, float]
    keys: list[str]
    weights: dict[str, tuple[float, float]] | None = None
    judged: dict[str, dict[str, list[float | None]]] | None = None
    """By judge and model: its score, None for none; and the slope of its pair, None without one. An
    empty list says that the judge was to see the response and did not."""

    @property
    def model(self) -> str:
        """Name of the model that serves."""
        return self.decision.model

    @property
    def floor(self) -> float:
        """Floor that holds for the request."""
        return self.decision.floor

    @property
    def in_flight(self) -> bool:
        """Whether the gateway's own call has no outcome so far."""
        return bool(self.reserved) and self.decision.call_by == GATEWAY

    def record(self) -> DecisionRecord:
        """Copy the state as it is now."""
        reserved, scores = MappingProxyType({**self.reserved}), MappingProxyType({**self.scores})
        weights = MappingProxyType({**(self.weights or {})})
        return DecisionRecord(self.decision, reserved, scores, tuple(self.keys), weights)


class Fold(Stateful):
    """Everything that a router knows, as a function of the events so far.

    Parameters
    ----------
    policy
        The policy; the fold starts it, and no other fold uses it.
    zoo, slas, dim
        Models and SLAs at the beginning, and length of the feature vectors.
    memory
        Number of latest decisions that outcomes and feedback can still come for, beside those
        whose call by the gateway has not ended.
    limit
        What this process may spend of budgets that it shares with others; None if it has them
        alone. It is no part of the state.

    Attributes
    ----------
    events_, decisions_ : int
        Number of events, and number of the last decision.
    zoo_, slas_
        Models and SLAs that hold now.
    ledgers_ : dict of str to Ledger
        Spending and labels by SLA name.
    records_ : OrderedDict of str to RememberedDecision
        Remembered decisions by id, oldest first.
    open_ : OrderedDict of str to RememberedDecision
        Decisions by id that are older than ``memory`` allows and wait for the outcome of the
        gateway's own call, which always comes.
    client_calls_ : OrderedDict of str to float
        Time in seconds of the decisions whose client makes the call and has not reported it.
    sessions_ : Sessions
        Model of each named conversation.
    conversations_ : Conversations
        What providers have cached of each conversation, and how conversations go on.
    warm_starts_ : list of str
        Digests of the histories that the policy learned.
    latency_ : LatencyWindows
        Latest calls of each model, and how many of them are late.
    senders_ : SenderAccounts
        Requests and labels by sender, under all SLAs.
    trust_ : SenderTrust
        Which senders' labels contradict the others'.
    judges_ : ByJudge of JudgeCalibration
        How judges differ from users.
    lost_ : int
        Number of tombstones. Outcomes and feedback of unknown decisions are then left out, because
        their decisions may be among the lost events.
    policy_ : Policy
        The policy.
    """

    def __init__(
        self,
        policy: Policy,
        zoo: Zoo,
        slas: Iterable[SLA],
        dim: int,
        *,
        memory: int,
        limit: BudgetLimit | None = None,
    ) -> None:
        self.memory = memory
        self.dim = dim
        self.limit = limit
        self.events_ = 0
        self.decisions_ = 0
        self.zoo_ = zoo
        self.slas_ = {sla.name: sla for sla in slas}
        self.ledgers_ = {name: Ledger(sla=sla) for name, sla in self.slas_.items()}
        # A plain dict takes longer to find its first entry after each entry removed from its start.
        self.records_: OrderedDict[str, RememberedDecision] = OrderedDict()
        self.open_: OrderedDict[str, RememberedDecision] = OrderedDict()
        self.client_calls_: OrderedDict[str, float] = OrderedDict()
        self.sessions_ = Sessions()
        self.conversations_ = Conversations(zoo)
        self.warm_starts_: list[str] = []
        self.latency_ = LatencyWindows()
        self._watch_latencies()
        self.senders_ = SenderAccounts()
        self.trust_ = SenderTrust()
        self.judges_ = ByJudge(JudgeCalibration)
        self.lost_ = 0
        self.policy_ = policy
        policy.start(zoo, self.slas_, dim)

    def apply(self, event: Event) -> bool:
        """Fold one event; False if it changed nothing because its content is known already.

        Raises
        ------
        UnknownDecision
            If it belongs to a decision that is not, or no longer, remembered; nothing changes
            then.
        """
        if isinstance(event, Decision):
            changed = self._decision(event)
        elif isinstance(event, Outcome):
            changed = self._outcome(event)
        elif isinstance(event, Feedback):
            changed = self._feedback(event)
        elif isinstance(event, Judgement):
            changed = self._judgement(event)
        elif isinstance(event, Recall):
            changed = self._recall(event)
        elif isinstance(event, WarmStart):
            changed = self._warm_start(event)
        elif isinstance(event, ZooChange):
            self.zoo_ = event.zoo
            self.policy_.on_zoo(event.zoo)
            self.conversations_.set_zoo(event.zoo)
            for ledger in self.ledgers_.values():
                ledger.keep_models(event.zoo.names)
            changed = True
        elif isinstance(event, ConfigChange | QualityChange):
            # For people who read the log; what changes the state has events of its own.
            changed = False
        elif isinstance(event, Tombstone):
            self.lost_ += 1
            changed = False
        else:
            changed = self._sla(event)
        self.events_ += 1
        return changed

    def record(self, decision: str) -> RememberedDecision:
        """Return the state of a remembered decision.

        Raises
        ------
        UnknownDecision
            If it is not, or no longer, remembered.
        """
        kept = self.remembered(decision)
        if kept is None:
            raise UnknownDecision(
                f"decision {decision!r} is unknown: give the id of one of the last "
                f"{self.memory} decisions"
            )
        return kept

    def remembered(self, decision: str) -> RememberedDecision | None:
        """Return the state of a decision; None if it is not, or no longer, remembered."""
        return self.records_.get(decision) or self.open_.get(decision)

    def sla(self, name: str | None) -> SLA:
        """Return the SLA of a name; the first one for None.

        Raises
        ------
        InvalidInput
            If there is no such SLA.
        """
        if name is None:
            return next(iter(self.slas_.values()))
        try:
            return self.slas_[name]
        except KeyError:
            raise InvalidInput("sla", name, "name one of: " + listed(self.slas_)) from None

    def label_weights(self, decision: str, model: str) -> tuple[float, float]:
        """Weight and influence of a model's label, as ``Feedback`` has them; before its score.

        With one sender of labels both are 1. Otherwise a label weighs what its sender earned by
        requests, times the trust in its sender; under an SLA with one sender its weight is 1.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        """
        record = self.record(decision)
        if model in record.scores:
            return (record.weights or {}).get(model, IN_FULL)
        if not self.senders_.several or record.decision.policy == DIRECT:
            return IN_FULL
        sender = sender_of(record.decision)
        known = self.senders_.known(sender)
        trust = self.trust_.of(known, model, small=self.senders_.is_small(known))
        ledger = self.ledger(record.decision)
        apart = ledger is None or not ledger.senders_.several
        weight = 1.0 if apart or ledger is None else ledger.senders_.credit(sender) * trust
        return weight, self.senders_.credit(sender) * trust

    def _decision(self, event: Decision) -> bool:
        if self.remembered(event.id) is not None or (self.lost_ and not self._fits(event)):
            return False
        cost, reserved = event.cost_estimates, event.reservations
        self.decisions_ = event.seq
        self._end_client_calls(event.at)
        if event.call_by == CLIENT and reserved:
            self.client_calls_[event.id] = event.at
        self._remember(RememberedDecision(event, reserved, {}, []))
        if not event.declined:
            self.conversations_.decide(event)
        if event.policy == DIRECT:
            return True
        ledger = self.ledgers_[event.sla]
        ledger.renew(self.slas_[event.sla], event.at)
        # A request whose call failed, and the one in its place, count as one.
        if not event.after:
            ledger.requests_ += 1
            if not event.declined:
                self._count_sender(event, ledger)
        elif ledger.timeliness_.promises and not event.declined:
            ledger.timeliness_.replace(event.after)
        if ledger.timeliness_.promises and not event.declined:
            self._price_latency(event, ledger)
        ledger.explored_ += event.explored
        ledger.declined_ += event.declined
        ledger.expect(self.zoo_.names, event.quality_estimates, cost)
        for name, expected in reserved.items():
            ledger.reserve(name, expected)
        if event.session and not event.session.startswith(RECOGNISED) and not event.declined:
            self.sessions_.note(event)
        self.policy_.on_decision(event)
        return True

    def _price_latency(self, event: Decision, ledger: Ledger) -> None:
        """Move the prices of an SLA's promises of latency, before the decision's call is open."""
        late: dict[str, float] = {}
        open_late: dict[str, float] = {}
        bucket, names = latency_bucket(event.input_tokens), self.zoo_.names
        for promise in ledger.timeliness_.promises:
            shares = self.latency_.late_shares(promise, bucket, names)
            late[promise.name] = float(shares[event.index])
            open_late[promise.name] = sum(
                calls * (promise.tolerated - float(shares[self.zoo_.index(name)]))
                for name, calls in ledger.open_calls_.items()
                if name in self.zoo_
            )
        ledger.timeliness_.served(late, open_late)

    def _waited(self, decision: Decision) -> float:
        """Seconds from a request's first decision to this one, made in place of failed ones."""
        first = decision
        while first.after:
            before = self.remembered(first.after)
            # A library may name any decision, also this one or a later one.
            if before is None or before.decision.seq >= first.seq:
                break
            first = before.decision
        return max(0.0, decision.at - first.at)

    def _watch_latencies(self) -> None:
        """Count late calls for the promises that hold now."""
        self.latency_.watch(p for sla in self.slas_.values() for p in sla.latency_promises)

    def _fits(self, event: Decision) -> bool:
        """Whether no lost change of the models or SLAs lies before a decision."""
        return event.models == self.zoo_.names and (
            event.policy == DIRECT or event.sla in self.ledgers_
        )

    def _count_sender(self, event: Decision, ledger: Ledger) -> None:
        sender = sender_of(event)
        ledger.senders_.request(sender)
        replaced = self.senders_.request(sender)
        if replaced is not None:
            self.trust_.merge(replaced, OTHERS)

    def _recall(self, event: Recall) -> bool:
        if self.remembered(event.decision.id) is not None:
            return False
        weights = dict(event.weights) or None
        judged = recalled_judgements(event, self.judges_)
        scores, keys = dict(event.scores), list(event.keys)
        self._remember(RememberedDecision(event.decision, {}, scores, keys, weights, judged))
        return True

    def _remember(self, record: RememberedDecision) -> None:
        self.records_[record.decision.id] = record
        if len(self.records_) > self.memory:
            oldest, record = self.records_.popitem(last=False)
            if record.in_flight:
                self.open_[oldest] = record
            else:
                self._charge_expected(record)

    def _charge_expected(self, record: RememberedDecision) -> None:
        """Charge calls whose outcome can no longer come at their expected costs."""
        if not record.reserved:
            return
        decision, ledger = record.decision, self.ledger(record.decision)
        self.client_calls_.pop(decision.id, None)
        if ledger is not None:
            expected = decision.cost
            for name, reserved in record.reserved.items():
                ledger.settle(name, reserved=reserved, real=min(expected[name], reserved))
        record.reserved.clear()

    def _end_client_calls(self, at: float) -> None:
        """Charge calls that clients have not reported for long, so that no money stays reserved."""
        calls = self.client_calls_
        while calls:
            oldest, began = next(iter(calls.items()))
            if at - began <= _CLIENT_CALL_SECONDS:
                return
            del calls[oldest]
            kept = self.remembered(oldest)
            if kept is not None:
                self._charge_expected(kept)

    def _outcome(self, event: Outcome) -> bool:
        if self.lost_ and self.remembered(event.decision) is None:
            return False
        record = self.record(event.decision)
        reserved = record.reserved.pop(event.model, None)
        if reserved is None:
            return False
        if not record.reserved:
            # Feedback for it is rare so late; it finds the decision in the log.
            self.open_.pop(event.decision, None)
            self.client_calls_.pop(event.decision, None)
        ledger = self.ledger(record.decision)
        if ledger is not None:
            ledger.settle(event.model, reserved=reserved, real=event.cost)
            if ledger.timeliness_.promises and event.model == record.decision.model:
                made = record.decision
                times, waited = call_times(event, made.at), self._waited(made)
                model = event.model if event.model in self.zoo_ else None
                ledger.timeliness_.ended(made.id, model, times, waited)
        self.conversations_.outcome(record.decision, event)
        self.latency_.observe(record.decision, event, sender_of(record.decision))
        if event.model in self.zoo_ and record.decision.policy != DIRECT:
            self.policy_.on_outcome(record.decision, self.zoo_.index(event.model), event)
        return True

    def _feedback(self, event: Feedback) -> bool:
        if self.lost_ and self.remembered(event.decision) is None:
            return False
        record = self.record(event.decision)
        decision, previous = record.decision, record.scores.get(event.model)
        score = float(event.score)
        if event.key:
            # The same message again, possibly after another one that corrected it.
            if event.key in record.keys:
                return False
            record.keys.append(event.key)
            del record.keys[:-MAX_KEYS]
        if previous == score:
            return False
        if decision.policy == DIRECT:
            record.scores[event.model] = score
            return True
        ledger = self.ledger(decision)
        if ledger is None:
            return False
        record.scores[event.model] = score
        ledger.pay_judge(event.cost)
        if previous is None:
            self._teach(record, event, score)
            pair_with_judges(record, event.model, self.judges_, ledger.judges_)
        else:
            self.senders_.correct(sender_of(decision), score - previous)
            weight, influence = (record.weights or {}).get(event.model, IN_FULL)
            if (weight, influence) != (event.weight, event.influence):
                event = msgspec.structs.replace(event, weight=weight, influence=influence)
            correct_pairs(record, event, previous, self.judges_, ledger.judges_)
        if event.model == decision.model:
            window = self.slas_[decision.sla].label_window
            ledger.label(
                decision.id,
                score,
                previous,
                floor=decision.floor,
                model=event.model if event.model in self.zoo_ else None,
                sender=sender_of(decision),
                weight=event.weight,
                window=window,
            )
        if event.model in self.zoo_:
            self.policy_.on_feedback(decision, self.zoo_.index(event.model), event, previous)
        return True

    def _teach(self, record: RememberedDecision, event: Feedback, score: float) -> None:
        """Count a first label for its sender, and remember its weights for corrections."""
        if not event.weight == 1.0 == event.influence:
            record.weights = {**(record.weights or {})}
            record.weights[event.model] = event.weight, event.influence
        sender = sender_of(record.decision)
        earned = self.senders_.credit(sender)
        self.senders_.label(sender, score, event.influence)
        known = self.senders_.known(sender)
        self.trust_.label(known, event.model, score, earned, self.senders_.is_small)

    def _judgement(self, event: Judgement) -> bool:
        """Count what a judge says, and let the policy learn its corrected score."""
        if self.lost_ and self.remembered(event.decision) is None:
            return False
        record = self.record(event.decision)
        decision, ledger = record.decision, self.ledger(record.decision)
        if decision.policy == DIRECT or ledger is None:
            return False
        label = self._corrected(event)
        if not count_judgement(record, event, self.judges_, ledger.judges_):
            return False
        ledger.pay_judge(event.cost)
        # A user's label has taught the policy already.
        if label is not None and event.model not in record.scores and event.model in self.zoo_:
            self.policy_.on_judgement(decision, self.zoo_.index(event.model), label)
        return True

    def _corrected(self, event: Judgement) -> Feedback | None:
        """What the policy learns of a judge's score; None without one. Before it is counted."""
        if event.score is None:
            return None
        known = self.judges_.of(event.judge)
        return Feedback(
            decision=event.decision,
            model=event.model,
            score=known.expected(event.model, event.score),
            source=event.source,
            at=event.at,
            weight=0.0,
            influence=known.influence(event.model),
        )

    def _warm_start(self, event: WarmStart) -> bool:
        if event.digest in self.warm_starts_:
            return False
        self.policy_.warm_start(unpack_history(event, self.zoo_))
        self.warm_starts_.append(event.digest)
        return True

    def ledger(self, decision: Decision) -> Ledger | None:
        """Ledger that a decision was charged to; None if its SLA was removed since."""
        ledger = self.ledgers_.get(decision.sla)
        # An SLA that was removed and added again has a new ledger, which earlier decisions do not
        # belong to.
        return None if ledger is None or decision.seq <= ledger.since_ else ledger

    def _sla(self, event: SlaChange) -> bool:
        name = event.sla.name
        before = self.slas_.get(name)
        # The mapping is replaced and never changed, so that other threads can go through it.
        if event.removed:
            if name not in self.slas_:
                return False
            self.slas_ = {other: sla for other, sla in self.slas_.items() if other != name}
            del self.ledgers_[name]
        else:
            self.slas_ = {**self.slas_, name: event.sla}
            if name in self.ledgers_:
                self.ledgers_[name].timeliness_.set_sla(event.sla)
            else:
                self.ledgers_[name] = Ledger(since=self.decisions_, sla=event.sla)
        # It goes through all SLAs, of which there can be one for each tenant.
        if event.sla.latency_promises or (before is not None and before.latency_promises):
            self._watch_latencies()
        self.policy_.on_slas(self.slas_)
        return True

    def snapshot(self, *, decisions: bool = True, records: bool = True) -> State:
        """Copy the whole state, events in their serialised form.

        Without ``decisions`` the remembered ones are named by their ids only; ``restore`` then
        finds them in the log. Without ``records`` none is remembered.
        """
        state = {name: copy_out(getattr(self, name)) for name in self._plain_names()}
        state["zoo_"] = encode_event(ZooChange(zoo=self.zoo_))
        state["slas_"] = [encode_event(SlaChange(sla=sla)) for sla in self.slas_.values()]
        for name in ("records_", "open_"):
            state[name] = [
                [
                    encode_event(record.decision) if decisions else record.decision.id,
                    dict(record.reserved),
                    dict(record.scores),
                    list(record.keys),
                    record.weights,
                    record.judged,
                ]
                for record in (getattr(self, name).values() if records else ())
            ]
        return state

    def restore(self, state: State, find: Find | None = None) -> None:
        """Take over a state; the policy starts again with the models and SLAs of that state.

        ``find`` finds the decisions that the state names by their ids only.

        Raises
        ------
        SnapshotMismatch
            If the state is not one of a fold with this policy, or a decision is not found.
        """
        names = set(self._state_names())
        if names != set(state):
            odd = ", ".join(sorted(names ^ set(state)))
            raise SnapshotMismatch(f"snapshot does not fit a router: fields differ ({odd})")
        self.zoo_ = _decode(state["zoo_"], ZooChange).zoo
        changes = [_decode(data, SlaChange) for data in state["slas_"]]
        self.slas_ = {change.sla.name: change.sla for change in changes}
        self.ledgers_ = {name: Ledger(sla=sla) for name, sla in self.slas_.items()}
        self._watch_latencies()
        self.policy_.start(self.zoo_, self.slas_, self.dim)
        self.conversations_.set_zoo(self.zoo_)
        for name in self._plain_names():
            setattr(self, name, copy_in(getattr(self, name), state[name]))
        self.client_calls_ = OrderedDict(self.client_calls_)
        both = (*state["open_"], *state["records_"])
        named = [data for data, *_ in both if isinstance(data, str)]
        found = find(named) if named and find is not None else {}
        self.open_, self.records_ = OrderedDict(), OrderedDict()
        for place, (data, reserved, scores, keys, weights, judged) in enumerate(both):
            if isinstance(data, str) and data not in found:
                raise SnapshotMismatch(
                    f"snapshot remembers decision {data!r}, which is not in the log: "
                    "give the log that the snapshot was made beside"
                )
            decision = found[data] if isinstance(data, str) else _decode(data, Decision)
            if decision is None:
                continue
            kept = self.open_ if place < len(state["open_"]) else self.records_
            given = {model: (w, i) for model, (w, i) in weights.items()} if weights else None
            kept[decision.id] = RememberedDecision(
                decision, dict(reserved), dict(scores), list(keys), given, judged
            )

    def _plain_names(self) -> list[str]:
        return [n for n in self._state_names() if n not in ("zoo_", "slas_", "records_", "open_")]


def _decode(data: bytes, kind: type[_E]) -> _E:
    event = decode_event(data)
    if not isinstance(event, kind):
        raise SnapshotMismatch(f"snapshot holds a {type(event).__name__}, not a {kind.__name__}")
    return event
