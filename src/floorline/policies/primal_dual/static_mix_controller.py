"""The static mix on what is known of the models, kept on course by feedback."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator
from floorline.policies.primal_dual.upper_bounds import highest_bound, upper_bounds

_PEAK = 0.3989422804014327
"""Density of the standard normal at 0: E max(0, X) ≤ max(0, mean) + 0.399·sd."""
_LEAST_DRIFT = 1e-12
"""Bounds the depth of a random walk without drift. A numerical bound."""


STATIC_MIX, OUT_OF_REACH = "static mix", "floor out of reach"
"""Names of the rules: the mix, and what serves where every model is eliminated."""


class MixChoice(NamedTuple):
    """What the controller returns.

    Attributes
    ----------
    model
        Position of the model that serves.
    buffered
        Whether the buffer is in hand.
    scores
        (M,) numbers by which models were compared, the lowest is best: below the buffer the cost
        per expected improvement, above it the cost of the mix; the negative satisfaction where the
        floor is out of reach. Infinite for models that were not considered.
    rule
        ``STATIC_MIX`` or ``OUT_OF_REACH``.
    multipliers
        Surplus and buffer in satisfied requests, and the optimism in standard deviations.
    """

    model: int
    buffered: bool
    scores: Floats
    rule: str
    multipliers: dict[str, float]


class StaticMixController(NamedTuple):
    """The model with the lowest cost per improvement over the floor, and its cheapest partner.

    While less than a buffer is in hand the first serves, so that an uncertain expensive model has
    to be worth trying; while there is more, the one that makes the cheapest mix with it. Both are
    optimistic: a model that few labels speak against is tried, and so shown right or wrong.

    Parameters
    ----------
    config
        Constants.

    Examples
    --------
    >>> from floorline.zoo import Model, Zoo
    >>> config = PrimalDualConfig(optimism_sds=1.0)
    >>> zoo = Zoo([Model("s", call_price=1.0), Model("l", call_price=9.0)])
    >>> posterior = QualityPosterior(zoo, 0.8, config)
    >>> for _ in range(500):
    ...     posterior.learn(0, 0.7)
    ...     posterior.learn(1, 0.9)
    >>> controller, account = StaticMixController(config), SurplusEstimator(["s", "l"], config)
    >>> cost = np.array([1.0, 9.0])
    >>> estimates = SurplusEstimate(-1.0), SurplusEstimate(99.0)
    >>> [controller.serve(cost, None, 0.8, posterior, account, each).model for each in estimates]
    [1, 0]
    """

    config: PrimalDualConfig

    def serve(
        self,
        cost: Floats,
        allowed: NDArray[np.bool_] | None,
        floor: float,
        posterior: QualityPosterior,
        account: SurplusEstimator,
        estimate: SurplusEstimate,
    ) -> MixChoice:
        """Choose the model that serves, at these costs (M,) per call."""
        config = self.config
        surplus = estimate.surplus
        floor = account.comparable_floor(floor)
        price, mean = cost.tolist(), posterior.mean_.tolist()
        able = range(len(price)) if allowed is None else np.flatnonzero(allowed).tolist()
        optimism = self.optimism(account)
        spread = (optimism * posterior.sd_).tolist()
        need = floor + max(0.0, -surplus) / (config.correction_requests + account.requests_)
        scores = [math.inf] * len(price)
        multipliers = {"surplus": surplus, "optimism_sds": optimism}
        high = self._most_efficient(price, mean, spread, able, need, scores)
        if high is None:
            model = self._out_of_reach(price, posterior, able, surplus, scores)
            return MixChoice(model, False, np.array(scores), OUT_OF_REACH, multipliers)
        drift = max(improvement(mean[high] - floor, spread[high]), _LEAST_DRIFT)
        # Mean depth of a random walk with this drift.
        walk = posterior.variance / (2.0 * drift)
        multipliers["buffer"] = buffer = estimate.target(walk)
        if surplus < buffer:
            return MixChoice(high, False, np.array(scores), STATIC_MIX, multipliers)
        scores = [math.inf] * len(price)
        model = self._partner(price, mean, spread, able, floor, high, drift, scores)
        return MixChoice(model, True, np.array(scores), STATIC_MIX, multipliers)

    def _out_of_reach(
        self,
        price: list[float],
        posterior: QualityPosterior,
        able: range | list[int],
        surplus: float,
        scores: list[float],
    ) -> int:
        """Model that serves where every one is eliminated; see ``highest_bound``."""
        if surplus < 0.0:
            labels, total = posterior.labels_.tolist(), posterior.sum_.tolist()
            for m, bound in upper_bounds(labels, total, able).items():
                scores[m] = -bound
            return highest_bound(labels, total, price, able)
        mean = posterior.mean_.tolist()
        for m in able:
            scores[m] = -mean[m]
        return max(able, key=lambda m: (mean[m], -price[m]))

    def optimism(self, account: SurplusEstimator) -> float:
        """Standard deviations that count as possible improvement.

        A trial pays where labels will tell: optimism is halved where a shortfall is worked off
        before there are labels that tell something.
        """
        config = self.config
        labels = account.label_rate * config.correction_requests
        return config.optimism_sds * labels / (labels + config.informative_labels)

    def _most_efficient(
        self,
        price: list[float],
        mean: list[float],
        spread: list[float],
        able: range | list[int],
        need: float,
        scores: list[float],
    ) -> int | None:
        """Model of the lowest cost per expected improvement; None if every one is eliminated.

        A model whose mean is below what is needed is expected to lose satisfaction, which has to be
        bought back: a share of that is charged to it, at the lowest cost per improvement. Sets the
        ``scores`` of the models that are not eliminated.
        """
        gains: list[tuple[int, float, float]] = []
        lowest = math.inf
        for m in able:
            distance = mean[m] - need
            if distance < -self.config.significance_sds * spread[m]:
                continue
            gain = improvement(distance, spread[m])
            if gain > 0.0:
                gains.append((m, gain, distance))
                lowest = min(lowest, price[m] / gain)
        if not gains:
            return None
        charge = self.config.risk_charge * lowest
        for m, gain, distance in gains:
            scores[m] = (price[m] + charge * max(0.0, -distance)) / gain
        return scores.index(min(scores))

    def _partner(
        self,
        price: list[float],
        mean: list[float],
        spread: list[float],
        able: range | list[int],
        floor: float,
        high: int,
        drift: float,
        scores: list[float],
    ) -> int:
        """Cheaper model whose mix with ``high`` meets the floor at the least cost, or ``high``.

        ``drift`` is how far ``high`` is counted to lie above the floor. Sets the ``scores`` of
        ``high`` and of the cheaper models.
        """
        best, lowest = high, price[high]
        scores[high] = lowest
        for low in able:
            if price[low] < price[high]:
                missing = max(0.0, floor - mean[low] - spread[low])
                share = missing / (missing + drift)
                scores[low] = mix = share * price[high] + (1.0 - share) * price[low]
                if mix < lowest:
                    best, lowest = low, mix
        return best


def improvement(distance: float, sd: float) -> float:
    """E max(0, X) of a normal X with mean ``distance``: what trying a model may bring.

    Examples
    --------
    >>> round(improvement(0.0, 1.0), 3), improvement(0.2, 0.0)
    (0.399, 0.2)
    """
    if sd <= 0.0:
        return max(0.0, distance)
    z = distance / sd
    density = math.exp(-0.5 * z * z) * _PEAK
    return sd * density + distance * 0.5 * math.erfc(-z * 0.7071067811865476)
