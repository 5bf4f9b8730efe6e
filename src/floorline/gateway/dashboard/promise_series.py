"""Course of promises over time: what their certificates said at the end of each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.gateway.dashboard.series import Window
from floorline.guarantees.betting import betting_lower
from floorline.sla import SLA, LatencyPromise
from floorline.state.time_buckets import LabelSums, TimeCounts

Floats = NDArray[np.float64]


class PromiseSeries(NamedTuple):
    """A promise on satisfaction over time, as its certificate was at the end of each bucket.

    Attributes
    ----------
    sla
        Name of the SLA.
    confidence
        Confidence of the bounds at all times at once.
    times
        End of each bucket in Unix seconds; the last one is the present.
    mean, lower, upper
        Weighted mean of all labels so far, and its anytime-valid bounds; None before the first.
    floor
        Mean floor of the labelled requests so far; the SLA's own before the first.
    labels
        Number of labels so far.
    """

    sla: str
    confidence: float
    times: Sequence[float]
    mean: Sequence[float | None]
    lower: Sequence[float | None]
    upper: Sequence[float | None]
    floor: Sequence[float]
    labels: Sequence[int]


class LatencySeries(NamedTuple):
    """A promise of latency over time, as its certificate was at the end of each bucket.

    Attributes
    ----------
    sla
        Name of the SLA.
    promise
        The promise.
    times
        End of each bucket in Unix seconds; the last one is the present.
    within, lower, upper
        Share of all requests so far within the limit, and its anytime-valid bounds; None before
        the first.
    requests
        Number of requests so far whose time is known.
    """

    sla: str
    promise: LatencyPromise
    times: Sequence[float]
    within: Sequence[float | None]
    lower: Sequence[float | None]
    upper: Sequence[float | None]
    requests: Sequence[int]


def promise(window: Window, sla: SLA, so_far: LabelSums, now: float) -> PromiseSeries:
    """Return the course of a promise on satisfaction over a window.

    Parameters
    ----------
    window
        Buckets with what labels added to the certificate.
    sla
        The SLA as it is now.
    so_far
        Sums of all its labels so far.
    now
        The present time in Unix seconds.
    """
    added = [
        (bucket.start, sums.labels, sums.weight, sums.satisfied, sums.floor_sum)
        for bucket in window.level.between(window.first, window.end)
        if (sums := bucket.promises.get(sla.name)) is not None
    ]
    present = (so_far.labels, so_far.weight, so_far.satisfied, so_far.floor_sum)
    labels, weight, satisfied, floors = _courses(window, added, present)
    satisfied = np.minimum(satisfied, weight)
    lower, upper = _bounds(weight, satisfied, weight, satisfied, 1.0 - sla.confidence)
    known = weight > 1e-9
    mean = np.divide(satisfied, weight, out=np.zeros_like(weight), where=known)
    floor = np.divide(floors, weight, out=np.full_like(weight, sla.floor), where=known)
    return PromiseSeries(
        sla=sla.name,
        confidence=sla.confidence,
        times=window.ends(now),
        mean=_with_gaps(mean, known),
        lower=_with_gaps(lower, known),
        upper=_with_gaps(upper, known),
        floor=np.round(floor, 12).tolist(),
        labels=np.rint(labels).astype(int).tolist(),
    )


def latency_promise(
    window: Window, sla: SLA, made: LatencyPromise, so_far: TimeCounts, now: float
) -> LatencySeries:
    """Return the course of a promise of latency over a window; ``so_far`` counts all requests."""
    added = [
        (bucket.start, counts.known, counts.within, counts.unknown)
        for bucket in window.level.between(window.first, window.end)
        if (counts := bucket.latency.get((sla.name, made.name))) is not None
    ]
    present = (so_far.known, so_far.within, so_far.unknown)
    known, within, unknown = _courses(window, added, present)
    ended = known + unknown
    # Requests of unknown time may have been late, and may have been within the limit.
    lower, upper = _bounds(ended, within, ended, within + unknown, 1.0 - sla.confidence)
    some = known > 0.0
    share = np.divide(within, known, out=np.zeros_like(known), where=some)
    return LatencySeries(
        sla=sla.name,
        promise=made,
        times=window.ends(now),
        within=_with_gaps(share, some),
        lower=_with_gaps(lower, some),
        upper=_with_gaps(upper, some),
        requests=np.rint(known).astype(int).tolist(),
    )


def _courses(window: Window, added: Sequence[Sequence[float]], present: Sequence[float]) -> Floats:
    """Return sums at the end of each point of a window.

    Backwards from the present, which counts what came before the window, too.

    Parameters
    ----------
    added
        Beginning of each bucket that added to the sums, and what it added.
    present
        The sums now.
    """
    steps = np.zeros((window.points, len(present)))
    for start, *sums in added:
        steps[int((start - window.first) // window.step)] += sums
    so_far = np.array(present) - steps.sum(axis=0) + np.cumsum(steps, axis=0)
    return np.asarray(np.maximum(so_far, 0.0).T)


def _bounds(
    low_n: Floats, low_total: Floats, high_n: Floats, high_total: Floats, delta: float
) -> tuple[Floats, Floats]:
    """Lower bounds of the first means and upper bounds of the second ones, as a certificate has.

    Both are those of ``guarantees.betting_interval``, for several numbers of values at once.
    """
    sides = np.concatenate(
        [np.column_stack([low_n, low_total]), np.column_stack([high_n, high_n - high_total])]
    )
    # Most steps of a quiet SLA add nothing: each pair is solved once.
    pairs, inverse = np.unique(np.maximum(sides, 0.0), axis=0, return_inverse=True)
    bounds = betting_lower(pairs[:, 0], pairs[:, 1], delta / 2.0)[inverse.ravel()]
    lower, missed = np.split(bounds, 2)
    return lower, 1.0 - missed


def _with_gaps(values: Floats, known: NDArray[np.bool_]) -> list[float | None]:
    return [value if there else None for value, there in zip(values.tolist(), known, strict=True)]
