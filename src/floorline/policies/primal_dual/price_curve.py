"""Mean estimated satisfaction at every price of satisfaction, from which a floor's price is read.

The Lagrangian of a floor serves argmin_m ĉ_m − λ·q̂_m, and the mean q̂ that this serves rises with λ.
Solving for the λ that meets a floor (``optimization.floor_lp.floor_price``) goes through all
requests anew for every guess. Here the mean is followed at a fixed set of prices, each a running
mean that one request moves a little: no request waits for a solution, and one curve serves every
floor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.policies.primal_dual.config import PrimalDualConfig

Floats = NDArray[np.float64]

_DECADES = 5
"""Powers of ten that the grid reaches in both directions from the cost of the most expensive call.
A numerical bound: beyond it either cost or satisfaction alone decides."""


class PriceCurve(Stateful):
    """Mean q̂ that argmin ĉ − λ·q̂ serves, for a grid of prices λ.

    Parameters
    ----------
    unit
        Cost of a call to the most expensive model, which sets the scale of prices.
    config
        Constants.

    Attributes
    ----------
    prices_
        (K,) prices λ, in cost per unit of satisfaction.
    mean_
        (K,) mean q̂ that each of them serves.

    Examples
    --------
    >>> curve = PriceCurve(5.0, PrimalDualConfig())
    >>> gains = np.linspace(0.01, 0.7, 100)[:, None]
    >>> curve.see_many(0.2 + gains * [0.0, 1.0], np.tile([1.0, 5.0], (100, 1)))
    >>> 4 / 0.45 < curve.price(0.45) < 4 / 0.25
    True
    """

    def __init__(self, unit: float, config: PrimalDualConfig) -> None:
        self.config = config
        self.seen_ = 0
        self.mean_ = np.zeros(config.price_grid_points)
        self.prices_ = np.zeros(config.price_grid_points)
        self.restart(unit)

    def restart(self, unit: float) -> None:
        """Forget all requests, since models or prices have changed."""
        config = self.config
        grid = np.logspace(-_DECADES, _DECADES, config.price_grid_points)
        self.prices_ = grid * (unit or 1.0)
        self.mean_ = np.zeros(config.price_grid_points)
        self.seen_ = 0

    def see(self, quality: Floats, cost: Floats) -> None:
        """Count one request's estimates (M,)."""
        # A product of matrices, which takes half as long as one that is broadcast.
        served = (cost - np.dot(self.prices_[:, None], quality[None, :])).argmin(axis=1)
        self.seen_ += 1
        self.mean_ += (quality[served] - self.mean_) / min(
            self.seen_, self.config.price_horizon_requests
        )

    def see_many(self, quality: Floats, cost: Floats) -> None:
        """Count estimates (n, M), one after the other."""
        for row, paid in zip(quality, cost, strict=True):
            self.see(row, paid)

    def price(self, floor: float) -> float:
        """λ, in cost per unit of satisfaction, at which mean q̂ is ``floor``.

        The lowest or highest price of the grid where there is none; before any request the highest,
        at which the best model serves.
        """
        mean, points = self.mean_, len(self.mean_)
        at = int(mean.searchsorted(floor)) if self.seen_ else points
        if at in (0, points):
            return float(self.prices_[max(0, at - 1)])
        low, high = mean[at - 1 : at + 1].tolist()
        share = (floor - low) / (high - low)
        below, above = self.prices_[at - 1 : at + 1].tolist()
        return float(below * (above / below) ** share)
