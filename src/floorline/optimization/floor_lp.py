"""Linear program of routing under a floor: minimum cost with mean quality of at least τ.

    minimise Σ_t c_{t, m_t}   subject to   mean_t q_{t, m_t} ≥ τ

The minimum of its Lagrangian serves argmin_m c_m − λ·q_m, so one price λ solves the program up to
one request. Policies call these functions with estimates or means; only the oracle calls them with
labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def floor_price(quality: Floats, cost: Floats, floor: float, *, steps: int = 50) -> float:
    """Compute the least λ ≥ 0 at which serving argmin_m c − λ·q meets the floor on average.

    Parameters
    ----------
    quality, cost
        (n, M) quality and cost; the cost is infinite if a model may not serve a request.
    floor
        The floor τ on mean quality.
    steps
        Number of bisection steps.

    Returns
    -------
    float
        λ in cost per unit of quality; infinity if the best model of every request misses the floor.

    Examples
    --------
    >>> quality = np.array([[0.2, 0.9], [0.8, 0.9]])
    >>> cost = np.array([[1.0, 5.0], [1.0, 5.0]])
    >>> floor_price(quality, cost, 0.5)
    0.0
    >>> 4 / 0.7 <= floor_price(quality, cost, 0.8) < 4 / 0.1
    True
    """
    best = np.where(np.isfinite(cost), quality, -np.inf).max(axis=1)
    if best.mean() < floor:
        return float("inf")
    if _mean_at(quality, cost, 0.0) >= floor:
        return 0.0
    finite = cost[np.isfinite(cost)]
    low, high = 0.0, max(float(finite.max() - finite.min()), 1e-300)
    while _mean_at(quality, cost, high) < floor:
        low, high = high, high * 4.0
        # Above this λ, differences of cost are below the rounding error of λ·q.
        if high > 1e15 * max(1e-300, float(finite.max())):
            return float("inf")
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if _mean_at(quality, cost, middle) >= floor:
            high = middle
        else:
            low = middle
    return high


def cheapest_assignment(quality: Floats, cost: Floats, floor: float) -> NDArray[np.int64]:
    """Assign a model to every request: minimum cost with mean quality of at least τ.

    The cost exceeds that of the linear program by at most one request. The solutions just below
    and just above the optimal price differ in a few requests. These are switched to the better
    model, in the order of cost per gained quality, until the floor is met. If no assignment meets
    the floor, every request gets its best model, and the cheapest one of equally good models.

    Parameters
    ----------
    quality, cost
        (n, M) quality and cost; the cost is infinite if a model may not serve a request.
    floor
        The floor τ on mean quality.

    Returns
    -------
    (n,) positions of models

    Examples
    --------
    >>> quality, cost = np.array([[0.2, 0.9], [0.8, 0.9]]), np.array([[1.0, 5.0], [1.0, 5.0]])
    >>> cheapest_assignment(quality, cost, 0.8).tolist()
    [1, 0]
    """
    price = floor_price(quality, cost, floor)
    if price == 0.0:
        return np.asarray(cost.argmin(axis=1))
    if np.isinf(price):
        usable = np.where(np.isfinite(cost), quality, -np.inf)
        tied = usable >= usable.max(axis=1, keepdims=True)
        return np.asarray(np.where(tied, cost, np.inf).argmin(axis=1))
    rows = np.arange(len(cost))
    above = _serve(quality, cost, price)
    below = _serve(quality, cost, price * (1.0 - 1e-9))
    # Bisection finds the price up to rounding, so it is lowered until the floor is missed.
    shrink = 1e-8
    while quality[rows, below].mean() >= floor and shrink < 1.0:
        above = below
        below = _serve(quality, cost, price * (1.0 - shrink))
        shrink *= 10.0
    gain = quality[rows, above] - quality[rows, below]
    extra = cost[rows, above] - cost[rows, below]
    switch = np.flatnonzero(above != below)
    cost_per_gain = np.divide(
        extra[switch], gain[switch], out=np.zeros(len(switch)), where=gain[switch] > 0
    )
    order = switch[np.lexsort((extra[switch], cost_per_gain))]
    missing = floor * len(cost) - quality[rows, below].sum()
    reached = np.cumsum(gain[order])
    needed = int(np.searchsorted(reached, missing - 1e-9)) + 1
    chosen = below.copy()
    chosen[order[:needed]] = above[order[:needed]]
    return chosen


def cheapest_mix(
    quality: Floats, cost: Floats, floor: float, allowed: NDArray[np.bool_] | None = None
) -> Floats:
    """Compute the static mix: the cheapest mixture of models whose mean quality meets the floor.

    Two models are enough, because the linear program has two constraints.

    Parameters
    ----------
    quality, cost
        (M,) mean quality and mean cost.
    floor
        The floor τ on mean quality.
    allowed
        (M,) whether a model may serve; None if all may.

    Returns
    -------
    (M,) probabilities, at most two above 0; 1 for the best model if no model meets the floor

    Examples
    --------
    >>> cheapest_mix(np.array([0.4, 0.6, 0.9]), np.array([1.0, 2.0, 10.0]), 0.7).round(3).tolist()
    [0.0, 0.667, 0.333]
    """
    usable = np.ones(len(cost), dtype=bool) if allowed is None else allowed
    weights = np.zeros(len(cost))
    meets_floor = usable & (quality >= floor)
    if not meets_floor.any():
        best = np.where(usable, quality, -np.inf)
        tied = best >= best.max()
        weights[int(np.where(tied, cost, np.inf).argmin())] = 1.0
        return weights
    # All pairs: share p of a model that meets the floor, 1 − p of one that misses it.
    high, low = np.flatnonzero(meets_floor), np.flatnonzero(usable & (quality < floor))
    cheapest = int(high[cost[high].argmin()])
    weights[cheapest] = 1.0
    if len(low) == 0:
        return weights
    share = (floor - quality[low])[None, :] / (quality[high][:, None] - quality[low][None, :])
    price = share * cost[high][:, None] + (1.0 - share) * cost[low][None, :]
    i, j = np.unravel_index(int(price.argmin()), price.shape)
    if price[i, j] < cost[cheapest]:
        weights[:] = 0.0
        weights[high[i]] = share[i, j]
        weights[low[j]] = 1.0 - share[i, j]
    return weights


def _serve(quality: Floats, cost: Floats, price: float) -> NDArray[np.int64]:
    return np.asarray((cost - price * quality).argmin(axis=1))


def _mean_at(quality: Floats, cost: Floats, price: float) -> float:
    return float(quality[np.arange(len(cost)), _serve(quality, cost, price)].mean())
