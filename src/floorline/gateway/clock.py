"""The gateway's clock: Unix time that never jumps, whatever is done to the system's clock."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_SLEW = 0.01
"""Largest rate at which the clock approaches the system's: 1 % of the seconds that pass. A budget
period of a day is then at most 15 minutes shorter or longer than a day."""

READ_SECONDS = 0.05
"""Shortest time between two looks at the system's clock, which every request would take."""


def _since_boot() -> float:
    """Seconds since the machine was started, including the time for which it was suspended."""
    return time.clock_gettime(_BOOT_CLOCK)


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """Unix time in seconds, read from the system's clock once and then from a monotonic one.

    The system's clock may be set while the gateway runs: by NTP, by hand, or after a virtual
    machine was moved. Events, budget periods and ages take their times from this clock. It starts
    at the system's time and then follows the machine's monotonic clock. It approaches the
    system's time by at most ``MAX_SLEW`` of the seconds that pass, so a step of a minute is made up
    for in under two hours. It never goes back.

    If the system's clock was wrong at the start, it stays wrong by nearly as much until the next
    start. ``ahead`` says by how much.

    Parameters
    ----------
    wall
        Returns the system's Unix time in seconds.
    monotonic
        Returns seconds that never go back.

    Examples
    --------
    >>> wall, passed = [1000.0], [0.0]
    >>> clock = Clock(lambda: wall[0], lambda: passed[0])
    >>> wall[0], passed[0] = 5000.0, 100.0  # 100 seconds pass; the system's clock is set
    >>> clock()
    1101.0
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = _since_boot,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._seen = monotonic()
        self._offset = wall() - self._seen

    def __call__(self) -> float:
        """Return the present Unix time in seconds."""
        seen = self._monotonic()
        if seen - self._seen < READ_SECONDS:
            return seen + self._offset
        wrong = self._wall() - seen - self._offset
        most = MAX_SLEW * (seen - self._seen)
        self._seen = seen
        self._offset += min(max(wrong, -most), most)
        return seen + self._offset

    @property
    def ahead(self) -> float:
        """Seconds by which this clock is ahead of the system's; negative if it is behind."""
        return self() - self._wall()
