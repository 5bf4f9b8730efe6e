"""Quantiles of times in bounded memory: counts in buckets whose bounds grow by a constant ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping

_STEPS_PER_OCTAVE = 8
"""Buckets from one time to its double. A quantile is then off by at most 4.4 %."""
_SHORTEST = 1e-4
"""Times up to this many seconds share the first bucket: no call of a model is as fast."""
_LAST = math.ceil(_STEPS_PER_OCTAVE * math.log2(1e6 / _SHORTEST))
"""Number of the bucket of the longest latency that an outcome can have; 266."""

Histogram = dict[int, int]
"""Counts by the number of their bucket; buckets without a count are left out."""


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket of a time in seconds, from 0 to 266.

    Examples
    --------
    >>> [bucket_of(seconds) for seconds in (0.0, 1e-4, 0.1, 0.2, 1e6)]
    [0, 0, 80, 88, 266]
    """
    if seconds <= _SHORTEST:
        return 0
    return min(math.ceil(_STEPS_PER_OCTAVE * math.log2(seconds / _SHORTEST) - 1e-9), _LAST)


def quantile(histogram: Mapping[int, int], share: float) -> float | None:
    """Return the time in seconds that a share of the counted times does not exceed.

    It is the geometric middle of the bucket in which the quantile lies.

    Parameters
    ----------
    histogram
        Counts by bucket.
    share
        From 0 to 1, such as 0.95.

    Returns
    -------
    float or None
        None without a count.

    Examples
    --------
    >>> times = {}
    >>> for seconds in (0.1, 0.2, 0.3, 5.0):
    ...     add(times, seconds)
    >>> round(quantile(times, 0.5), 2), round(quantile(times, 0.95), 1), quantile({}, 0.5)
    (0.2, 4.8, None)
    """
    count = sum(histogram.values())
    if not count:
        return None
    needed = max(1, math.ceil(share * count - 1e-9))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= needed:
            break
    return float(_SHORTEST * 2.0 ** ((bucket - 0.5) / _STEPS_PER_OCTAVE))


def add(histogram: Histogram, seconds: float) -> None:
    """Count a time in seconds."""
    add_to_bucket(histogram, bucket_of(seconds))


def add_to_bucket(histogram: Histogram, bucket: int) -> None:
    """Count a time by the number of its bucket."""
    histogram[bucket] = histogram.get(bucket, 0) + 1


def merge(histogram: Histogram, other: Mapping[int, int]) -> None:
    """Add the counts of another histogram."""
    for bucket, count in other.items():
        histogram[bucket] = histogram.get(bucket, 0) + count
