"""When a failed call is attempted again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 529})
"""HTTP statuses after which the same request may succeed; 529 is Anthropic's for an overload."""

_MAX_SECONDS = 86_400.0
"""Longest time that a provider can ask for: a day, so that no client waits for ever."""
_MAX_EXPONENT = 60
"""2⁶⁰ is above every cap, and larger powers overflow."""


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: exponential backoff with full jitter.

    Attributes
    ----------
    base_seconds
        Upper bound of the first wait; it doubles with each attempt. A quarter of a second is
        enough for a connection to be reopened.
    cap_seconds
        Upper bound of every wait.
    max_retry_after_seconds
        Longest ``Retry-After`` that is waited for. A provider that asks for more is not called
        again: another model answers sooner.

    References
    ----------
    M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
    """

    base_seconds: float = 0.25
    cap_seconds: float = 8.0
    max_retry_after_seconds: float = 20.0

    def wait(self, attempts: int, rng: Random, retry_after: float | None = None) -> float | None:
        """Seconds to wait after some failed attempts; None if no further one is to be made.

        Parameters
        ----------
        attempts
            Number of failed attempts, 1 or more.
        rng
            Source of the jitter.
        retry_after
            Seconds that the provider asks for, if it does.

        Examples
        --------
        >>> Backoff(cap_seconds=2.0).wait(20, Random(1)) <= 2.0
        True
        >>> Backoff().wait(1, Random(1), retry_after=3.0), Backoff().wait(1, Random(1), 3600.0)
        (3.0, None)
        """
        exponent = min(attempts - 1, _MAX_EXPONENT)
        wait = rng.uniform(0.0, min(self.cap_seconds, self.base_seconds * 2.0**exponent))
        if retry_after is None:
            return wait
        return None if retry_after > self.max_retry_after_seconds else max(wait, retry_after)


def retry_after(value: str | None, wall_clock: Callable[[], float]) -> float | None:
    """Seconds that a ``Retry-After`` header asks for; None if it is absent or malformed.

    Parameters
    ----------
    value
        A number of seconds, or an HTTP date.
    wall_clock
        Returns the Unix time in seconds, for dates.

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
    return min(max(0.0, seconds), _MAX_SECONDS) if math.isfinite(seconds) else None
