"""At which cost or quality the cheapest mix of models would use one of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.optimization.floor_lp import cheapest_mix

Floats = NDArray[np.float64]

_STEPS = 40
"""Steps of the bisection for a quality; the last one is 1e-12 wide."""


class BreakEven(NamedTuple):
    """What a model must cost, or how good it must be, for the cheapest mix to use it.

    Attributes
    ----------
    cost
        Cost of a call below which the mix uses it at its quality; infinity if it is used at any
        cost, because without it no mix meets the floor; None if no cost would do.
    quality
        Mean quality above which the mix uses it at its cost; None if no quality would do.
    """

    cost: float | None
    quality: float | None


def break_even(
    quality: Floats,
    cost: Floats,
    floor: float,
    model: int,
    allowed: NDArray[np.bool_] | None = None,
) -> BreakEven:
    """Compute at which cost, or at which quality, the cheapest mix begins to use a model.

    Everything else stays as it is. For a model that is in use, this is how much dearer or worse it
    may become.

    Parameters
    ----------
    quality, cost
        (M,) mean quality and mean cost.
    floor
        The floor τ on mean quality.
    model
        Position of the model.
    allowed
        (M,) whether a model may serve; None if all may.

    Examples
    --------
    >>> quality, cost = np.array([0.5, 0.7, 0.9]), np.array([1.0, 8.0, 9.0])
    >>> cheapest_mix(quality, cost, 0.8).round(2).tolist()
    [0.25, 0.0, 0.75]
    >>> found = break_even(quality, cost, 0.8, 1)
    >>> round(found.cost, 6), round(found.quality, 6)
    (5.0, 0.85)
    """
    others = np.ones(len(cost), dtype=bool) if allowed is None else allowed.copy()
    others[model] = False
    if not others.any():
        return BreakEven(math.inf, 0.0)
    best = float(quality[others].max())
    if best < floor:
        # The best model serves, whatever it costs.
        is_best = quality[model] > best
        return BreakEven(math.inf if is_best else None, best if best < 1.0 else None)
    mix = cheapest_mix(quality, cost, floor, others)
    value = float(mix @ np.where(mix > 0.0, cost, 0.0))
    low, high = others & (quality < floor), others & (quality > floor)
    partners = (quality[low], cost[low]), (quality[high], cost[high])

    def highest_cost(at: float) -> float:
        """Cost at which a mix with the model, at this quality, costs as much as without it."""
        (low_quality, low_cost), (high_quality, high_cost) = partners
        if at >= floor:
            share = (floor - low_quality) / (at - low_quality)
            costs = (value - (1.0 - share) * low_cost) / share
            return max(value, float(costs.max(initial=-math.inf)))
        share = (high_quality - floor) / (high_quality - at)
        costs = (value - (1.0 - share) * high_cost) / share
        return float(costs.max(initial=-math.inf))

    reached = highest_cost(float(quality[model]))
    return BreakEven(
        reached if reached > 0.0 else None, _quality_for(float(cost[model]), highest_cost)
    )


def _quality_for(cost: float, highest_cost: Callable[[float], float]) -> float | None:
    if highest_cost(1.0) <= cost:
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if highest_cost(middle) > cost:
            high = middle
        else:
            low = middle
    return high
