"""Off-policy evaluation: satisfaction and cost of another policy on the logged requests.

The other policy is run through the same router and fold as in serving. It decides on every logged
request. It receives an outcome or a label of a model only if both it and the logged decision called
the model. Its satisfaction and cost are estimated by weighting the logged ones with π/p
(``guarantees.off_policy``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from floorline.errors import FloorlineError, InvalidInput
from floorline.events import (
    DIRECT,
    Decision,
    Event,
    Feedback,
    Outcome,
    SlaChange,
    WarmStart,
    ZooChange,
)
from floorline.guarantees.off_policy import Estimate, WeightedSample, estimates
from floorline.policies import Policy
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.event_log import MemoryLog
from floorline.state.sessions import Session
from floorline.zoo import Zoo

_MIN_PROPENSITY = 1e-9
"""Propensity above which the other policy counts as able to choose a model; below is rounding."""
_MIN_EFFECTIVE_REQUESTS = 2
"""Least effective number of requests for the estimate of cost; a variance needs two."""


class NoSupport(FloorlineError):
    """The log does not identify the results of the other policy."""


class WhatIf(msgspec.Struct, frozen=True):
    """Estimated results of another policy.

    Parameters
    ----------
    policy
        Fingerprint of the policy.
    requests, labels
        Numbers of logged requests used and of those with a label.
    effective_labels, effective_requests
        Effective sample sizes of ``satisfaction`` and of ``cost``.
    matched
        Share of requests for which the policy chose the served model.
    floor
        Mean floor of the requests.
    confidence
        Confidence level of the intervals.
    satisfaction, cost
        Estimates of mean satisfaction and of mean cost per request.
    logged
        Mean satisfaction and mean cost per request of the logging policy.
    cost_unit
        Unit of the costs.
    left_out
        Numbers of logged decisions that are not used, by reason.
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
    """One logged request with the importance weight and the predictions for the other policy."""

    model: str
    weight: float
    matched: bool
    floor: float
    quality_prediction: float
    quality_baseline: float
    cost_prediction: float
    cost_baseline: float
    other_calls: float
    score: float | None = None
    cost: float | None = None
    spent: float = 0.0


class _Means:
    """Running means by model; a model without values has the mean of all models."""

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
    """Evaluation of another policy on a log, event by event.

    Parameters
    ----------
    policy
        The policy; it must be new and not used elsewhere.
    zoo, slas
        Models and SLAs at the beginning of the log.
    dim
        Length of the logged features.
    sla
        Name of the SLA whose requests are used. Default: all requests.
    floor
        Floor of every request. Default: the logged floors.
    seed
        Seed of the policy's random draws.

    Raises
    ------
    InvalidInput
        If the policy knows the stream in advance.
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
            fix = "choose a policy that does not know the stream in advance"
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
        self._conversations: set[Session] = set()

    def fold(self, event: Event) -> None:
        """Add the next event of the log."""
        if isinstance(event, Decision):
            reason = self._reason_to_leave_out(event)
            if reason:
                self.left_out[reason] = self.left_out.get(reason, 0) + 1
            else:
                self._decision(event)
        elif isinstance(event, Outcome):
            self._outcome(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, ZooChange | SlaChange | WarmStart):
            self.router.apply([event])

    def _reason_to_leave_out(self, event: Decision) -> str:
        """Return why a logged decision is not used; empty if it is."""
        if event.policy == DIRECT:
            return "model chosen by the caller"
        if event.declined:
            return "declined"
        if event.after:
            return "made in place of a failed call"
        if event.session:
            session = Session(event.owner, event.session)
            if session in self._conversations:
                return "later turns of a conversation, which stays on its model"
            self._conversations.add(session)
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
        (other,) = router.decide([request], ids=[event.id], at=event.at)
        if self.sla is not None and event.sla != self.sla:
            return
        names = router.zoo.names
        target = other.propensities
        unsupported = (target > _MIN_PROPENSITY) & (event.propensities <= 0.0)
        for m in np.flatnonzero(unsupported).tolist():
            self.unsupported[names[m]] = self.unsupported.get(names[m], 0) + 1
        choices = [(names[m], float(target[m])) for m in np.flatnonzero(target).tolist()]
        self.rows[event.id] = _Row(
            model=event.model,
            weight=float(target[event.index]) / event.propensity,
            matched=other.model == event.model,
            floor=floor,
            quality_prediction=self._quality[event.model],
            quality_baseline=sum(p * self._quality[name] for name, p in choices),
            cost_prediction=self._cost[event.model],
            cost_baseline=sum(p * self._cost[name] for name, p in choices),
            other_calls=sum(self._cost[name] for name in other.called[1:]),
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
            # The cost of a judge belongs to the logging policy, not to this one.
            self.router.apply([msgspec.structs.replace(event, cost=0.0)])

    def _revealed(self, event: Outcome | Feedback) -> bool:
        record = self.router.find(event.decision)
        return record is not None and event.model in record.decision.called

    def result(self, *, confidence: float = 0.95, min_effective_labels: float = 50.0) -> WhatIf:
        """Estimate satisfaction and cost of the policy.

        Parameters
        ----------
        confidence
            Confidence level of the intervals.
        min_effective_labels
            Least effective number of labels for an estimate.

        Raises
        ------
        NoSupport
            If the policy chooses models that the logging policy served with probability 0, or the
            effective number of labels is too small.
        """
        rows = list(self.rows.values())
        self._check_support(len(rows))
        labelled = [row for row in rows if row.score is not None]
        paid = [row for row in rows if row.cost is not None]
        quality = _sample(labelled, "score", "quality")
        cost = _sample(paid, "cost", "cost")
        size = quality.effective_size
        if size < min_effective_labels or cost.effective_size < _MIN_EFFECTIVE_REQUESTS:
            raise NoSupport(
                f"the effective number of labels is {size:.1f} (of {len(labelled)} in the log), "
                f"and at least {min_effective_labels:g} are needed: log more requests, or log with "
                "a policy that serves the models of this one more often"
            )
        delta = 1.0 - confidence
        extra = float(np.mean([row.other_calls for row in rows]))
        costs = [
            e._replace(value=e.value + extra, lower=e.lower + extra, upper=e.upper + extra)
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
            raise NoSupport("the log has no usable decision: give a log with routed requests")
        if self.unsupported:
            model, count = max(self.unsupported.items(), key=lambda item: item[1])
            raise NoSupport(
                f"at {count:,} of {requests:,} requests the other policy may serve {model!r}, "
                "which the logging policy served with probability 0: log with a policy that serves "
                "every model with a positive probability, such as sla_router"
            )


def _sample(rows: Sequence[_Row], value: str, quantity: str) -> WeightedSample:
    def column(name: str) -> Any:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    return WeightedSample(
        value=column(value),
        weight=column("weight"),
        prediction=column(f"{quantity}_prediction"),
        baseline=column(f"{quantity}_baseline"),
    )
