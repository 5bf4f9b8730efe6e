"""What if another policy had routed the logged requests: estimates of what it would have got.

The other policy is the same class that would serve, run through the same router and fold: it
decides on every logged request, and is told an outcome or label only of a model that it called and
that the logged decision called too. What it would have got is estimated by weighting what was
logged with π/p (``guarantees.off_policy``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from floorline.errors import FloorlineError, InvalidInput
from floorline.events import DIRECT, Decision, Event, Feedback, Outcome, SlaChange, ZooChange
from floorline.guarantees.off_policy import Estimate, WeightedSample, estimates
from floorline.policies import Policy
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.event_log import MemoryLog
from floorline.zoo import Zoo

_MASS = 1e-9
_FEWEST = 2


class NoSupport(FloorlineError):
    """The log cannot tell what the other policy would have got."""


class WhatIf(msgspec.Struct, frozen=True):
    """What another policy would have got.

    Of ``requests`` routed ones, ``labels`` have a label. ``effective_labels`` is the effective
    sample size behind ``satisfaction``, ``matched`` the share of requests for which the policy
    chose the model that served. ``left_out`` counts logged decisions by why they say nothing.
    ``logged`` is what the logging policy got itself: mean satisfaction, and cost per request.
    """

    policy: str
    requests: int
    labels: int
    effective_labels: float
    effective_requests: float
    matched: float
    floor: float
    confidence: float
    satisfaction: tuple[Estimate, ...]
    cost: tuple[Estimate, ...]
    logged: tuple[float, float]
    cost_unit: str
    left_out: dict[str, int]


class _Row(msgspec.Struct):
    """One logged request and what the other policy makes of it."""

    model: str
    weight: float
    matched: bool
    floor: float
    quality_guess: float
    quality_baseline: float
    cost_guess: float
    cost_baseline: float
    other_calls: float
    score: float | None = None
    cost: float | None = None
    spent: float = 0.0


class _Means:
    """Running means by model; the mean of all models where one has none yet."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}
        self.total = [0.0, 0.0]

    def add(self, model: str, value: float, count: float = 1.0) -> None:
        for sums in (self.sums.setdefault(model, [0.0, 0.0]), self.total):
            sums[0] += count
            sums[1] += value

    def __getitem__(self, model: str) -> float:
        count, total = self.sums.get(model, self.total)
        return total / count if count else 0.0


class Counterfactual:
    """Runs another policy over a log.

    Parameters
    ----------
    policy
        A fresh one; not shared.
    zoo, slas, dim
        Models and promises when the log began, and length of the features.
    sla
        Estimate over requests of this SLA only; None for all.
    floor
        τ for every request instead of the logged ones.
    """

    def __init__(
        self,
        policy: Policy,
        zoo: Zoo,
        slas: Sequence[SLA],
        dim: int,
        *,
        sla: str | None = None,
        floor: float | None = None,
        seed: int = 0,
    ) -> None:
        if policy.knows != "feedback" and policy.knows != "means":
            fix = "choose a policy that is not told the future of the stream"
            raise InvalidInput("policy", policy.name, fix)
        encoder = GivenFeatures(dim, "logged")
        log = MemoryLog(max_bytes=0)
        self.router = Router(zoo, policy, slas, encoder=encoder, seed=seed, log=log)
        self.sla = sla
        self.floor = floor
        self.rows: dict[str, _Row] = {}
        self.left_out: dict[str, int] = {}
        self.unsupported: dict[str, int] = {}
        self._quality, self._cost = _Means(), _Means()
        self._conversations: set[str] = set()

    def fold(self, event: Event) -> None:
        """Take in the next event of the log."""
        if isinstance(event, Decision):
            reason = self._passed_over(event)
            if reason:
                self.left_out[reason] = self.left_out.get(reason, 0) + 1
            else:
                self._decision(event)
        elif isinstance(event, Outcome):
            self._outcome(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, ZooChange | SlaChange):
            self.router.apply([event])

    def _passed_over(self, event: Decision) -> str:
        """Why a logged decision says nothing of another policy; empty if it does."""
        if event.policy == DIRECT:
            return "model chosen by the caller"
        if event.declined:
            return "declined"
        if event.after:
            return "made in place of a failed call"
        if event.session in self._conversations:
            return "later turns of a conversation, which stays on its model"
        if event.session:
            self._conversations.add(event.session)
        return ""

    def _decision(self, event: Decision) -> None:
        router = self.router
        floor = event.floor if self.floor is None else self.floor
        request = router.request(
            features=event.features,
            sla=event.sla,
            floor=floor,
            input_tokens=event.input_tokens,
            at=event.at,
        )
        (own,) = router.decide([request], ids=[event.id], at=event.at)
        if self.sla is not None and event.sla != self.sla:
            return
        names = router.zoo.names
        chosen = own.propensities
        for m in np.flatnonzero((chosen > _MASS) & (event.propensities <= 0.0)).tolist():
            self.unsupported[names[m]] = self.unsupported.get(names[m], 0) + 1
        serving = [(names[m], float(chosen[m])) for m in np.flatnonzero(chosen).tolist()]
        self.rows[event.id] = _Row(
            model=event.model,
            weight=float(chosen[event.index]) / event.propensity,
            matched=own.model == event.model,
            floor=floor,
            quality_guess=self._quality[event.model],
            quality_baseline=sum(p * self._quality[name] for name, p in serving),
            cost_guess=self._cost[event.model],
            cost_baseline=sum(p * self._cost[name] for name, p in serving),
            other_calls=sum(self._cost[name] for name in own.called[1:]),
        )

    def _outcome(self, event: Outcome) -> None:
        self._cost.add(event.model, event.cost)
        row = self.rows.get(event.decision)
        if row is not None:
            row.spent += event.cost
            if event.model == row.model:
                row.cost = event.cost
        if self._revealed(event):
            self.router.apply([event])

    def _feedback(self, event: Feedback) -> None:
        row, score = self.rows.get(event.decision), float(event.score)
        if row is not None and event.model == row.model:
            if row.score is None:
                self._quality.add(event.model, score)
            else:
                self._quality.add(event.model, score - row.score, count=0.0)
            row.score = score
        if self._revealed(event):
            # What a judge cost the logging policy is no cost of this one.
            self.router.apply([msgspec.structs.replace(event, cost=0.0)])

    def _revealed(self, event: Outcome | Feedback) -> bool:
        record = self.router.find(event.decision)
        return record is not None and event.model in record.decision.called

    def result(self, *, confidence: float = 0.95, min_effective_labels: float = 50.0) -> WhatIf:
        """Estimate, from an effective number of labels of ``min_effective_labels`` or more.

        Raises
        ------
        NoSupport
            If the policy would serve what the logging policy never did, or labels are too few.
        """
        rows = list(self.rows.values())
        self._check_support(len(rows))
        labelled = [row for row in rows if row.score is not None]
        paid = [row for row in rows if row.cost is not None]
        quality = _sample(labelled, "score", "quality")
        cost = _sample(paid, "cost", "cost")
        size = quality.effective_size
        if size < min_effective_labels or cost.effective_size < _FEWEST:
            raise NoSupport(
                f"the log's {len(labelled)} labels are worth {size:.1f} of the other policy's own, "
                f"and at least {min_effective_labels:g} are needed: log more, or with a "
                "policy that explores more of what this one would serve"
            )
        delta = 1.0 - confidence
        others = float(np.mean([row.other_calls for row in rows]))
        costs = [
            e._replace(value=e.value + others, lower=e.lower + others, upper=e.upper + others)
            for e in estimates(cost, delta, shares=False)
        ]
        return WhatIf(
            policy=self.router.policy.fingerprint,
            requests=len(rows),
            labels=len(labelled),
            effective_labels=size,
            effective_requests=cost.effective_size,
            matched=float(np.mean([row.matched for row in rows])),
            floor=round(float(np.mean([row.floor for row in rows])), 12),
            confidence=confidence,
            satisfaction=tuple(estimates(quality, delta, shares=True)),
            cost=tuple(costs),
            logged=(float(quality.value.mean()), float(np.mean([row.spent for row in paid]))),
            cost_unit=self.router.zoo.cost_unit,
            left_out=dict(self.left_out),
        )

    def _check_support(self, requests: int) -> None:
        if not requests:
            raise NoSupport("the log has no decision to learn from: give one with routed requests")
        if self.unsupported:
            worst, count = max(self.unsupported.items(), key=lambda item: item[1])
            raise NoSupport(
                f"at {count:,} of {requests:,} requests the other policy may serve {worst!r}, "
                "which the logging policy had no chance of serving: log with a policy that gives "
                "every model a chance, such as sla_router, and try again"
            )


def _sample(rows: Sequence[_Row], value: str, about: str) -> WeightedSample:
    def column(name: str) -> Any:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    return WeightedSample(
        column(value), column("weight"), column(f"{about}_guess"), column(f"{about}_baseline")
    )
