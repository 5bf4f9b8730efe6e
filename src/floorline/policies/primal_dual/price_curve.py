"""What satisfaction every price of it would buy on the latest requests: a floor's price, read off.

The Lagrangian of a floor serves argmin_m ĉ_m − λ·q̂_m, and the mean q̂ that this serves rises with λ.
Solving for the λ that meets a floor (``optima.floor_price``) goes through all requests anew for
every guess. Here a fixed set of guesses is followed instead, each a running mean that one request
moves a little: no request waits for a solution, and one curve serves every floor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.errors import check_number

Floats = NDArray[np.float64]

_LOWEST, _HIGHEST, _POINTS = 1e-5, 1e4, 73
_KEEP = 50


class PriceCurve(Stateful):
    """Mean q̂ that argmin ĉ − λ·q̂ serves, for prices λ from 1e-5 to 10,000 times ``unit``.

    Parameters
    ----------
    unit
        Cost of a call to the dearest model, which sets the scale of prices.
    memory
        Number of latest requests that count, with weights that decay.

    Examples
    --------
    >>> frontier = PriceCurve(unit=5.0)
    >>> gains = np.linspace(0.01, 0.7, 100)[:, None]
    >>> frontier.see_many(0.2 + gains * [0.0, 1.0], np.tile([1.0, 5.0], (100, 1)))
    >>> 4 / 0.45 < frontier.price(0.45) < 4 / 0.25
    True
    """

    def __init__(self, unit: float, *, memory: int = 2000) -> None:
        fix = "give a number of requests of 1 or more"
        self.memory = int(check_number("frontier.memory", memory, low=1, fix=fix))
        self.seen_ = 0
        self.mean_ = np.zeros(_POINTS)
        self.prices_ = np.zeros(_POINTS)
        self.restart(unit)

    def restart(self, unit: float) -> None:
        """Forget all requests, since models or prices are others now."""
        self.prices_ = np.geomspace(_LOWEST, _HIGHEST, _POINTS) * (unit or 1.0)
        self.mean_ = np.zeros(_POINTS)
        self.seen_ = 0

    def forget(self) -> None:
        """Let requests so far count for few, since they were estimated otherwise than now."""
        self.seen_ = min(self.seen_, _KEEP)

    def see(self, quality: Floats, cost: Floats) -> None:
        """Count one request's estimates (M,)."""
        # A product of matrices, which takes half as long as one that is broadcast.
        served = (cost - np.dot(self.prices_[:, None], quality[None, :])).argmin(axis=1)
        self.seen_ += 1
        self.mean_ += (quality[served] - self.mean_) / min(self.seen_, self.memory)

    def see_many(self, quality: Floats, cost: Floats) -> None:
        """Count estimates (n, M), one after the other."""
        for row, paid in zip(quality, cost, strict=True):
            self.see(row, paid)

    def price(self, floor: float) -> float:
        """λ, in cost per unit of satisfaction, at which mean q̂ is ``floor``.

        The lowest or highest price of the range where none is; before any request the highest, at
        which the best model serves.
        """
        mean = self.mean_
        at = int(mean.searchsorted(floor)) if self.seen_ else _POINTS
        if at in (0, _POINTS):
            return float(self.prices_[max(0, at - 1)])
        low, high = mean[at - 1 : at + 1].tolist()
        share = (floor - low) / (high - low)
        below, above = self.prices_[at - 1 : at + 1].tolist()
        return float(below * (above / below) ** share)
