"""Linear program of a mix under a budget: highest mean quality that a cost per request buys.

    maximise Σ_m q_m p_m   s.t.   Σ_m c_m p_m ≤ B,   Σ_m p_m ≤ 1,   0 ≤ p_m ≤ s_m

Here p_m is the share of the requests that model m serves. What is left of the shares is served by
no model and has quality 0. An optimal mix is a vertex: at most two models have a share that is
neither 0 nor their largest one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_mix_quality(quality: Floats, cost: Floats, budget: float, shares: Floats) -> float:
    """Compute the highest mean quality of a mix that costs at most ``budget`` per request.

    The dual B·λ + max_p Σ (q_m − λ·c_m)·p_m is convex and piecewise linear in the price λ ≥ 0 of
    the budget, so its minimum, which is the optimum, lies at 0 or where two scores are equal.

    Parameters
    ----------
    quality, cost
        (M,) quality and cost of 0 or more.
    budget
        Budget B per request; infinity for none.
    shares
        (M,) largest shares s of the requests, from 0 to 1.

    Examples
    --------
    >>> quality, cost, shares = np.array([0.4, 0.9]), np.array([1.0, 5.0]), np.ones(2)
    >>> [round(best_mix_quality(quality, cost, b, shares), 3) for b in (0.5, 3.0, np.inf)]
    [0.2, 0.65, 0.9]
    """
    if np.isinf(budget):
        return float(_highest_scores(quality[None, :], shares)[0])
    # No model, at quality and cost 0, is one of the choices.
    q, c = np.append(quality, 0.0), np.append(cost, 0.0)
    gain, extra = q[:, None] - q[None, :], c[:, None] - c[None, :]
    rising = extra > 0.0
    prices = np.append(np.maximum(gain[rising] / extra[rising], 0.0), 0.0)
    scores = quality - prices[:, None] * cost
    return float((budget * prices + _highest_scores(scores, shares)).min())


def _highest_scores(scores: Floats, shares: Floats) -> Floats:
    """Per row of scores (L, M), the highest mean score of shares that sum to 1 at most."""
    order = scores.argsort(axis=1)[:, ::-1]
    reached = np.minimum(shares[order].cumsum(axis=1), 1.0)
    share = np.diff(reached, axis=1, prepend=0.0)
    return np.asarray((share * np.maximum(np.take_along_axis(scores, order, 1), 0.0)).sum(axis=1))
