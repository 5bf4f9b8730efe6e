"""Traffic over time for charts: folded buckets, summed up by the step."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from floorline.state.time_buckets import Bucket, BucketLevel, Totals
from floorline.state.time_series import HOUR, MINUTE, TimeSeries

_HOURLY_FROM = 2 * 86_400.0
"""Span in seconds from which hours are shown; minutes reach back for a day."""
_MOST_POINTS = 400
"""Most points of a series of minutes: a chart of 1,200 pixels shows no more. A day is shown in
steps of five minutes."""
_MOST_KEPT = 40_000
"""Most sums that are kept, of 1 kB each: 30 days of 5 models for 11 choices of filters."""
_MOST_CHOICES = 64
"""Most choices of filters whose sums are kept; the tenant of one can be any text."""
_STEPS_AT_A_TIME = 16
"""Steps that are summed up between two pauses: about 1 ms."""


class Series(NamedTuple):
    """Traffic over time.

    Attributes
    ----------
    step
        Seconds from one bucket to the next.
    times
        Beginning of each bucket in Unix seconds; the last one is not over yet.
    totals
        Counts of each bucket.
    models
        Counts of each bucket by model; "" stands for declined requests, and
        ``time_buckets.OTHERS`` for models beyond the bound.
    """

    step: float
    times: Sequence[float]
    totals: Sequence[Totals]
    models: Mapping[str, Sequence[Totals]]

    def whole(self) -> Totals:
        """Return the counts of the whole span."""
        return _sum(self.totals)

    def whole_by_model(self) -> dict[str, Totals]:
        """Return the counts of the whole span by model, those of most decisions first."""
        sums = {model: _sum(column) for model, column in self.models.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1].decisions))


class Window(NamedTuple):
    """Buckets of a level that a span of time up to now consists of.

    Attributes
    ----------
    level
        The buckets.
    step
        Seconds of one point of the series; a multiple of the level's step.
    first, points
        Beginning of the first point in Unix seconds, and number of points.
    """

    level: BucketLevel
    step: float
    first: float
    points: int

    @classmethod
    def of(cls, series: TimeSeries, span: float, now: float) -> Window:
        """Return the window of ``span`` seconds that ends with the bucket of ``now``."""
        hourly = span >= _HOURLY_FROM
        step = HOUR if hourly else MINUTE
        while not hourly and span / step > _MOST_POINTS:
            step = 5.0 * MINUTE if step == MINUTE else 2.0 * step
        points = max(1, round(span / step))
        first = (now // step - points + 1) * step
        return cls(series.hours if hourly else series.minutes, step, first, points)

    @property
    def times(self) -> list[float]:
        """Beginnings of the points."""
        return [self.first + self.step * number for number in range(self.points)]

    def ends(self, now: float) -> list[float]:
        """Ends of the points; that of the last one is the present."""
        return [min(start + self.step, now) for start in self.times]

    @property
    def end(self) -> float:
        """End of the last point."""
        return self.first + self.step * self.points


class SeriesMemo:
    """Sums of steps that were computed before; most steps are over and do not change any more.

    The sums of the latest ``_MOST_CHOICES`` choices of filters are kept, and at most ``_MOST_KEPT``
    of them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], dict[float, _Step]] = OrderedDict()

    def steps(self, window: Window, sla: str | None, tenant: str | None) -> list[_Step | None]:
        """Return the sums of each step of a window; None where nothing happened."""
        key = (window.level.step, window.step, sla, tenant)
        before = self._kept.pop(key, {})
        grouped: dict[float, list[Bucket]] = {}
        for bucket in window.level.between(window.first, window.end):
            grouped.setdefault(bucket.start // window.step * window.step, []).append(bucket)
        now = self._kept[key] = {}
        for number, (start, buckets) in enumerate(grouped.items()):
            stamp = tuple(bucket.version for bucket in buckets)
            step = before.get(start)
            if step is None or step.stamp != stamp:
                step = _step_of(stamp, buckets, sla, tenant)
                if number % _STEPS_AT_A_TIME == 0:
                    # Let the thread that answers requests run; it would wait for 5 ms otherwise.
                    time.sleep(0.0)
            now[start] = step
        while len(self._kept) > _MOST_CHOICES or (
            len(self._kept) > 1 and self._size() > _MOST_KEPT
        ):
            self._kept.popitem(last=False)
        return [now.get(start) for start in window.times]

    def _size(self) -> int:
        return sum(len(step.models) for steps in self._kept.values() for step in steps.values())


class _Step(NamedTuple):
    """Sums of one step, whole and by model, and the versions of the buckets that they are from."""

    stamp: tuple[int, ...]
    whole: Totals
    models: dict[str, Totals]


def _step_of(
    stamp: tuple[int, ...], buckets: Sequence[Bucket], sla: str | None, tenant: str | None
) -> _Step:
    models: dict[str, Totals] = {}
    for bucket in buckets:
        bucket.add_to(models, sla, tenant)
    parts = list(models.values())
    return _Step(stamp, parts[0] if len(parts) == 1 else _sum(parts), models)


def traffic(
    window: Window, sla: str | None, tenant: str | None, memo: SeriesMemo | None = None
) -> Series:
    """Sum up a window by the step, of one SLA or tenant or of all."""
    steps = (SeriesMemo() if memo is None else memo).steps(window, sla, tenant)
    models: dict[str, list[Totals]] = {}
    totals = [_NOTHING] * len(steps)
    for place, step in enumerate(steps):
        if step is None:
            continue
        for model, counts in step.models.items():
            if model not in models:
                models[model] = [_NOTHING] * len(steps)
            models[model][place] = counts
        totals[place] = step.whole
    return Series(window.step, window.times, totals, models)


_NOTHING = Totals()
"""Shared by all steps without traffic; what a series has is never changed."""


def totals_by(
    window: Window, place: int, sla: str | None = None, tenant: str | None = None
) -> dict[str, Totals]:
    """Return the counts of a window by one part of the cells' keys, in one pass.

    Parameters
    ----------
    window
        The buckets.
    place
        Place of the part in a ``time_buckets.Key``: 0 for the SLA, 1 for the tenant.
    sla, tenant
        Names to which the counts are limited; None for all.
    """
    found: dict[str, Totals] = {}
    for number, bucket in enumerate(window.level.between(window.first, window.end)):
        for key, cell in bucket.cells.items():
            if sla in (None, key[0]) and tenant in (None, key[1]):
                sums = found.get(key[place])
                if sums is None:
                    sums = found[key[place]] = Totals()
                sums.add(cell)
        if number % _STEPS_AT_A_TIME == 0:
            # Let the thread that answers requests run; it would wait for 5 ms otherwise.
            time.sleep(0.0)
    return found


def label_sources(window: Window, tenant: str | None) -> dict[str, dict[str, int]]:
    """Return the number of labels in a window by SLA and origin, of one tenant or of all."""
    found: dict[str, dict[str, int]] = {}
    for bucket in window.level.between(window.first, window.end):
        for (sla, of_tenant, _), cell in bucket.cells.items():
            if cell.sources and tenant in (None, of_tenant):
                sums = found.setdefault(sla, {})
                for source, labels in cell.sources.items():
                    sums[source] = sums.get(source, 0) + labels
    return found


def _sum(totals: Sequence[Totals]) -> Totals:
    whole = Totals()
    for counts in totals:
        if counts is not _NOTHING:
            whole.add(counts)
    return whole
