"""Anytime-valid intervals for the mean of a stream."""

from __future__ import annotations

import math

from floorline.errors import InvalidInput


def hoeffding_radius(n: int, delta: float) -> float:
    """Half-width of a two-sided confidence sequence for the mean of n values in [0, 1].

    With probability at least 1 − delta the running mean is within this radius of the mean at
    *every* n at once, so that one may look at any time. Polynomial stitching for 1/2-sub-Gaussian
    values: Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49 (2021), equation (2).

    Raises
    ------
    InvalidInput
        If n is negative or delta outside (0, 1).

    Examples
    --------
    >>> hoeffding_radius(0, 0.05), round(hoeffding_radius(10_000, 0.05), 4)
    (1.0, 0.0211)
    """
    if n < 0:
        raise InvalidInput("n", n, "give a number of values of 0 or more")
    if not 0.0 < delta < 1.0:
        raise InvalidInput("delta", delta, "give a number above 0 and below 1")
    if n == 0:
        return 1.0
    iterated_log = math.log(math.log(max(2.0 * n, math.e)))
    return min(1.0, 0.85 * math.sqrt((iterated_log + 0.72 * math.log(10.4 / delta)) / n))
