"""Price of a late request: the dual variable of one promise of latency."""

from __future__ import annotations

import math

from floorline.core.snapshots import Stateful
from floorline.sla import LatencyPromise

_UNIT_SHARE = 0.01
"""Unit of the price, as a share of the cost of the most expensive call: below it, what a late
request costs is too little to matter; above, the price follows in equal ratios."""
_HIGHEST_COSTS = 2.0
"""Largest price, in costs of the most expensive call for as many late requests as are tolerated of
one: there a difference as small as that between promise and perfection decides."""
_FIRST_STEP, _LAST_STEP = 0.3, 0.1
"""Step of the price's logarithm for one late request too many: e^0.3 in the beginning, so that a
dozen late requests raise it by what models differ in, and e^0.1 in the long run: with 0.03 a price
that chance had raised took a thousand requests to fall again (benchmarks/bench_latency.py)."""
_STEP_REQUESTS = 20.0
"""Requests after which the step begins to shrink, as 1/√n: the rate at which the average of a dual
ascent is as near to the optimum as chance lets it be."""
_SURPLUS_SDS = 1.645
"""Standard deviations of the surplus under correction that are kept in hand, so that the promise is
kept at 95 % of the times, as the flagship does for the floor."""
_LEAST_HORIZON = 100.0
"""Fewest requests over which a surplus is worked off: a few late requests of the first ones are no
reason to pay any price."""


class LatencyPrice(Stateful):
    """Dual variable λ ≥ 0 of a promise that a share p of the requests is within a limit.

    The Lagrangian of least cost under a floor and this promise adds λ·P(late_m | x) to the cost of
    every model. λ is set by two loops.

    - The *outer* loop turns the surplus S = Σ (1 − p − late) of the requests so far, which is known
      exactly, into a target: the share r = 1 − p + (S − B)/H of late requests that works off what S
      exceeds or misses its buffer B by, over a horizon of H = n^(2/3) requests.
    - The *inner* loop moves λ until the policy serves as many late requests as that:
      y ← y + η·(P(late of the served model) − r), λ = u·(e^y − 1). The expectation stands for the
      event: it is there at once and not when the call has ended, and it is not random. The
      exponential makes a step the same ratio for cheap and for expensive models.

    Dual ascent on a linear program ends up around the λ at which two of its mixes are equally
    cheap, and what it serves on average is the cheapest mix of both promises.

    Attributes
    ----------
    log_price_ : float
        y, 0 or more.
    requests_ : int
        Number of requests that were decided.

    Examples
    --------
    >>> promise, price = LatencyPromise("latency", "p95", 0.95, 2.0), LatencyPrice()
    >>> for _ in range(50):  # Every request is late.
    ...     price.served(promise, 1.0, surplus=-0.95 * price.requests_)
    >>> 5.0 < price.price(promise, highest_cost=1.0)
    True
    >>> for _ in range(500):
    ...     price.served(promise, 0.0, surplus=100.0)
    >>> price.price(promise, highest_cost=1.0)
    0.0
    """

    def __init__(self) -> None:
        self.log_price_ = 0.0
        self.requests_ = 0

    def price(self, promise: LatencyPromise, highest_cost: float) -> float:
        """λ in cost per late request, in a zoo whose most expensive call costs this much."""
        if not self.log_price_:
            return 0.0
        unit = _UNIT_SHARE * (highest_cost or 1.0)
        return unit * math.expm1(self.log_price_)

    def served(
        self, promise: LatencyPromise, late: float, surplus: float, proof: float = 0.0
    ) -> None:
        """Move λ after a decision.

        Parameters
        ----------
        promise
            The promise.
        late
            Probability that the served model is late.
        surplus
            Surplus S before this request.
        proof
            Further surplus to keep in hand.
        """
        step = _FIRST_STEP / math.sqrt(1.0 + self.requests_ / _STEP_REQUESTS)
        self.requests_ += 1
        target = self.target(promise, surplus, proof)
        moved = self.log_price_ + max(step, _LAST_STEP) * (late - target)
        self.log_price_ = min(max(moved, 0.0), highest_log_price(promise))

    def target(self, promise: LatencyPromise, surplus: float, proof: float = 0.0) -> float:
        """Share of late requests to aim at: what is tolerated, more or less by the surplus."""
        tolerated = promise.tolerated
        horizon = max(_LEAST_HORIZON, float(self.requests_) ** (2.0 / 3.0))
        # Of an Ornstein-Uhlenbeck process that is pulled back over this horizon.
        drift = math.sqrt(0.5 * tolerated * promise.share * horizon)
        beyond = (surplus - _SURPLUS_SDS * drift - proof) / horizon
        return float(min(1.0, max(0.0, tolerated + beyond)))


def highest_log_price(promise: LatencyPromise) -> float:
    """Largest y: see ``_HIGHEST_COSTS``."""
    return math.log1p(_HIGHEST_COSTS / (_UNIT_SHARE * promise.tolerated))
