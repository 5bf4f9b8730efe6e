"""The static mix on what is known of the models, kept on course by feedback."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator
from floorline.policies.primal_dual.upper_bounds import highest_bound

_PEAK = 0.3989422804014327
"""Density of the standard normal at 0: E max(0, X) ≤ max(0, mean) + 0.399·sd."""
_LEAST_DRIFT = 1e-12
"""Bounds the depth of a random walk without drift. A numerical bound."""


class MixChoice(NamedTuple):
    """Position of the model that serves, and whether the buffer is in hand."""

    model: int
    buffered: bool


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
        spread = (self.optimism(account) * posterior.sd_).tolist()
        need = floor + max(0.0, -surplus) / (config.correction_requests + account.requests_)
        high = self._most_efficient(price, mean, spread, able, need)
        if high is None:
            return MixChoice(self._out_of_reach(price, posterior, able, surplus), False)
        drift = max(improvement(mean[high] - floor, spread[high]), _LEAST_DRIFT)
        # Mean depth of a random walk with this drift.
        walk = posterior.variance / (2.0 * drift)
        if surplus < estimate.target(walk):
            return MixChoice(high, False)
        return MixChoice(self._partner(price, mean, spread, able, floor, high, drift), True)

    def _out_of_reach(
        self,
        price: list[float],
        posterior: QualityPosterior,
        able: range | list[int],
        surplus: float,
    ) -> int:
        """Model that serves where every one is eliminated; see ``highest_bound``."""
        if surplus < 0.0:
            labels, total = posterior.labels_.tolist(), posterior.sum_.tolist()
            return highest_bound(labels, total, price, able)
        mean = posterior.mean_.tolist()
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
    ) -> int | None:
        """Model of the lowest cost per expected improvement; None if every one is eliminated.

        A model whose mean is below what is needed is expected to lose satisfaction, which has to be
        bought back: a share of that is charged to it, at the lowest cost per improvement.
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
        return min(gains, key=lambda g: (price[g[0]] + charge * max(0.0, -g[2])) / g[1])[0]

    def _partner(
        self,
        price: list[float],
        mean: list[float],
        spread: list[float],
        able: range | list[int],
        floor: float,
        high: int,
        drift: float,
    ) -> int:
        """Cheaper model whose mix with ``high`` meets the floor at the least cost, or ``high``.

        ``drift`` is how far ``high`` is counted to lie above the floor.
        """
        best, lowest = high, price[high]
        for low in able:
            if price[low] < price[high]:
                missing = max(0.0, floor - mean[low] - spread[low])
                share = missing / (missing + drift)
                mix = share * price[high] + (1.0 - share) * price[low]
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
