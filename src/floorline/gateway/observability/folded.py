"""Counts of events that are added to Prometheus metrics at each scrape, all of them at once.

A metric takes a lock for each number, and a histogram looks through its buckets: some 15 µs for a
request. Here an event adds to plain numbers on the event loop's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Histogram


class SecondsHistogram(Histogram):
    """Histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add observations.

        Parameters
        ----------
        counts
            Number of observations in each bucket, that of infinity last.
        total
            Sum of the observations in seconds.
        """
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class FoldedSeconds:
    """Observations of one histogram since the last scrape.

    Parameters
    ----------
    histogram
        What they are added to.
    bounds
        Upper bounds of its buckets, without infinity.

    Examples
    --------
    >>> from prometheus_client import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> seconds = FoldedSeconds(
    ...     SecondsHistogram("s", "Seconds.", buckets=(1.0, 2.0), registry=registry), (1.0, 2.0)
    ... )
    >>> for value in (1.0, 1.5, 9.0):
    ...     seconds.observe(value)
    >>> seconds.fold()
    >>> [registry.get_sample_value("s_bucket", {"le": le}) for le in ("1.0", "2.0", "+Inf")]
    [1.0, 2.0, 3.0]
    """

    __slots__ = ("_bounds", "_counts", "_histogram", "_total")

    def __init__(self, histogram: SecondsHistogram, bounds: Sequence[float]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def fold(self) -> None:
        """Add what was counted to the histogram."""
        counts, total = self._counts, self._total
        if any(counts):
            self._counts, self._total = [0] * len(counts), 0.0
            self._histogram.add(counts, total)


class FoldedCount:
    """What a counter has to count since the last scrape.

    Parameters
    ----------
    counter
        What it is added to.

    Attributes
    ----------
    waiting
        The sum so far, 0 or more.
    """

    __slots__ = ("_counter", "waiting")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.waiting: float = 0

    def fold(self) -> None:
        """Add what was counted to the counter."""
        waiting, self.waiting = self.waiting, 0
        if waiting:
            self._counter.inc(waiting)
