"""Token buckets: limits on how often something may happen."""

from __future__ import annotations


class TokenBucket:
    """Permits ``rate`` events a minute, all of them at once after a pause.

    Parameters
    ----------
    rate
        Events a minute; None for no limit.
    now
        Seconds of a clock that never goes back.

    Examples
    --------
    >>> bucket = TokenBucket(2.0, now=0.0)
    >>> [bucket.take(2.0, now=0.0) for _ in range(3)]
    [0.0, 0.0, 30.0]
    """

    def __init__(self, rate: float | None, now: float) -> None:
        self.tokens = 0.0 if rate is None else max(rate, 1.0)
        self.filled_at = now

    def take(self, rate: float | None, now: float) -> float:
        """Take one token; return the seconds to wait if there is none. None is no limit."""
        if rate is None:
            return 0.0
        per_second = rate / 60.0
        self.tokens = min(max(rate, 1.0), self.tokens + (now - self.filled_at) * per_second)
        self.filled_at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / per_second
