"""Estimate of how long replays still take, from those of the same kind that have finished."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

_OVERDUE = 1.5
"""Multiple of its expected time after which a running replay is no longer said to end soon."""


class Left(NamedTuple):
    """Seconds until all replays have finished; at least so many unless ``known`` is true."""

    seconds: float
    known: bool

    def __str__(self) -> str:
        return f"{'about' if self.known else 'more than'} {in_words(self.seconds)} left"


class RemainingTime:
    """Predicts the end of replays that several processes take one after the other.

    A policy may take a hundred times as long as another, so the mean time of the finished replays
    says little of the others. Each replay is expected to take the mean time of those of its kind.
    Where no replay of a kind has finished, the time of its replays counts as 0, and the estimate is
    a lower bound that says so.

    Parameters
    ----------
    kinds
        Kind of each replay; they start in the order of ``start_order``.
    jobs
        Number of processes.
    now
        Time at which the first ones start, in seconds of any clock.

    Examples
    --------
    >>> remaining = RemainingTime(["slow", "slow", "fast", "fast"], jobs=1, now=0.0)
    >>> print(remaining.left(now=10.0))
    None
    >>> remaining.finished(0, seconds=60.0, now=60.0)
    >>> print(remaining.left(now=60.0))
    more than 1 min left
    >>> remaining.finished(2, seconds=1.0, now=61.0)
    >>> print(remaining.left(now=71.0))
    about 50 s left
    """

    def __init__(self, kinds: Sequence[str], jobs: int, now: float) -> None:
        self._kinds = list(kinds)
        self._order = start_order(kinds)
        self._jobs = max(1, jobs)
        self._times: dict[str, tuple[int, float]] = {}
        self._done: set[int] = set()
        self._started: dict[int, float] = {}
        self._next = 0
        self._start(now)

    def _start(self, now: float) -> None:
        """Note which replays the free processes take."""
        running = sum(number not in self._done for number in self._started)
        while running < self._jobs and self._next < len(self._order):
            number = self._order[self._next]
            if number not in self._done:
                self._started[number] = now
                running += 1
            self._next += 1

    def finished(self, number: int, seconds: float | None, now: float) -> None:
        """Count a replay as finished.

        Parameters
        ----------
        number
            Position of the replay among ``kinds``.
        seconds
            How long it took; None for one that an earlier run had finished.
        now
            Time of the same clock as at the start.
        """
        self._done.add(number)
        if seconds is not None:
            count, total = self._times.get(self._kinds[number], (0, 0.0))
            self._times[self._kinds[number]] = count + 1, total + seconds
        self._start(now)

    def left(self, now: float) -> Left | None:
        """Return the time that is left; None before the first replay of any kind has finished."""
        open_ = [number for number in self._order if number not in self._done]
        if not open_:
            return Left(0.0, known=True)
        expected = {kind: total / count for kind, (count, total) in self._times.items()}
        if not expected:
            return None
        known = True
        running, waiting = [], []
        for number in open_:
            time = expected.get(self._kinds[number])
            known &= time is not None
            if number not in self._started:
                waiting.append(time or 0.0)
                continue
            elapsed = now - self._started[number]
            known &= time is None or elapsed <= _OVERDUE * time
            running.append(max(0.0, (time or 0.0) - elapsed))
        free = running + [0.0] * (self._jobs - len(running))
        heapq.heapify(free)
        for time in waiting:
            heapq.heappush(free, heapq.heappop(free) + time)
        return Left(max(free), known)


def start_order(kinds: Sequence[str]) -> list[int]:
    """Return the positions of replays in the order to start them: one of each kind first.

    So the time of every kind is known early.

    Examples
    --------
    >>> start_order(["slow", "slow", "fast", "slow", "fast"])
    [0, 2, 1, 4, 3]
    """
    seen: dict[str, int] = {}
    turns = []
    for kind in kinds:
        seen[kind] = seen.get(kind, -1) + 1
        turns.append(seen[kind])
    return sorted(range(len(kinds)), key=turns.__getitem__)


def in_words(seconds: float) -> str:
    """Write a time span as coarsely as an estimate is known.

    Examples
    --------
    >>> [in_words(s) for s in (0.4, 47.0, 200.0, 5000.0)]
    ['1 s', '45 s', '3 min', '1 h 25 min']
    """
    if seconds < 10.0:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5.0)} s"
    minutes = max(1, round(seconds / 60.0))
    if minutes < 60:
        return f"{minutes} min"
    minutes = 5 * round(seconds / 300.0)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
