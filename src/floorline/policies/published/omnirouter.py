"""OmniRouter: assignment of whole batches under a floor on quality and limits on load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.estimators.blend import Blend
from floorline.events import Decision
from floorline.optimization.prediction_window import PredictionWindow
from floorline.policies.base import Choice, Need, Request, certain, declined
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]

_RULE = "batch"
"""Rule of its decisions. Where limits on load move a request, another model has a lower score."""


class OmniRouter(EstimatingPolicy):
    """OmniRouter [1]_: Lagrangian dual ascent over a batch.

        j_i = argmin_j  c_ij − λ₁·a_ij/N + λ₂_j
        λ₁ ← [λ₁ + η₁·(α − mean a)]₊,     λ₂_j ← [λ₂_j + η₂·(load_j − L_j)]₊

    Here a is the blend of a trained head and nearest neighbours. Costs c are in units of the mean
    difference between the most and the least expensive model of a request, so that the step sizes
    do not depend on the currency.

    Choices that the paper leaves open:

    - *Steps*: both step sizes shrink with 1/√k, and the means of the multipliers over the second
      half of the steps decide.
    - *Limits*: requests that still exceed a limit move to the model with free capacity that has the
      lowest Lagrangian, so that limits always hold.
    - *Single requests*: they are decided as a batch together with the last predictions, so that the
      floor is a floor on the mean for them too.

    Labels train the estimator; no queue corrects its errors.

    Parameters
    ----------
    loads
        Maximum number of requests of a batch that each model may serve, by name. A request that
        finds no free capacity is declined. Default: no limits.
    window
        Number of latest predictions on which the floor is enforced beside the batch.
    steps
        Number of dual steps.
    eta1, eta2
        Step sizes η₁ and η₂.
    estimator
        Constructor of the quality estimator.

    Attributes
    ----------
    window_
        ``PredictionWindow`` of the last predictions.
    limits_
        (M,) limits L, ∞ if a model has none.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] OmniRouter: Budget and Performance Controllable Multi-LLM Routing. arXiv:2502.20576.
    """

    name: ClassVar[str] = "omnirouter"
    batch: ClassVar[int] = 64
    needs: ClassVar[tuple[Need, ...]] = ("history",)

    def __init__(
        self,
        *,
        loads: Mapping[str, int] | None = None,
        window: int = 200,
        steps: int = 60,
        eta1: float = 20.0,
        eta2: float = 0.1,
        estimator: MakeEstimator = Blend,
    ) -> None:
        super().__init__(estimator=estimator)
        self.loads = None if loads is None else dict(loads)
        for model, load in (self.loads or {}).items():
            check_number(f"omnirouter.loads[{model!r}]", load, low=0, fix="give 0 or more")
        self.window = int(check_number("omnirouter.window", window, low=1, fix="give 1 or more"))
        self.steps = int(check_number("omnirouter.steps", steps, low=1, fix="give 1 or more"))
        self.eta1 = check_number("omnirouter.eta1", eta1, low=0, fix="give a step of 0 or more")
        self.eta2 = check_number("omnirouter.eta2", eta2, low=0, fix="give a step of 0 or more")

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start untrained, with an empty window."""
        super().start(zoo, slas, dim)
        self._set_models(zoo)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Decide a batch of one request."""
        return self.decide_batch([request], rng)[0]

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Assign the requests of a batch; decline those that find no free capacity."""
        quality = np.array([self.quality_.predict_one(r.features) for r in requests])
        cost = np.array([self.cost_.predict_one(r.input_tokens, r.cache) for r in requests])
        allowed_cost = np.array([r.scored(c) for r, c in zip(requests, cost, strict=True)])
        for row, request in enumerate(requests):
            if request.allowed is not None:
                allowed_cost[row, ~request.allowed] = np.inf
        floor = float(np.mean([r.floor for r in requests]))
        scores, price = self._scores(allowed_cost, quality, floor)
        known = {"satisfaction_price": price}
        return [
            declined(len(c))
            if model < 0
            else certain(int(model), q, c, rule=_RULE, scores=s, multipliers=known)
            for model, q, c, s in zip(self._assign(scores), quality, cost, scores, strict=True)
        ]

    def on_decision(self, decision: Decision) -> None:
        """Add the predictions to the window."""
        if not decision.declined:
            self.window_.add(decision.quality_estimates, decision.scored_costs)

    def on_zoo(self, zoo: Zoo) -> None:
        """Clear the window, whose predictions belong to other models."""
        super().on_zoo(zoo)
        self._set_models(zoo)

    def _set_models(self, zoo: Zoo) -> None:
        self.window_ = PredictionWindow(self.window, len(zoo))
        limits = self.loads or {}
        self.limits_ = np.array([float(limits.get(name, np.inf)) for name in zoo.names])

    def _scores(self, cost: Floats, quality: Floats, floor: float) -> tuple[Floats, float]:
        """Return the (n, M) Lagrangian of the batch at the mean multipliers, and the floor's λ₁."""
        n = len(cost)
        q = np.concatenate([quality, self.window_.quality])
        c = np.concatenate([cost, self.window_.cost])
        finite = np.where(np.isfinite(c), c, np.nan)
        spread = float(np.nanmean(np.nanmax(finite, axis=1) - np.nanmin(finite, axis=1)))
        c = c / spread if spread > 0 else c
        price, load_price = 0.0, np.zeros(cost.shape[1])
        mean_price, mean_load_price = 0.0, np.zeros(cost.shape[1])
        rows = np.arange(len(c))
        for step in range(1, self.steps + 1):
            scores = c - price * q
            scores[:n] += load_price
            served = scores.argmin(axis=1)
            shrink = 1.0 / np.sqrt(step)
            price = max(0.0, price + self.eta1 * shrink * (floor - float(q[rows, served].mean())))
            load = np.bincount(served[:n], minlength=cost.shape[1])
            load_price = np.maximum(0.0, load_price + self.eta2 * shrink * (load - self.limits_))
            if step > self.steps // 2:
                share = 1.0 / (step - self.steps // 2)
                mean_price += share * (price - mean_price)
                mean_load_price += share * (load_price - mean_load_price)
        return np.asarray(c[:n] - mean_price * q[:n] + mean_load_price), mean_price

    def _assign(self, scores: Floats) -> NDArray[np.int64]:
        """Return the (n,) models with the lowest scores within the limits; −1 declines a request.

        Requests above a limit move in the order of what moving them costs.
        """
        served = np.asarray(scores.argmin(axis=1))
        capacity = self.limits_ - np.bincount(served, minlength=scores.shape[1])
        if (capacity >= 0).all():
            return served
        regret = np.partition(scores, 1, axis=1)[:, 1] - scores.min(axis=1)
        for row in np.argsort(regret, kind="stable").tolist():
            if capacity[served[row]] >= 0:
                continue
            options = np.where((capacity > 0) & np.isfinite(scores[row]), scores[row], np.inf)
            capacity[served[row]] += 1
            best = int(options.argmin())
            served[row] = best if np.isfinite(options[best]) else -1
            if served[row] >= 0:
                capacity[best] -= 1
        return served
