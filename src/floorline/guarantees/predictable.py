"""Empirical-Bernstein bound for the mean of values whose lower bounds change from one to the next.

``bernstein_lower`` needs one lower bound for all values, known before the first. The values of an
off-policy estimate have lower bounds that follow from the probabilities of each request, from a
hundredth to a hundredfold of the mean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.guarantees.mixture import Prior, cauchy_prior, solve_mixture

Floats = NDArray[np.float64]

_SERIES = 1e-4
"""λc below which ψ is computed by its series, because the logarithm loses its digits."""
_MIN_SLACK = 1e-300


def rates_for(squares: float, alpha: float) -> Prior:
    """Prior over rates λ around the best one for an expected sum of squared deviations.

    Parameters
    ----------
    squares
        Expected sum of (yᵢ − fᵢ)², fixed before the first value. Every number gives a valid bound;
        if the sum is a tenth or tenfold of it, the bound is less than a tenth wider.
    alpha
        Error probability of the bound.
    """
    best = math.sqrt(-2.0 * math.log(alpha) / squares)
    return cauchy_prior(best / 20.0, best * 20.0, centre=best, scale=1.0, count=30)


class MeanLower:
    """Lower bound of the weighted mean of the values' conditional expectations, part by part.

    For each rate λ the product of exp(λ(yᵢ − μᵢ) − ψᵢ(λ)(yᵢ − fᵢ)²), with ψᵢ(λ) =
    (−log(1 − λcᵢ) − λcᵢ)/cᵢ² and yᵢ − fᵢ ≥ −cᵢ, is a test supermartingale as long as λcᵢ < 1 [1]_.
    A rate that is too large for one of the values is dropped, with its weight in the prior. Because
    cᵢ is known before yᵢ, a dropped rate is a bet that stopped, so that the bound stays valid.

    The values may be added in parts of any size, so that they need not be in memory together.

    Parameters
    ----------
    alpha
        Error probability.
    prior
        Prior over the rates, fixed before the first value.

    References
    ----------
    .. [1] Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
       sequences. Annals of Statistics 49 (2021), theorem 4, after Fan, Grama, Liu (2015).
    """

    def __init__(self, alpha: float, prior: Prior) -> None:
        self._threshold = -math.log(alpha)
        self._rates, self._log_weights = prior
        self._penalties = np.zeros(len(self._rates))
        self._count = self._total = 0.0

    def add(self, values: Floats, forecasts: Floats, slack: Floats, weights: Floats) -> None:
        """Add values.

        Parameters
        ----------
        values
            (n,) values yᵢ, in the order in which they came.
        forecasts, slack, weights
            (n,) forecasts fᵢ, bounds cᵢ ≥ fᵢ − yᵢ, and weights of 0 or more of the mean, each known
            before its value.
        """
        c = np.maximum(weights * slack, _MIN_SLACK)
        kept = self._rates * c.max(initial=0.0) < 1.0
        self._rates, self._log_weights = self._rates[kept], self._log_weights[kept]
        squares = (weights * (values - forecasts)) ** 2
        added = [_penalty(rate, c, squares) for rate in self._rates.tolist()]
        self._penalties = self._penalties[kept] + np.array(added)
        self._count += float(weights.sum())
        self._total += float(weights @ values)

    def bound(self) -> float:
        """Return the bound; −∞ if every rate is dropped or the weights are 0."""
        if not len(self._rates) or self._count <= 0.0:
            return -math.inf
        fixed = self._log_weights + self._rates * self._total - self._penalties
        slopes = -self._rates * self._count
        # A single rate with its weight gives a valid bound in closed form; the best one is the
        # start.
        start = ((self._threshold - fixed) / slopes).max()
        bound = solve_mixture(
            np.asarray(start),
            lambda mean: (fixed + slopes * mean[..., None], slopes),
            self._threshold,
        )
        return float(bound)


def _penalty(rate: float, c: Floats, squares: Floats) -> float:
    """Σ ψᵢ(λ)·(yᵢ − fᵢ)²."""
    x = rate * c
    # (−log(1 − x) − x)/x² = 1/2 + x/3 + …
    part = np.where(x < _SERIES, 0.5 + x / 3.0, 0.0)
    large = x >= _SERIES
    part[large] = (-np.log1p(-x[large]) - x[large]) / x[large] ** 2
    return rate**2 * float(part @ squares)
