"""The facade: route a request, say how it went, ask how the promise stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.encoders.base import Encoder, Prompt
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.messages import read_prompt
from floorline.errors import BudgetExhausted, InvalidInput, SnapshotMismatch
from floorline.events import Decision, Event, Feedback, Outcome, SlaChange, ZooChange
from floorline.features import Features, is_finite, length
from floorline.fold import Fold
from floorline.guarantees import hoeffding_radius
from floorline.policies import Policy, Request, make_policy
from floorline.rng import CounterRng
from floorline.sla import SLA, check_floor
from floorline.stateful import pack, unpack
from floorline.stores import EventLog, MemoryLog
from floorline.zoo import Model, Zoo

Verdict = Literal["kept", "at risk", "broken", "unknown"]

_SNAPSHOT_VERSION = 1
_MEMORY_LOG_EVENTS = 1_000_000


class Status(msgspec.Struct, frozen=True):
    """How an SLA stands.

    ``satisfaction`` is the mean over all labels of served responses (None without any), ``recent``
    that over the SLA's window. ``lower`` and ``upper`` hold at the SLA's confidence at any time,
    if the labelled requests are representative of all. ``spent`` is what calls cost in the zoo's
    unit since the start, ``reserved`` what open calls are expected to cost.

    ``verdict``: ``kept`` if even ``lower`` reaches the floor, ``broken`` if even ``upper`` misses
    it, else ``at risk`` if the mean misses it and ``unknown`` if there is too little to tell.
    """

    sla: str
    floor: float
    requests: int
    explored: int
    labels: int
    satisfaction: float | None
    recent: float | None
    lower: float
    upper: float
    verdict: Verdict
    spent: float
    reserved: float
    cost_unit: str


class Router:
    """Routes requests to the cheapest model that keeps each SLA's floor.

    Every call that changes anything appends events to ``log`` and folds them; ``apply`` folds
    events from elsewhere, such as the tail of a log after a crash.

    Parameters
    ----------
    zoo, slas
        Models and promises. The first SLA is the default of ``route``.
    policy
        Name of a policy or an instance (not shared between routers).
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
    >>> router = Router(zoo, policy="mess_plus", slas=[SLA("gold", floor=0.9)], seed=1)
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
        policy: str | Policy = "mess_plus",
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
        self.fold = Fold(built, zoo, slas, self.encoder.dim, memory=memory)
        self._rng = CounterRng(seed)

    @property
    def zoo(self) -> Zoo:
        """Models that can serve now."""
        return self.fold.zoo_

    @property
    def policy(self) -> Policy:
        """The policy, with its state."""
        return self.fold.policy_

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

        Raises
        ------
        InvalidInput
            If an argument breaks its rules or no model can serve the request.
        BudgetExhausted
            If no model that can serve fits into what is left of the SLA's budget.
        """
        fold = self.fold
        promise = self._sla(sla)
        held = promise.floor if floor is None else check_floor("floor", floor)
        if input_tokens is None:
            input_tokens = 0 if prompt is None else _count_tokens(prompt)
        if features is None:
            if prompt is None:
                raise InvalidInput("prompt", None, "give a prompt or its features")
            features = self.encoder.encode(prompt)
        self._check_features(features)
        allowed = self._allowed(promise, input_tokens, needs, exclude)
        if promise.budget is not None:
            allowed = self._affordable(promise, input_tokens, allowed, at)
        seq = fold.decisions_ + 1
        choice = fold.policy_.decide(
            Request(features, promise.name, held, input_tokens, allowed), self._rng.at(seq)
        )
        called = choice.called
        if promise.budget is not None and len(called) > 1:
            called = self._trim(called, choice.cost, promise, at)
        names = fold.zoo_.names
        decision = Decision(
            id=f"d{self.seed:x}-{seq:x}" if id is None else id,
            seq=seq,
            sla=promise.name,
            floor=held,
            model=names[choice.model],
            called=tuple([names[m] for m in called]),
            propensities=choice.propensities,
            explored=choice.explored,
            quality=choice.quality,
            cost=choice.cost,
            index=choice.model,
            features=features,
            input_tokens=input_tokens,
            policy=fold.policy_.name,
            at=at,
        )
        if decision.id in fold.records_:
            raise InvalidInput("id", decision.id, "give every decision its own id")
        self._happen(decision)
        return decision

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
    ) -> bool:
        """Tell what a call really took; False if that was known already.

        ``model`` is the served one by default; cost in the zoo's unit, latency in seconds.

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
    ) -> bool:
        """Tell how satisfying a response was; False if that was known already.

        Give ``satisfied`` or a ``score`` from 0 to 1. A later, different score for the same
        response replaces the earlier one. ``model`` is the served one by default.

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
            Feedback(decision=decision, model=called, score=given, source=source, at=at)
        )

    def change_zoo(self, zoo: Zoo, *, at: float = 0.0) -> None:
        """Serve these models at these prices from now on.

        Raises
        ------
        InvalidInput
            If an SLA names a model that would be gone, or the cost unit differs.
        """
        for sla in self.fold.slas_.values():
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

    def promise(self, sla: SLA, *, at: float = 0.0) -> None:
        """Promise something under a new name, or something else under a known one."""
        sla.check_against(self.zoo)
        self._happen(SlaChange(sla=sla, at=at))

    def withdraw(self, sla: str, *, at: float = 0.0) -> None:
        """Promise nothing more under this name."""
        promise = self._sla(sla)
        if len(self.fold.slas_) == 1:
            raise InvalidInput("sla", sla, "keep at least one SLA")
        self._happen(SlaChange(sla=promise, removed=True, at=at))

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events that are in the log already, such as those after the last snapshot."""
        for event in events:
            self.fold.apply(event)

    def status(self, sla: str | None = None) -> Status:
        """How an SLA stands; the first one by default."""
        promise = self._sla(sla)
        ledger = self.fold.ledgers_[promise.name]
        n = ledger.labels_
        mean = ledger.satisfied_ / n if n else None
        radius = hoeffding_radius(n, 1.0 - promise.confidence)
        lower = 0.0 if mean is None else max(0.0, mean - radius)
        upper = 1.0 if mean is None else min(1.0, mean + radius)
        recent = ledger.recent_
        return Status(
            sla=promise.name,
            floor=promise.floor,
            requests=ledger.requests_,
            explored=ledger.explored_,
            labels=n,
            satisfaction=mean,
            recent=sum(recent) / len(recent) if recent else None,
            lower=lower,
            upper=upper,
            verdict=_verdict(promise.floor, mean, lower, upper),
            spent=ledger.lifetime_spend_,
            reserved=sum(ledger.reserved_.values()),
            cost_unit=self.zoo.cost_unit,
        )

    def snapshot(self) -> bytes:
        """Write the whole state; a router restored from it decides as this one would."""
        return pack(
            {
                "version": _SNAPSHOT_VERSION,
                "policy": self.policy.name,
                "encoder": self.encoder.fingerprint,
                "seed": self.seed,
                "fold": self.fold.snapshot(),
            }
        )

    def restore(self, snapshot: bytes) -> None:
        """Take over a state written by ``snapshot`` of a router built the same way.

        Raises
        ------
        SnapshotMismatch
            If the bytes are no snapshot, or one of another policy, encoder, seed or version.
        """
        state = unpack(snapshot)
        if not isinstance(state, dict) or set(state) != {
            "version",
            "policy",
            "encoder",
            "seed",
            "fold",
        }:
            raise SnapshotMismatch("snapshot is not one of a router: give what snapshot() wrote")
        mine = {
            "version": _SNAPSHOT_VERSION,
            "policy": self.policy.name,
            "encoder": self.encoder.fingerprint,
            "seed": self.seed,
        }
        for field, value in mine.items():
            if state[field] != value:
                raise SnapshotMismatch(
                    f"snapshot has {field} {state[field]!r}, this router {value!r}: "
                    "restore into a router built with the same arguments"
                )
        self.fold.restore(state["fold"])

    def _happen(self, event: Event) -> bool:
        self.log.append(event)
        return self.fold.apply(event)

    def _sla(self, name: str | None) -> SLA:
        slas = self.fold.slas_
        if name is None:
            return next(iter(slas.values()))
        try:
            return slas[name]
        except KeyError:
            raise InvalidInput("sla", name, "name one of: " + ", ".join(slas)) from None

    def _called(self, decision: str, model: str | None) -> str:
        made = self.fold.record(decision).decision
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

    def _allowed(
        self, promise: SLA, tokens: int, needs: Iterable[str], exclude: Iterable[str]
    ) -> NDArray[np.bool_] | None:
        zoo = self.zoo
        if not zoo.limited and not needs and not exclude and _unbounded(promise):
            return None
        mask = zoo.able(tokens=tokens, needs=needs, exclude=exclude)
        if _unbounded(promise):
            return mask
        fits = np.ones(len(zoo), dtype=bool) if mask is None else mask
        if promise.models is not None:
            fits = fits & np.array([name in promise.models for name in zoo.names])
        if promise.max_latency is not None:
            slow = [self.fold.mean_latency(name) > promise.max_latency for name in zoo.names]
            # A ceiling that nothing meets is no reason to refuse service.
            quick = fits & ~np.array(slow)
            fits = quick if quick.any() else fits
        if not fits.any():
            raise InvalidInput("request", promise.name, "no model its SLA allows can serve it")
        return fits

    def _affordable(
        self, promise: SLA, tokens: int, allowed: NDArray[np.bool_] | None, at: float
    ) -> NDArray[np.bool_]:
        ledger = self.fold.ledgers_[promise.name]
        cost = self.policy.expected_cost(tokens)
        if cost is None:
            cost = self.zoo.typical_costs
        fits = ledger.affordable(promise, self.zoo, cost, at)
        if allowed is not None:
            fits &= allowed
        if not fits.any():
            raise BudgetExhausted(
                f"budget of SLA {promise.name!r} is spent: no model that can serve costs as little "
                "as what is left; raise Budget.total or Budget.per_model, or wait for its period"
            )
        return fits

    def _trim(
        self, called: tuple[int, ...], cost: NDArray[np.float64], promise: SLA, at: float
    ) -> tuple[int, ...]:
        """Leave out calls that exploration wants and the budget does not hold beside the rest."""
        left = self.fold.ledgers_[promise.name].left(promise, self.zoo, at)
        kept, bill = [called[0]], float(cost[called[0]])
        for model in called[1:]:
            if bill + cost[model] <= left[model]:
                kept.append(model)
                bill += float(cost[model])
        return tuple(kept)


def _unbounded(promise: SLA) -> bool:
    return promise.models is None and promise.max_latency is None


def _count_tokens(prompt: Prompt) -> int:
    text = prompt if isinstance(prompt, str) else "".join(read_prompt(prompt))
    return (len(text) + 3) // 4


def _verdict(floor: float, mean: float | None, lower: float, upper: float) -> Verdict:
    if mean is None:
        return "unknown"
    if lower >= floor:
        return "kept"
    if upper < floor:
        return "broken"
    return "at risk" if mean < floor else "unknown"
