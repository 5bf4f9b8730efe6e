"""When to try again."""

from __future__ import annotations

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from random import Random

from floorline.gateway.upstreams.settings import Retries

RETRIED = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed; 529 is Anthropic's for an overload."""


def backoff(retries: Retries, attempts: int, rng: Random) -> float:
    """Seconds to wait after ``attempts`` failed ones: full jitter.

    Source: M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.

    Examples
    --------
    >>> backoff(Retries(base=0.25, cap=2.0), 20, Random(1)) <= 2.0
    True
    """
    # Beyond 2⁶⁰ the power no longer matters and would overflow some day.
    return rng.uniform(0.0, min(retries.cap, retries.base * 2.0 ** min(attempts - 1, 60)))


def retry_after(value: str | None, wall_clock: Callable[[], float]) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as number or HTTP date; None if none.

    Examples
    --------
    >>> retry_after("2.5", lambda: 0.0)
    2.5
    >>> retry_after("Thu, 01 Jan 1970 00:00:10 GMT", lambda: 4.0)
    6.0
    >>> retry_after("soon", lambda: 0.0)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - wall_clock()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
