"""Mixtures of test supermartingales over a prior of betting rates, and the bounds they give.

The test supermartingale of one rate λ gives a narrow bound at one sample size only. A mixture over
a fixed grid of rates is a test supermartingale too, and its bounds are nearly as narrow at all
sample sizes (discrete mixtures, Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49 (2021)).
By Ville's inequality the probability that it ever exceeds 1/α is at most α. Every fixed grid and
prior is valid; they decide only at which sample sizes the bounds are narrowest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number

Terms = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Function of x (...) that returns the terms (..., K) of a log-mixture and their derivatives."""

_NEWTON_STEPS = 40
"""Maximum number of Newton steps. For 1 to 10⁷ values, 6 steps reach the tolerance."""
_TOLERANCE = 1e-10
"""Difference of the log-mixture to its threshold at which Newton's method stops."""


class Prior(NamedTuple):
    """Prior over K betting rates.

    Parameters
    ----------
    rates
        (K,) rates λ, geometrically spaced.
    log_weights
        (K,) logarithms of their weights, which sum to 1.
    """

    rates: NDArray[np.float64]
    log_weights: NDArray[np.float64]


def cauchy_prior(low: float, high: float, *, centre: float, scale: float, count: int = 24) -> Prior:
    """Weight the rates in proportion to a Cauchy density of their logarithms.

    The tails are heavy, so a rate far from the centre widens the bounds only by a term of order
    log log of the sample size.

    Parameters
    ----------
    low, high
        Lowest and highest rate.
    centre
        Rate of the highest weight.
    scale
        Scale of the Cauchy density of ln λ.
    count
        Number K of rates.
    """
    rates = np.geomspace(low, high, count)
    weights = 1.0 / (1.0 + (np.log(rates / centre) / scale) ** 2)
    return Prior(rates, np.log(weights / weights.sum()))


def log_mixture(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the logarithm of the sum of exponentials over the last axis: (..., K) to (...)."""
    top = terms.max(axis=-1)
    total: NDArray[np.float64] = top + np.log(np.exp(terms - top[..., None]).sum(axis=-1))
    return total


def solve_mixture(
    start: NDArray[np.float64], terms_at: Terms, threshold: float
) -> NDArray[np.float64]:
    """Solve ``log_mixture(terms_at(x)) = threshold`` by Newton's method from the valid side.

    The terms must be convex in x. Newton's method then approaches the root from the side on which
    the mixture exceeds the threshold and never crosses it, so stopping early gives a valid, wider
    bound.

    Parameters
    ----------
    start
        (...) starting points. Where the mixture is below the threshold, ``start`` is the result.
    terms_at
        The terms of the mixture and their derivatives.
    threshold
        Value of the log-mixture at the root.
    """
    x = start
    for _ in range(_NEWTON_STEPS):
        terms, slopes = terms_at(x)
        value = log_mixture(terms)
        gap = np.maximum(value - threshold, 0.0)
        if not (gap > _TOLERANCE).any():
            break
        x = x - gap / (np.exp(terms - value[..., None]) * slopes).sum(axis=-1)
    return x


def check_delta(delta: float) -> float:
    """Return an error probability that lies strictly between 0 and 1.

    Raises
    ------
    InvalidInput
        If it does not.
    """
    fix = "give a number above 0 and below 1, such as 0.05"
    return check_number("delta", delta, low=math.ulp(0.0), high=1.0 - 2**-53, fix=fix)
