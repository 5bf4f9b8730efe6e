"""What it costs to keep a floor when a share φ of the labels is seen: bounds, and the optimum.

One stream of T requests, two models of known means and costs, and a floor τ between their means.
With v the variance of a label, what is not seen of the surplus Σ (s − τ) at the horizon has the
standard deviation √((1 − φ)·v·T) to whoever knows the means. To whoever has to learn them from the
same labels, it is √((1 − φ)/φ·v·T): one label then stands for 1/φ responses.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

BLOCKS = 100
"""Decisions of the optimal controller: one for each block of T/100 requests."""


class Case(NamedTuple):
    """Two models, a floor, a stream's length and its share of labels."""

    share: float
    requests: int
    gap: float
    floor: float = 0.75
    low: float = 0.65
    price: float = 10.0

    @property
    def means(self):
        """Means of the cheap model, whose calls cost 1, and of the expensive one."""
        return np.array([self.low, self.floor + self.gap])

    @property
    def costs(self):
        """Costs of their calls."""
        return np.array([1.0, self.price])

    @property
    def mix(self):
        """Share of the expensive model in the static mix, and the cost of the mix."""
        low, high = self.means
        share = (self.floor - low) / (high - low)
        return share, 1.0 + share * (self.price - 1.0)

    @property
    def variance(self):
        """Variance of a label of the static mix, given which model served."""
        share, _ = self.mix
        low, high = self.means * (1.0 - self.means)
        return float((1.0 - share) * low + share * high)

    def unseen(self, *, told):
        """Standard deviation of the surplus at the horizon, given all labels."""
        hidden = (1.0 - self.share) * self.variance * self.requests
        return math.sqrt(hidden if told else hidden / self.share)

    def bound(self, probability, *, told):
        """Cost over the static mix of the extra surplus alone; nan where no model brings it."""
        extra = NormalDist().inv_cdf(probability) * self.unseen(told=told)
        if extra > self.gap * self.requests:
            return math.nan
        low, high = self.means
        per_satisfied = (self.price - 1.0) / (high - low)
        return 1.0 + per_satisfied * extra / (self.requests * self.mix[1])

    @property
    def labels_to_tell(self):
        """Requests until labels tell the expensive model from the floor (two standard errors)."""
        high = self.means[1]
        return 4.0 * high * (1.0 - high) / (self.gap**2 * self.share)


def optimum(case, probability):
    """Least cost over the static mix with which a told controller keeps the floor.

    It knows means, T and φ, sees a share φ of the labels and serves either model in each block. By
    dynamic programming over the seen surplus: least E cost + price·P(floor missed), with the price
    at which the floor is kept with this probability.

    Returns
    -------
    tuple
        Probability with which the floor is kept, and cost over the static mix.
    """
    cheap, dear = 1e-2 * case.requests, 1e3 * case.requests
    for _ in range(14):
        price = math.sqrt(cheap * dear)
        kept, cost = _solve(case, price)
        cheap, dear = (cheap, price) if kept >= probability else (price, dear)
    kept, cost = _solve(case, dear)
    return kept, cost / (case.requests * case.mix[1])


def _solve(case, price):
    """Probability that the floor is kept, and the expected cost, at this price of missing it."""
    block = case.requests / BLOCKS
    drifts = block * (case.means - case.floor)
    sd = math.sqrt(case.share * case.variance * block)
    step = sd / 2.0
    reach = 4.0 * math.sqrt(case.variance * case.requests) + 5.0 * np.abs(drifts).max()
    half = math.ceil(reach / step)
    grid = step * np.arange(-half, half + 1)
    width = math.ceil((5.0 * sd + np.abs(drifts).max()) / step)
    moves = step * np.arange(-width, width + 1)
    kernels = [np.exp(-0.5 * ((moves - drift) / sd) ** 2) for drift in drifts]
    kernels = [kernel / kernel.sum() for kernel in kernels]
    hidden = case.unseen(told=True)
    if hidden > 0.0:
        kept = np.array([0.5 * math.erfc(-x / (hidden * math.sqrt(2.0))) for x in grid])
    else:
        kept = (grid >= 0.0).astype(float)
    cost = np.zeros(len(grid))
    for block_number in range(BLOCKS):
        # Below the grid the floor is given up: the cheap model serves to the end.
        beyond = [
            np.pad(np.pad(part, (0, width), mode="edge"), (width, 0), constant_values=given_up)
            for part, given_up in ((kept, 0.0), (cost, block_number * block))
        ]
        ahead = [
            (
                np.convolve(beyond[0], kernel[::-1], mode="valid"),
                block * call + np.convolve(beyond[1], kernel[::-1], mode="valid"),
            )
            for kernel, call in zip(kernels, case.costs, strict=True)
        ]
        values = [paid - price * surely for surely, paid in ahead]
        dearer = values[1] < values[0]
        kept = np.where(dearer, ahead[1][0], ahead[0][0])
        cost = np.where(dearer, ahead[1][1], ahead[0][1])
    return float(kept[half]), float(cost[half])
