"""A prior over betting rates, and the bounds that a mixture over it gives.

A test supermartingale for one rate λ is sharp at one sample size only. A mixture over a fixed grid
of rates is a test supermartingale too and nearly sharp at all of them (the discrete mixtures of
Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49 (2021)); by Ville's inequality it ever
exceeds 1/α with probability at most α. Any fixed grid and prior are valid; these only decide where
the bounds are sharpest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number

Terms = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""From x (...) to the terms of a log-mixture (..., K) and their derivatives."""

_NEWTON_STEPS = 40
_CLOSE = 1e-10


class Prior(NamedTuple):
    """Rates λ (K,), geometrically spaced, and the logarithms of their weights (K,)."""

    rates: NDArray[np.float64]
    log_weights: NDArray[np.float64]


def cauchy_prior(low: float, high: float, *, centre: float, scale: float, count: int = 24) -> Prior:
    """Spread weights over rates like a Cauchy density of their logarithms.

    Its heavy tails cost only log log of the sample size far away from the centre.
    """
    rates = np.geomspace(low, high, count)
    weights = 1.0 / (1.0 + (np.log(rates / centre) / scale) ** 2)
    return Prior(rates, np.log(weights / weights.sum()))


def log_mixture(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the sum of exponentials over the last axis."""
    top = terms.max(axis=-1)
    total: NDArray[np.float64] = top + np.log(np.exp(terms - top[..., None]).sum(axis=-1))
    return total


def climb(start: NDArray[np.float64], terms_at: Terms, threshold: float) -> NDArray[np.float64]:
    """Solve ``log_mixture(terms_at(x)) = threshold`` by Newton's method from the safe side.

    Terms must be convex in x. Newton's method then approaches the root from the side on which the
    mixture is above the threshold and never crosses it, so that stopping early is conservative.
    Where the mixture is below the threshold at ``start`` already, ``start`` is the answer.
    """
    x = start
    for _ in range(_NEWTON_STEPS):
        terms, slopes = terms_at(x)
        value = log_mixture(terms)
        gap = np.maximum(value - threshold, 0.0)
        if not (gap > _CLOSE).any():
            break
        x = x - gap / (np.exp(terms - value[..., None]) * slopes).sum(axis=-1)
    return x


def check_delta(delta: float) -> float:
    """Return an error probability if it lies strictly between 0 and 1; InvalidInput otherwise."""
    fix = "give a number above 0 and below 1, such as 0.05"
    return check_number("delta", delta, low=math.ulp(0.0), high=1.0 - 2**-53, fix=fix)
