"""The facade: route a request, say how it went, ask how the promise stands."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, freeze, is_finite, length
from floorline.core.random import CounterRng
from floorline.core.snapshots import pack, unpack
from floorline.encoders.base import Encoder, Prompt
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.messages import approximate_tokens
from floorline.errors import BudgetExhausted, InvalidInput, SnapshotMismatch, check_number
from floorline.events import (
    DIRECT,
    Decision,
    Event,
    Feedback,
    Outcome,
    Recall,
    SlaChange,
    ZooChange,
)
from floorline.policies import Choice, Policy, Request, make_policy
from floorline.policies.base import DECLINED, certain, declined
from floorline.sla import SLA, check_floor
from floorline.state.certificate import Certificate, certificate_of, window_certificate_of
from floorline.state.eligibility import able, affordable, within_budget
from floorline.state.event_log import EventLog, MemoryLog
from floorline.state.fold import DecisionRecord, Find, Fold
from floorline.state.judge import Judge
from floorline.state.status import Status, status_of
from floorline.zoo import Model, Zoo

_SNAPSHOT_VERSION = 3
_JUDGE_DRAWS = 0x1D6E << 32
_MEMORY_LOG_EVENTS = 1_000_000
_SESSION_SECONDS = 3600.0
"""Longer than providers keep prompts cached."""


class RequestContext(NamedTuple):
    """Where a request comes from; see ``Decision``."""

    tenant: str = ""
    key: str = ""
    session: str = ""
    after: str = ""


_NO_CONTEXT = RequestContext()


class Router:
    """Routes requests to the cheapest model that keeps each SLA's floor.

    Every call that changes anything appends events to ``log`` and folds them; ``apply`` folds
    events from elsewhere, such as the tail of a log after a crash.

    Parameters
    ----------
    zoo, slas
        Models and promises. The first SLA is the default of ``route``.
    policy
        Name of a policy or an instance (not shared between routers); the flagship by default.
    encoder
        Makes features of prompts; hashed n-grams by default.
    seed
        Of all random choices.
    log
        Where events go; in memory by default.
    memory
        Number of decisions remembered for late outcomes and feedback.

    Examples
    --------
    >>> zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    >>> router = Router(zoo, slas=[SLA("gold", floor=0.9)], seed=1)
    >>> decision = router.route("Explain CRDTs", sla="gold")
    >>> decision.model in zoo.names
    True
    >>> _ = router.outcome(decision.id, cost=0.0001, output_tokens=180)
    >>> router.feedback(decision.id, satisfied=True), router.feedback(decision.id, satisfied=True)
    (True, False)
    >>> router.status("gold").satisfaction
    1.0
    """

    def __init__(
        self,
        zoo: Zoo,
        policy: str | Policy = "primal_dual",
        slas: Sequence[SLA] = (),
        *,
        encoder: Encoder | None = None,
        seed: int = 0,
        log: EventLog | None = None,
        memory: int = 50_000,
    ) -> None:
        if not slas:
            raise InvalidInput("slas", list(slas), "give at least one SLA")
        names = [sla.name for sla in slas]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("slas", name, "give every SLA its own name")
        for sla in slas:
            sla.check_against(zoo)
        if memory < 1:
            raise InvalidInput("memory", memory, "give a number of decisions of 1 or more")
        self.encoder: Encoder = HashedNgrams() if encoder is None else encoder
        self.seed = seed
        self.log: EventLog = MemoryLog(_MEMORY_LOG_EVENTS) if log is None else log
        built = make_policy(policy) if isinstance(policy, str) else policy
        self._fold = Fold(built, zoo, slas, self.encoder.dim, memory=memory)
        self._rng = CounterRng(seed)
        self._judge_rng = CounterRng(seed ^ _JUDGE_DRAWS)

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
        """Read-only view of the SLAs that hold now, by name; the default SLA comes first."""
        return MappingProxyType(self._fold.slas_)

    @property
    def memory(self) -> int:
        """Number of latest decisions that are remembered for late outcomes and feedback."""
        return self._fold.memory

    @property
    def position(self) -> int:
        """Number of events in the state; ``apply(log.read(position))`` folds those after it."""
        return self._fold.events_

    @property
    def remembered(self) -> KeysView[str]:
        """Read-only view of the ids of the remembered decisions, the oldest first."""
        return self._fold.records_.keys()

    def find(self, decision: str) -> DecisionRecord | None:
        """Read what is remembered of a decision, by its id; None if it is not remembered."""
        record = self._fold.records_.get(decision)
        return None if record is None else record.view()

    def budget_left(self, sla: str | None = None, *, at: float = 0.0) -> NDArray[np.float64]:
        """(M,) cost that each model may still cause under an SLA's budget at time ``at``.

        In the zoo's cost unit, in zoo order; infinity where no budget bounds a model. Costs of
        open calls count at their estimates.
        """
        promise = self._sla(sla)
        return self._fold.ledgers_[promise.name].left(promise, self.zoo, at)

    def route(
        self,
        prompt: Prompt | None = None,
        sla: str | None = None,
        *,
        floor: float | None = None,
        features: Features | None = None,
        input_tokens: int | None = None,
        needs: Iterable[str] = (),
        exclude: Iterable[str] = (),
        id: str | None = None,
        at: float = 0.0,
        context: RequestContext = _NO_CONTEXT,
    ) -> Decision:
        """Decide which model serves a request.

        Parameters
        ----------
        prompt
            Text or chat messages; may be left out if ``features`` are given.
        sla
            Name of the SLA; the first one by default.
        floor
            τ for this request instead of the SLA's.
        features
            Features (dim,) instead of encoding the prompt.
        input_tokens
            Of the prompt; a quarter of its characters by default.
        needs, exclude
            Capabilities a model must have; models that must not serve.
        id
            Name of the decision; made from its number by default.
        at
            Time in seconds of the caller's clock.
        context
            Whose request it is. A conversation (``session``) stays on the model that served it
            within the last hour, for the sake of prompt caches, unless the SLA needs another.

        Raises
        ------
        InvalidInput
            If an argument breaks its rules or no model can serve the request.
        BudgetExhausted
            If no model that can serve fits into what is left of the SLA's budget.
        """
        request = self.request(
            prompt,
            sla,
            floor=floor,
            features=features,
            input_tokens=input_tokens,
            needs=needs,
            exclude=exclude,
            at=at,
        )
        (decision,) = self.decide([request], ids=[id], at=at, context=context)
        if decision.declined:
            raise BudgetExhausted(
                f"no model serves this request within the budget of SLA {request.sla!r}: raise "
                "Budget.total or Budget.per_model, or wait for its next period",
                decision.id,
            )
        return decision

    def request(
        self,
        prompt: Prompt | None = None,
        sla: str | None = None,
        *,
        floor: float | None = None,
        features: Features | None = None,
        input_tokens: int | None = None,
        needs: Iterable[str] = (),
        exclude: Iterable[str] = (),
        at: float = 0.0,
    ) -> Request:
        """Make what a policy sees of a request; arguments and errors as for ``route``."""
        promise = self._sla(sla)
        held = promise.floor if floor is None else check_floor("floor", floor)
        if input_tokens is None:
            input_tokens = 0 if prompt is None else approximate_tokens(prompt)
        elif type(input_tokens) is not int or input_tokens < 0:
            fix = "give a number of tokens of 0 or more"
            input_tokens = int(check_number("input_tokens", input_tokens, low=0.0, fix=fix))
        if at:
            check_number("at", at, fix="give a finite number of seconds")
        if features is None:
            if prompt is None:
                raise InvalidInput("prompt", None, "give a prompt or its features")
            features = self.encoder.encode(prompt)
        else:
            features = freeze(features)
            self._check_features(features)
        allowed = able(self._fold, promise, input_tokens, needs, exclude)
        if promise.budget is not None:
            allowed = affordable(self._fold, promise, input_tokens, allowed, at)
        return Request(features, promise.name, held, input_tokens, allowed)

    def decide(
        self,
        requests: Sequence[Request],
        *,
        ids: Sequence[str | None] | None = None,
        at: float = 0.0,
        context: RequestContext = _NO_CONTEXT,
    ) -> list[Decision]:
        """Decide on one request, or on several at once for policies that plan batches.

        Requests that no model serves, because the policy declines or the budget does not hold,
        get a decision that is ``declined``; it is logged and counted like any other.

        Raises
        ------
        InvalidInput
            If a decision of such an id is remembered already.
        """
        names = [None] * len(requests) if ids is None else ids
        for id in names:
            if id is not None and (id in self._fold.records_ or names.count(id) > 1):
                raise InvalidInput("id", id, "give every decision its own id")
        rng = self._rng.at(self._fold.decisions_ + 1)
        policy = self._fold.policy_
        able = [request for request in requests if _servable(request)]
        if len(able) == 1:
            choices = [policy.decide(able[0], rng)]
        else:
            choices = policy.decide_batch(able, rng) if able else []
        if len(able) < len(requests):
            answers, nobody = iter(choices), declined(len(self.zoo))
            choices = [next(answers) if _servable(r) else nobody for r in requests]
        return [
            self._record(request, choice, id, at, context)
            for request, choice, id in zip(requests, choices, names, strict=True)
        ]

    def log_direct_call(
        self,
        model: str,
        prompt: Prompt,
        *,
        input_tokens: int | None = None,
        id: str | None = None,
        at: float = 0.0,
        context: RequestContext = _NO_CONTEXT,
    ) -> Decision:
        """Log that the caller chose a model; no SLA counts the request and no policy learns of it.

        Raises
        ------
        InvalidInput
            If the zoo has no such model or an argument breaks its rules.
        """
        index = self.zoo.index(model)
        tokens = approximate_tokens(prompt) if input_tokens is None else input_tokens
        cost = self.policy.expected_cost(tokens)
        decision = Decision(
            id=self._name(id),
            seq=self._fold.decisions_ + 1,
            sla="",
            floor=0.0,
            model=model,
            called=(model,),
            models=self.zoo.names,
            propensities=np.eye(len(self.zoo))[index],
            explored=False,
            quality_estimates=np.full(len(self.zoo), np.nan),
            cost_estimates=self.zoo.typical_costs if cost is None else cost,
            index=index,
            features=freeze(self.encoder.encode(prompt)),
            input_tokens=tokens,
            policy=DIRECT,
            at=at,
            **context._asdict(),
        )
        self._happen(decision)
        return decision

    def _record(
        self, request: Request, choice: Choice, id: str | None, at: float, context: RequestContext
    ) -> Decision:
        fold = self._fold
        if context.session:
            choice = self._keep_session(request, choice, context.session, at)
        called = choice.called
        promise = fold.slas_[request.sla]
        if promise.budget is not None:
            called = within_budget(fold, called, choice.cost, promise, at)
        names = fold.zoo_.names
        decision = Decision(
            id=self._name(id),
            seq=fold.decisions_ + 1,
            sla=request.sla,
            floor=request.floor,
            model=names[choice.model] if called else "",
            called=tuple([names[m] for m in called]),
            models=names,
            propensities=choice.propensities,
            explored=choice.explored,
            quality_estimates=choice.quality,
            cost_estimates=choice.cost,
            index=choice.model if called else DECLINED,
            features=request.features,
            input_tokens=request.input_tokens,
            policy=fold.policy_.name,
            prediction=choice.prediction,
            at=at,
            **context._asdict(),
        )
        self._happen(decision)
        return decision

    def _name(self, id: str | None) -> str:
        name = f"d{self.seed:x}-{self._fold.decisions_ + 1:x}" if id is None else id
        if name in self._fold.records_:
            raise InvalidInput("id", name, "give every decision its own id")
        return name

    def _keep_session(self, request: Request, choice: Choice, session: str, at: float) -> Choice:
        """Choice of the conversation's model, if it may serve and the SLA can do with it."""
        fold = self._fold
        kept = fold.sessions_.get(session)
        if kept is None or choice.explored or at - float(kept[1]) > _SESSION_SECONDS:
            return choice
        model = str(kept[0])
        if model not in fold.zoo_:
            return choice
        index = fold.zoo_.index(model)
        if not (request.allowed is None or request.allowed[index]):
            return choice
        ledger = fold.ledgers_[request.sla]
        behind = ledger.satisfied_ < request.floor * ledger.labels_
        if behind and choice.quality[index] < min(request.floor, choice.quality[choice.model]):
            return choice
        same = certain(index, choice.quality, choice.cost)
        return same._replace(prediction=choice.prediction)

    def outcome(
        self,
        decision: str,
        *,
        cost: float,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        latency: float | None = None,
        error: str | None = None,
        at: float = 0.0,
        completion: str | None = None,
        estimated: bool = False,
    ) -> bool:
        """Tell what a call really took; False if that was known already.

        ``model`` is the served one by default; cost in the zoo's unit, latency in seconds. Give
        the provider's name of the answer as ``completion``, and say if the cost is ``estimated``.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If a value breaks its rules.
        """
        return self._happen(
            Outcome(
                decision=decision,
                model=self._called(decision, model),
                cost=cost,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                latency=latency,
                error=error,
                at=at,
                completion=completion,
                estimated=estimated,
            )
        )

    def feedback(
        self,
        decision: str,
        satisfied: bool | None = None,
        *,
        score: float | None = None,
        model: str | None = None,
        source: str = "user",
        at: float = 0.0,
        key: str = "",
    ) -> bool:
        """Tell how satisfying a response was; False if that was known already.

        Give ``satisfied`` or a ``score`` from 0 to 1. A later, different score for the same
        response replaces the earlier one, unless it comes under the ``key`` of a message that came
        before: then it is that message sent again. ``model`` is the served one by default.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If a value breaks its rules.
        """
        if (satisfied is None) == (score is None):
            raise InvalidInput(
                "feedback", {"satisfied": satisfied, "score": score}, "give one of the two"
            )
        given = score if score is not None else float(bool(satisfied))
        called = self._called(decision, model)
        return self._happen(
            Feedback(decision=decision, model=called, score=given, source=source, at=at, key=key)
        )

    def restore_decision(
        self,
        decision: Decision,
        scores: Mapping[str, float] | None = None,
        keys: Iterable[str] = (),
        *,
        at: float = 0.0,
    ) -> bool:
        """Remember a forgotten decision of this log again, so that late feedback finds it.

        ``scores`` are the latest of its judged models, ``keys`` those of the feedback it got;
        False if the decision is remembered still.
        """
        if decision.id in self._fold.records_:
            return False
        recall = Recall(decision=decision, scores=dict(scores or {}), keys=tuple(keys), at=at)
        return self._happen(recall)

    def judge_response(
        self, judge: Judge, decision: str, response: str = "", *, at: float = 0.0
    ) -> bool:
        """Let a judge label the served response, if its turn comes and nobody has yet.

        Returns whether it was asked. The draw depends on the seed and the decision only.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If the judge's score breaks its rules.
        """
        record = self._fold.record(decision)
        made = record.decision
        due = self._judge_rng.at(made.seq).random() < judge.rate
        if made.declined or made.model in record.scores or not due:
            return False
        return self._happen(
            Feedback(
                decision=decision,
                model=made.model,
                score=judge.score(made, response),
                source="judge",
                cost=judge.cost,
                at=at,
            )
        )

    def change_zoo(self, zoo: Zoo, *, at: float = 0.0) -> None:
        """Serve these models at these prices from now on.

        Raises
        ------
        InvalidInput
            If an SLA names a model that would be gone, or the cost unit differs.
        """
        for sla in self._fold.slas_.values():
            sla.check_against(zoo)
        if zoo.cost_unit != self.zoo.cost_unit:
            raise InvalidInput("zoo.cost_unit", zoo.cost_unit, f"keep {self.zoo.cost_unit!r}")
        self._happen(ZooChange(zoo=zoo, at=at))

    def add_model(self, model: Model, *, at: float = 0.0) -> None:
        """Let one more model serve, or give new prices to one that does."""
        self.change_zoo(self.zoo.with_model(model), at=at)

    def remove_model(self, name: str, *, at: float = 0.0) -> None:
        """Let a model serve no more."""
        self.change_zoo(self.zoo.without(name), at=at)

    def set_sla(self, sla: SLA, *, at: float = 0.0) -> None:
        """Promise something under a new name, or something else under a known one."""
        sla.check_against(self.zoo)
        self._happen(SlaChange(sla=sla, at=at))

    def remove_sla(self, sla: str, *, at: float = 0.0) -> None:
        """Promise nothing more under this name."""
        promise = self._sla(sla)
        if len(self._fold.slas_) == 1:
            raise InvalidInput("sla", sla, "keep at least one SLA")
        self._happen(SlaChange(sla=promise, removed=True, at=at))

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events that are in the log already, such as those after the last snapshot."""
        for event in events:
            self._fold.apply(event)

    def status(self, sla: str | None = None) -> Status:
        """How an SLA stands; the first one by default."""
        promise = self._sla(sla)
        return status_of(promise, self._fold.ledgers_[promise.name], self.zoo.cost_unit)

    def certificate(self, sla: str | None = None, *, window: bool = False) -> Certificate:
        """What can be said of an SLA's floor, over all labels or over its window's."""
        promise = self._sla(sla)
        certify = window_certificate_of if window else certificate_of
        return certify(promise, self._fold.ledgers_[promise.name])

    def snapshot(self, *, decisions: bool = True) -> bytes:
        """Write the whole state; a router restored from it decides as this one would.

        Without ``decisions`` the remembered ones are named by their ids only, which keeps the
        snapshot small where they are in a log anyway.
        """
        return pack({**self._built(), "fold": self._fold.snapshot(decisions=decisions)})

    def restore(self, snapshot: bytes, find: Find | None = None) -> None:
        """Take over a state written by ``snapshot`` of a router built the same way.

        ``find`` looks up decisions that the snapshot only names, by a list of their ids.

        Raises
        ------
        SnapshotMismatch
            If the bytes are no snapshot, or one of another policy, encoder, seed or version.
        """
        state = unpack(snapshot)
        mine = self._built()
        if not isinstance(state, dict) or set(state) != {*mine, "fold"}:
            raise SnapshotMismatch("snapshot is not one of a router: give what snapshot() wrote")
        for field, value in mine.items():
            if state[field] != value:
                raise SnapshotMismatch(
                    f"snapshot has {field} {state[field]!r}, this router {value!r}: "
                    "restore into a router built with the same arguments"
                )
        self._fold.restore(state["fold"], find)

    def _built(self) -> dict[str, str | int]:
        """What a snapshot and the router it is restored into must have in common."""
        return {
            "version": _SNAPSHOT_VERSION,
            "policy": self.policy.fingerprint,
            "encoder": self.encoder.fingerprint,
            "seed": self.seed,
        }

    def _happen(self, event: Event) -> bool:
        self.log.append(event)
        return self._fold.apply(event)

    def _sla(self, name: str | None) -> SLA:
        slas = self._fold.slas_
        if name is None:
            return next(iter(slas.values()))
        try:
            return slas[name]
        except KeyError:
            raise InvalidInput("sla", name, "name one of: " + ", ".join(slas)) from None

    def _called(self, decision: str, model: str | None) -> str:
        made = self._fold.record(decision).decision
        if made.declined:
            raise InvalidInput("decision", decision, "name one that a model served")
        if model is None:
            return made.model
        if model not in made.called:
            fix = "name a model this decision called: " + ", ".join(made.called)
            raise InvalidInput("model", model, fix)
        return model

    def _check_features(self, features: Features) -> None:
        given = length(features)
        if given != self.encoder.dim:
            raise InvalidInput("features", f"of length {given}", f"give {self.encoder.dim} numbers")
        if not is_finite(features):
            raise InvalidInput("features", "holding NaN or infinity", "give finite features")


def _servable(request: Request) -> bool:
    return request.allowed is None or bool(request.allowed.any())
