"""Three ways to decide: under a budget, by prompts, and by the static mix."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from floorline.policies.base import DECLINED, Request, lowest
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.conversation import FutureCosts, design_effect
from floorline.policies.primal_dual.change_detector import ChangeDetector
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_curve import PriceCurve
from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import StaticMixController
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

BUDGET, PROMPTS, CONVERSATION = "budget", "prompts", "conversation"
"""Names of the rules by which a decision was made; those of the static mix are its controller's."""


class Situation(NamedTuple):
    """What a strategy decides on.

    ``quality`` and ``cost`` (M,) are the estimates q̃(x) and ĉ(x); ``estimate`` and ``account`` are
    those of the request's SLA; ``detector`` says which models changed or joined lately.
    ``future`` prices the later turns of the request's conversation, None where there are none.
    """

    request: Request
    quality: Floats
    cost: Floats
    estimate: SurplusEstimate
    account: SurplusEstimator
    posterior: QualityPosterior
    detector: ChangeDetector
    future: FutureCosts | None = None

    def future_cost(self, price: float) -> Floats | None:
        """(M,) cost that serving each model now adds to later turns, at a price of satisfaction."""
        if self.future is None:
            return None
        return self.future.addend(price, self.request.allowed)

    @property
    def design_effect(self) -> float:
        """How many times the variance of a sum of labels is that of independent ones."""
        turn = self.request.turn
        return 1.0 if turn is None else design_effect(turn.length)

    @property
    def scored(self) -> Floats:
        """(M,) ĉ(x), with what serving each model costs beside its call."""
        return self.request.scored(self.cost)


class Served(NamedTuple):
    """What a strategy returns.

    Attributes
    ----------
    model
        Position of the model that serves; ``DECLINED`` for none.
    able
        Mask (M,) of the models that may be tried instead; None for all.
    rule
        Name of the strategy, for explanations.
    scores
        (M,) numbers by which models were compared, the lowest is best; infinite for those that were
        not.
    multipliers
        What the strategy weighed by; docs/explanations.md has the units.
    explore
        Whether another model may be tried now.
    future_cost
        What serving each model (M,) was taken to cost later turns; None for nothing.
    """

    model: int
    able: NDArray[np.bool_] | None
    rule: str
    scores: Floats
    multipliers: dict[str, float]
    explore: bool = True
    future_cost: Floats | None = None


class Strategy(Protocol):
    """One way to decide which model serves."""

    def serve(self, situation: Situation) -> Served:
        """Choose a model."""
        ...


class BudgetStrategy(NamedTuple):
    """The most satisfaction for the budget: argmin of prices·ĉ − weight·q, or decline.

    q is optimistic, so that budget which no model earns on its mean goes to exploration. A
    shortfall against the floor weighs satisfaction up, so that at least τ is aimed at.
    """

    config: PrimalDualConfig
    pacing: Pacing

    def serve(self, situation: Situation) -> Served:
        """Choose among the models that the pace of spending allows."""
        config, cost, able = self.config, situation.cost, situation.request.allowed
        shortfall = max(0.0, situation.estimate.shortfall)
        weight = 1.0 + shortfall / math.sqrt(config.correction_requests)
        optimistic = situation.quality + config.optimism_sds * situation.posterior.sd_
        prices = self.pacing.prices
        score = prices * cost - weight * optimistic
        price = float(prices.mean())
        multipliers = {"budget_price": price, "satisfaction_weight": weight}
        future = situation.future_cost(weight / price) if price > 0.0 else None
        if future is not None:
            score = score + prices * future
        paced = self.pacing.within_pace(cost)
        able = paced if able is None else able & paced
        scores = np.where(able, score + self._lateness(situation), np.inf)
        served = int(scores.argmin())
        worthless = score[served] > 0.0 and not self.pacing.untouched
        if not able[served] or worthless:
            return Served(DECLINED, able, BUDGET, scores, multipliers)
        return Served(served, able, BUDGET, scores, multipliers, future_cost=future)

    def _lateness(self, situation: Situation) -> Floats | float:
        """(M,) satisfaction that what a model costs beside its call stands for; 0 for nothing.

        It is at what money is worth where the budget is short, and at least at one satisfied
        request per most expensive call: being late is to count where money does not.
        """
        if situation.request.added_cost is None:
            return 0.0
        worth = max(float(self.pacing.prices.max()), 1.0 / max(float(situation.cost.max()), 1e-300))
        return np.asarray(worth * situation.request.added_cost)


class PromptStrategy(NamedTuple):
    """The floor's Lagrangian on prompts: argmin ĉ(x) − λ·q̃(x), λ read from the price curve.

    λ is the price at which the latest requests just meet the floor, and a little more to work off
    a shortfall. Models that changed or joined are estimated optimistically, since only labels of
    theirs show whether they are better than they seem.
    """

    config: PrimalDualConfig
    price_curve: PriceCurve

    def serve(self, situation: Situation) -> Served:
        """Choose the model of the lowest cost less worth."""
        able = situation.request.allowed
        posterior = situation.posterior
        sd = posterior.sd_ * situation.detector.uncertain(posterior.labels_)
        optimistic = situation.quality + self.config.optimism_sds * sd
        price, cost = self.price(situation), situation.scored
        future = later_costs(situation, self.price_curve)
        if future is not None:
            cost = cost + future
        scores = cost - price * optimistic
        multipliers = {"satisfaction_price": price, "surplus": situation.estimate.surplus}
        served = lowest(scores, able)
        return Served(served, able, PROMPTS, scores, multipliers, future_cost=future)

    def price(self, situation: Situation) -> float:
        """λ for the floor and what is short of it, at most what the static mix pays for that."""
        floor = situation.account.comparable_floor(situation.request.floor)
        price = self.price_curve.price(self.target(situation))
        most = price_of_surplus(
            situation.posterior.mean_, situation.scored, floor, situation.request.allowed
        )
        # The floor itself is met at whatever price.
        return min(price, max(most, self.price_curve.price(floor)))

    def target(self, situation: Situation) -> float:
        """Mean satisfaction that the price aims at: the floor, and what is short of it."""
        config, account = self.config, situation.account
        horizon = correction_horizon(account, config)
        drift = math.sqrt(situation.design_effect) * surplus_drift_sd(situation.posterior, horizon)
        target = config.target_surplus_sds * drift
        shortfall = situation.estimate.shortfall + target
        return account.comparable_floor(situation.request.floor) + shortfall / horizon


class ConversationStrategy(NamedTuple):
    """The floor's Lagrangian on the means: argmin ĉ(x) + V(x) − λ·(μ + optimism).

    Within conversations the costs of requests differ by far, also where prompts tell nothing: by
    the length of the context, and by what each provider has cached of it. So the price λ of
    satisfaction chooses the requests where satisfaction costs least, and a switch of models has to
    be worth the cached prompt that it throws away, V being what it costs the later turns. Models
    with few labels are estimated optimistically, as by the static mix.

    The price curve knows satisfaction as it was estimated some hundred requests ago. So a shortfall
    that only the static mix's best model works off in time is left to the static mix. It also tries
    models again that were unlucky, where no mean reaches the floor.
    """

    config: PrimalDualConfig
    price_curve: PriceCurve

    def serve(self, situation: Situation) -> Served:
        """Choose the model of the lowest cost, now and later, less worth."""
        target = self.target(situation)
        if target is None:
            return StaticMixStrategy(self.config).serve(situation)
        posterior, able = situation.posterior, situation.request.allowed
        price = self.price_curve.price(target)
        future, cost = later_costs(situation, self.price_curve), situation.scored
        if future is not None:
            cost = cost + future
        optimism = StaticMixController(self.config).optimism(situation.account)
        scores = cost - price * (posterior.mean_ + optimism * posterior.sd_)
        multipliers = {
            "satisfaction_price": price,
            "optimism_sds": optimism,
            "surplus": situation.estimate.surplus,
        }
        served = lowest(scores, able)
        return Served(served, able, CONVERSATION, scores, multipliers, future_cost=future)

    def target(self, situation: Situation) -> float | None:
        """Mean satisfaction that the price aims at; None where the static mix is to decide.

        It is at most that of the model by which the static mix works a shortfall off: the
        satisfaction above costs far more.
        """
        target = PromptStrategy(self.config, self.price_curve).target(situation)
        mean = situation.posterior.mean_
        floor = situation.account.comparable_floor(situation.request.floor)
        cost = situation.cost if situation.future is None else situation.future.later
        high = most_efficient(mean, cost, floor, situation.request.allowed)
        most = math.inf if high is None else float(mean[high])
        if situation.estimate.surplus < 0.0 and (high is None or target > most):
            return None
        return min(target, most)


class StaticMixStrategy(NamedTuple):
    """The static mix on what is known of the models; prompts play no part.

    It explores while its buffer is in hand: before, a trial's loss of satisfaction would have to be
    bought back first.
    """

    config: PrimalDualConfig

    def serve(self, situation: Situation) -> Served:
        """Choose by the static mix."""
        request = situation.request
        served, buffered, scores, rule, multipliers = StaticMixController(self.config).serve(
            situation.scored,
            request.allowed,
            request.floor,
            situation.posterior,
            situation.account,
            situation.estimate,
        )
        return Served(served, request.allowed, rule, scores, multipliers, buffered)


def later_costs(situation: Situation, curve: PriceCurve) -> Floats | None:
    """(M,) cost that serving each model now adds to later turns, at the price of the floor itself.

    What is short of the floor now is worked off before most of these turns, so it plays no part.
    """
    if situation.future is None:
        return None
    floor = situation.account.comparable_floor(situation.request.floor)
    return situation.future_cost(curve.price(floor))


def correction_horizon(account: SurplusEstimator, config: PrimalDualConfig) -> float:
    """Requests H over which prompts work off a deviation of an SLA's surplus.

    Correction over H requests varies what is asked for by a variance of v/2H, and cost is convex in
    that: it costs a share of every request that is proportional to 1/H. It also needs a surplus in
    hand that is proportional to √H, which is bought once. Over n requests the sum is least at an H
    proportional to n^(2/3), and a stream that has lasted n requests is expected to last n more.
    With a share φ of labels the estimate of the surplus varies as that of n/φ requests does.
    """
    requests = max(1, account.requests_) / account.label_rate
    return float(min(requests ** (2.0 / 3.0), config.price_horizon_requests))


def surplus_drift_sd(posterior: QualityPosterior, horizon: float) -> float:
    """Standard deviation of the surplus under correction over H requests, in satisfied requests.

    An Ornstein-Uhlenbeck process with variance v per request, pulled back over H requests, has the
    stationary variance v·H/2.
    """
    return math.sqrt(0.5 * posterior.variance * horizon)


def price_of_surplus(
    mean: Floats, cost: Floats, floor: float, allowed: NDArray[np.bool_] | None
) -> float:
    """Least cost per satisfied request above the floor, of the means (M,); infinite if none is.

    Examples
    --------
    >>> price_of_surplus(np.array([0.5, 0.75, 1.0]), np.array([1.0, 2.0, 3.0]), 0.5, None)
    6.0
    """
    best = most_efficient(mean, cost, floor, allowed)
    return math.inf if best is None else float(cost[best] / (mean[best] - floor))


def most_efficient(
    mean: Floats, cost: Floats, floor: float, allowed: NDArray[np.bool_] | None
) -> int | None:
    """Position of the model with the least cost per satisfied request above the floor; None if the
    means (M,) of all are below it.
    """
    price, means = cost.tolist(), mean.tolist()
    able = range(len(price))
    above = [m for m in able if means[m] > floor and (allowed is None or allowed[m])]
    return min(above, key=lambda m: price[m] / (means[m] - floor), default=None)
