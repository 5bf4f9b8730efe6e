"""PORT: prices of budgets, learned from the first few requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.errors import check_number
from floorline.events import Decision
from floorline.optimization.budget_lp import Floats, capped_prices, solve_budgets
from floorline.policies.base import DECLINED, Choice, Request
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy
from floorline.sla import SLA
from floorline.zoo import Zoo

_MOST = 5000


class RequestSample(Stateful):
    """Estimates of an SLA's latest requests, and the prices γ that were solved on them."""

    def __init__(self, models: int, most: int) -> None:
        self.most_ = most
        self.requests_ = 0
        self.clear(models)

    def clear(self, models: int) -> None:
        """Start anew, for this many models."""
        self.seen_ = 0
        self.quality_ = np.zeros((0, models))
        self.cost_ = np.zeros((0, models))
        self.prices_ = np.zeros(models)

    def add(self, quality: Floats, cost: Floats) -> None:
        """Keep the estimates of one more request, in the place of the oldest when full."""
        slot = self.seen_ % self.most_
        if slot == len(self.quality_):
            room = np.zeros((min(max(64, slot), self.most_ - slot), len(quality)))
            self.quality_ = np.concatenate([self.quality_, room])
            self.cost_ = np.concatenate([self.cost_, room])
        self.quality_[slot], self.cost_[slot] = quality, cost
        self.seen_ += 1

    def kept(self) -> tuple[Floats, Floats]:
        """(n, M) estimates d̂ and ĝ."""
        count = min(self.seen_, self.most_)
        return self.quality_[:count], self.cost_[:count]


class Port(HistoryPolicy):
    """PORT (arXiv 2509.02718, Algorithm 1): budgets per model over a horizon of T requests.

    d̂_m and ĝ_m are means over k neighbours in a labelled history. The first ε·T requests are
    served at random, by one of the models or by nobody; their estimates price the budgets,

        γ* = argmin_{γ ≥ 0}  ε·Σ_m γ_m B_m + Σ_{j ≤ εT} max_m ( α·d̂_{m,j} − γ_m ĝ_{m,j} )⁺

    and from then on argmax_m (α·d̂_m − γ*_m ĝ_m) serves, or nobody where that is negative.

    What the paper leaves open and what we chose: γ* is solved exactly (it says "one-time
    optimisation"); α cancels out of it, so it matters under ``reference`` only; a request that
    finds its model's budget gone goes to the next best one that is worth its price, or is lost as
    in the published runs with ``fallback=False``; when the models change, the sample is taken anew;
    after T requests the last prices hold; where there is no budget at all, nobody is turned
    away, not even while the sample is taken. Budgets are those of the request's SLA, per model and,
    beyond the paper, in all; every SLA has its own sample and prices. Under a renewed budget
    (``Budget.period``), T is the number of requests in a period.

    Parameters
    ----------
    horizon
        T.
    alpha, epsilon, k
        α, ε and k; the paper's by default.
    resolve_every
        Solve again after every so many requests: on the estimates of all so far (the latest 5,000),
        for what is left of the budgets and of the horizon. None solves once, as the paper does.
    reference
        The variant that the authors published as code: it drops the positive part, so that every
        request is served, and bounds γ to [0, 1]. They stop L-BFGS-B somewhere near that optimum;
        here it is exact.
    fallback, estimator
        See ``HistoryPolicy``.
    """

    name = "port"
    _folded: ClassVar[tuple[str, ...]] = ("trackers_", "samples_")

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
        # At least one: the program of no request has no prices.
        self.learn = max(1, math.ceil(self.epsilon * self.horizon))

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with no history and no sample."""
        super().start(zoo, slas, dim)
        self.samples_ = {name: self._new_sample() for name in slas}

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """α·d̂ − γ*·ĝ."""
        return self.alpha * quality - self.samples_[request.sla].prices_ * cost

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve at random while the sample is taken, then by price."""
        quality, cost = self.estimate(request)
        if self.samples_[request.sla].seen_ >= self.learn:
            least = -np.inf if self.reference else 0.0
            scores = self.rank(request, quality, cost)
            return self.serve(scores, request, quality, cost, least=least)
        allowed = np.ones(len(cost)) if request.allowed is None else request.allowed
        models = np.flatnonzero(allowed)
        choices = len(models) + int(self.trackers_[request.sla].limited)
        draw = int(rng.integers(choices))
        propensities = allowed / float(choices)
        if draw == len(models):
            return Choice(DECLINED, (), propensities, True, quality, cost)
        model = int(models[draw])
        return Choice(model, (model,), propensities, True, quality, cost)

    def on_decision(self, decision: Decision) -> None:
        """Keep the estimates; solve for the prices when it is time to."""
        super().on_decision(decision)
        sample = self.samples_[decision.sla]
        sample.requests_ += 1
        if not (decision.quality_estimates.any() or decision.cost_estimates.any()):
            return  # The router turned it away before anything was estimated.
        sample.add(decision.quality_estimates, decision.cost_estimates)
        more = sample.seen_ - self.learn
        again = self.resolve_every is not None and more > 0 and more % self.resolve_every == 0
        if more == 0 or (again and sample.requests_ < self.horizon):
            sample.prices_ = self._solve(decision.sla)

    def on_zoo(self, zoo: Zoo) -> None:
        """Take the sample anew if other models serve now."""
        changed = list(zoo.names) != self.models_
        super().on_zoo(zoo)
        if changed:
            for sample in self.samples_.values():
                sample.clear(len(zoo))

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Begin a sample for new SLAs."""
        super().on_slas(slas)
        self.samples_ = {
            name: self.samples_[name] if name in self.samples_ else self._new_sample()
            for name in slas
        }

    def _new_sample(self) -> RequestSample:
        return RequestSample(len(self.models_), self.learn if self.resolve_every is None else _MOST)

    def _solve(self, sla: str) -> Floats:
        """(M,) prices of the budgets that fall to the sampled requests."""
        sample, tracker = self.samples_[sla], self.trackers_[sla]
        quality, cost = sample.kept()
        if self.resolve_every is None:
            share = len(quality) / self.horizon
            budgets, total = share * tracker.budgets, share * tracker.total_
        else:
            share = len(quality) / max(1, self.horizon - sample.requests_)
            budgets, total = share * tracker.left(), share * tracker.total_left()
        if self.reference:
            return capped_prices(self.alpha * quality, cost, budgets, cap=1.0)
        # In units of α, which only scales the prices.
        start = sample.prices_ / self.alpha if sample.prices_.any() else None
        return self.alpha * solve_budgets(quality, cost, budgets, total, start=start).prices
