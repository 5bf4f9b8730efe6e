"""Who serves on what is known of the models alone: a static mix, held on course by feedback."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

_CALM = 0.75
"""Share of the optimism while nothing is short."""

_HEARD = 0.04
"""Share of labelled responses at which optimism halves: hope that nobody would find out is dear."""

_LEAST_DRIFT = 0.003
_HOPELESS = 3.0
"""Standard deviations, as multiples of what is hoped, below the need from which on a model has no
chance. If none has one, the best serves: doubt about the others is no reason for them."""


class StaticMixController(NamedTuple):
    """The model with the lowest cost per improvement over the floor, and its cheapest partner.

    While less than a buffer is in hand the first serves, so that an uncertain dear model has to be
    worth trying; while there is more, the one that makes the cheapest mix with it.

    Parameters
    ----------
    patience
        Number of requests, beside those so far, over which a shortfall is worked off.
    optimism
        Standard deviations, as a multiple, that count as possible improvement; fewer where few
        responses get labels.
    buffer, reach
        What to have in hand in units of the random walk's own scale, and at most ``reach`` of the
        drift gained so far.

    Examples
    --------
    >>> from floorline.zoo import Model, Zoo
    >>> zoo = Zoo([Model("s", call_price=1.0), Model("l", call_price=9.0)])
    >>> levels = QualityPosterior(zoo, 0.8)
    >>> for _ in range(500):
    ...     levels.learn(0, 0.7)
    ...     levels.learn(1, 0.9)
    >>> rungs = StaticMixController(patience=3000.0, optimism=1.0, buffer=4.0, reach=1.0)
    >>> account = SurplusEstimator(["s", "l"])
    >>> cost = np.array([1.0, 9.0])
    >>> estimates = SurplusEstimate(-1.0, 0.0), SurplusEstimate(99.0, 0.0)
    >>> [rungs.serve(cost, None, 0.8, levels, account, estimate) for estimate in estimates]
    [1, 0]
    """

    patience: float
    optimism: float
    buffer: float
    reach: float

    def serve(
        self,
        cost: Floats,
        allowed: NDArray[np.bool_] | None,
        floor: float,
        levels: QualityPosterior,
        account: SurplusEstimator,
        in_hand: SurplusEstimate,
    ) -> int:
        """Position of the model whose turn it is, at these costs (M,) per call."""
        surplus, guard = in_hand
        floor = account.asked(floor)
        price, mean, doubt = cost.tolist(), levels.mean_.tolist(), levels.sd_.tolist()
        able = range(len(price)) if allowed is None else np.flatnonzero(allowed).tolist()
        need = floor + max(0.0, -surplus) / (self.patience + account.requests_)
        # Not knowing the surplus is no reason for a dearer model; only falling short is.
        heard = (float(account.labels_.sum()) + 10.0) / (account.requests_ + 10.0)
        hope = self.optimism * (1.0 if surplus < 0.0 else _CALM) * heard / (heard + _HEARD)
        high, dearness = -1, math.inf
        for m in able:
            distance, sd = mean[m] - need, hope * doubt[m]
            if distance < -_HOPELESS * sd:
                continue
            # More than it can be; spares most models what an improvement takes to work out.
            if price[m] >= dearness * (max(0.0, distance) + 0.4 * sd):
                continue
            gain = improvement(distance, sd)
            if price[m] < dearness * gain:
                high, dearness = m, price[m] / gain
        if high < 0:
            return max(able, key=lambda m: (mean[m], -price[m]))
        drift = max(mean[high] - floor, 0.5 * doubt[high], _LEAST_DRIFT)
        # Against the random walk, as far as it can be earned.
        walk = self.buffer * levels.variance / (2.0 * drift)
        if surplus < guard + min(walk, self.reach * drift * account.requests_):
            return high
        best, lowest = high, price[high]
        top = max(mean[high], floor + _LEAST_DRIFT)
        for low in able:
            if price[low] < price[high]:
                hoped = mean[low] + 0.5 * doubt[low]
                share = max(0.0, (floor - hoped) / (top - hoped)) if hoped < top else 0.0
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
    density = math.exp(-0.5 * z * z) * 0.3989422804014327
    return sd * density + distance * 0.5 * math.erfc(-z * 0.7071067811865476)
