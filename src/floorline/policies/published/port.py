"""PORT: routing by prices of budgets that are solved on the first few requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.errors import check_number
from floorline.events import Decision
from floorline.optimization.budget_lp import Floats, capped_prices, solve_budgets
from floorline.policies.base import DECLINED, Choice, Need, Request
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy
from floorline.sla import SLA
from floorline.zoo import Zoo

_MAX_SAMPLE = 5000
"""Number of latest requests on which prices are solved again; bounds time and memory."""
_MIN_ROOM = 64
"""Least number of rows that the arrays of a sample are allocated for."""


class RequestSample(Stateful):
    """Estimates of an SLA's latest requests, and the prices γ that were solved on them.

    Parameters
    ----------
    models
        Number M of models.
    capacity
        Maximum number of requests.

    Attributes
    ----------
    requests_
        Number of requests of the SLA, including those without estimates.
    seen_
        Number of requests added since the last ``clear``.
    quality_, cost_
        (≥ n, M) estimates d̂ and ĝ.
    prices_
        (M,) prices γ; 0 before the first solution.
    capacity_
        Maximum number of requests.
    """

    def __init__(self, models: int, capacity: int) -> None:
        self.capacity_ = capacity
        self.requests_ = 0
        self.clear(models)

    def clear(self, models: int) -> None:
        """Delete the sample and the prices, for a new number of models."""
        self.seen_ = 0
        self.quality_ = np.zeros((0, models))
        self.cost_ = np.zeros((0, models))
        self.prices_ = np.zeros(models)

    def add(self, quality: Floats, cost: Floats) -> None:
        """Add the (M,) estimates of a request; they replace the oldest if the sample is full."""
        slot = self.seen_ % self.capacity_
        if slot == len(self.quality_):
            room = np.zeros((min(max(_MIN_ROOM, slot), self.capacity_ - slot), len(quality)))
            self.quality_ = np.concatenate([self.quality_, room])
            self.cost_ = np.concatenate([self.cost_, room])
        self.quality_[slot], self.cost_[slot] = quality, cost
        self.seen_ += 1

    def estimates(self) -> tuple[Floats, Floats]:
        """Return the (n, M) estimates d̂ and ĝ of the sample."""
        count = min(self.seen_, self.capacity_)
        return self.quality_[:count], self.cost_[:count]


class Port(HistoryPolicy):
    """PORT [1]_, Algorithm 1: budgets per model over a horizon of T requests.

    d̂_m and ĝ_m are means over the k nearest neighbours in a labelled history. Each of the first
    ε·T requests is served by a random model or declined, with equal probabilities. Their estimates
    determine the prices of the budgets,

        γ* = argmin_{γ ≥ 0}  ε·Σ_m γ_m B_m + Σ_{j ≤ εT} max_m ( α·d̂_{m,j} − γ_m ĝ_{m,j} )⁺

    From then on argmax_m (α·d̂_m − γ*_m ĝ_m) serves; a request whose maximum is negative is
    declined.

    Choices that the paper leaves open:

    - *Solution*: γ* is solved exactly (the paper says "one-time optimisation"). α cancels out of
      it, so α has an effect only with ``reference``.
    - *Empty budget*: if the budget of the best model is used up, the next best model serves that is
      worth its price. With ``fallback=False`` the request is declined, as in the published runs.
    - *Change of models*: a new sample is taken.
    - *After T requests*: the last prices stay.
    - *No budget*: no request is declined, not even while the sample is taken.

    Budgets are those of the request's SLA, per model and, beyond the paper, in total. Every SLA has
    its own sample and prices. If a budget is renewed (``Budget.period``), T is the number of
    requests in a period.

    Parameters
    ----------
    horizon
        Number T of requests.
    alpha
        Weight α of quality (1e-4 in the paper).
    epsilon
        Share ε of requests in the sample (0.025 in the paper).
    k
        Number of neighbours (5 in the paper).
    resolve_every
        Number of requests after which the prices are solved again: on the estimates of the latest
        5,000 requests, for the rest of the budgets and of the horizon. Default: solve once, as the
        paper does.
    reference
        Use the variant of the authors' published code: without the positive part, so that every
        request is served, and with γ bounded to [0, 1]. Their L-BFGS-B stops close to that
        optimum; here it is solved exactly.
    fallback, estimator
        As in ``HistoryPolicy``.

    Attributes
    ----------
    samples_
        ``RequestSample`` of every SLA.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] PORT: arXiv:2509.02718.
    """

    name = "port"
    rule = "budget"
    needs: ClassVar[tuple[Need, ...]] = ("history", "budget")
    _decision_state: ClassVar[tuple[str, ...]] = ("trackers_", "samples_")

    def __init__(
        self,
        *,
        horizon: int = 10_000,
        alpha: float = 1e-4,
        epsilon: float = 0.025,
        k: int = 5,
        resolve_every: int | None = None,
        reference: bool = False,
        fallback: bool = True,
        estimator: MakeEstimator | None = None,
    ) -> None:
        super().__init__(estimator=estimator, k=k, fallback=fallback)
        fix = "give a number of requests of 1 or more"
        self.horizon = int(check_number("port.horizon", horizon, low=1, fix=fix))
        self.alpha = check_number("port.alpha", alpha, low=1e-12, fix="give a weight above 0")
        self.epsilon = check_number("port.epsilon", epsilon, low=0, high=1, fix="give 0 to 1")
        self.resolve_every = resolve_every
        if resolve_every is not None:
            self.resolve_every = int(
                check_number("port.resolve_every", resolve_every, low=1, fix=fix)
            )
        self.reference = reference
        # At least one request, because the program without requests has no prices.
        self.learn = max(1, math.ceil(self.epsilon * self.horizon))

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start without history and sample."""
        super().start(zoo, slas, dim)
        self.samples_ = {name: self._new_sample() for name in slas}

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return the (M,) scores α·d̂ − γ*·ĝ."""
        return self.alpha * quality - self.samples_[request.sla].prices_ * cost

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve at random while the sample is taken, then by the prices."""
        quality, cost = self.estimate(request)
        if self.samples_[request.sla].seen_ >= self.learn:
            min_score = -np.inf if self.reference else 0.0
            scores = self.rank(request, quality, request.scored(cost))
            choice = self.serve(scores, request, quality, cost, min_score=min_score)
            prices = self.samples_[request.sla].prices_
            return choice._replace(multipliers={"budget_price": float(prices.mean())})
        allowed = np.ones(len(cost)) if request.allowed is None else request.allowed
        models = np.flatnonzero(allowed)
        choices = len(models) + int(self.trackers_[request.sla].limited)
        draw = int(rng.integers(choices))
        propensities = allowed / float(choices)
        if draw == len(models):
            return Choice(DECLINED, (), propensities, True, quality, cost, rule="sample")
        model = int(models[draw])
        return Choice(model, (model,), propensities, True, quality, cost, rule="sample")

    def on_decision(self, decision: Decision) -> None:
        """Add the estimates to the sample; solve for the prices when it is complete or due."""
        super().on_decision(decision)
        sample = self.samples_[decision.sla]
        sample.requests_ += 1
        if not (decision.quality_estimates.any() or decision.cost_estimates.any()):
            return  # The router declined the request before the policy made estimates.
        sample.add(decision.quality_estimates, decision.cost_estimates)
        after = sample.seen_ - self.learn
        due = self.resolve_every is not None and after > 0 and after % self.resolve_every == 0
        if after == 0 or (due and sample.requests_ < self.horizon):
            sample.prices_ = self._solve(decision.sla)

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models; take a new sample if they are not the same as before."""
        changed = list(zoo.names) != self.models_
        super().on_zoo(zoo)
        if changed:
            for sample in self.samples_.values():
                sample.clear(len(zoo))

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start with an empty sample."""
        super().on_slas(slas)
        self.samples_ = {
            name: self.samples_[name] if name in self.samples_ else self._new_sample()
            for name in slas
        }

    def _new_sample(self) -> RequestSample:
        capacity = self.learn if self.resolve_every is None else _MAX_SAMPLE
        return RequestSample(len(self.models_), capacity)

    def _solve(self, sla: str) -> Floats:
        """Return the (M,) prices for the sample's share of the budgets."""
        sample, tracker = self.samples_[sla], self.trackers_[sla]
        quality, cost = sample.estimates()
        if self.resolve_every is None:
            share = len(quality) / self.horizon
            budgets, total = share * tracker.budgets, share * tracker.total_
        else:
            share = len(quality) / max(1, self.horizon - sample.requests_)
            budgets, total = share * tracker.left(), share * tracker.total_left()
        if self.reference:
            return capped_prices(self.alpha * quality, cost, budgets, cap=1.0)
        # Solved with α = 1, because α only scales the prices.
        start = sample.prices_ / self.alpha if sample.prices_.any() else None
        return self.alpha * solve_budgets(quality, cost, budgets, total, start=start).prices
