"""Which budget period holds, and whether it renews the budget, by clocks that may be wrong."""

from __future__ import annotations

from floorline.core.snapshots import Stateful
from floorline.sla import period_start

_MAX_JUMPS = 16
"""Number of latest jumps of the clock whose start is remembered."""
_MAX_WITHHELD = 8
"""Most renewals that are withheld after a jump back. More would starve a budget for long if it was
the jump back that was wrong."""


class BudgetPeriods(Stateful):
    """Counts the budget periods of a stream of times and says when a budget is renewed.

    While times move on, every new period renews the budget, and periods without a request in
    between are lost. A fold cannot know the true time, so it keeps the balance when times jump:

    - A jump forward, however far, is one new period and renews the budget once.
    - A jump back renews nothing. The period of the earlier time holds from then on, so that its
      successors begin as their times come, and no period is waited for that lies in the future.
    - Every renewal at a time ahead of the present one was given early. As many of the next
      periods begin without one, so that jumps forward and back, however often repeated, give no
      more money than the periods that passed.
    - Steps of one period back are jitter: a jump forward after them makes up for them.
    - A jump to a time where the clock was before one of its latest jumps takes up the count there.

    Attributes
    ----------
    start_ : float
        Time in seconds at which the present period begins; 0 without a period. It is a time and
        not a number, so that it survives a change of the period's length.
    number_ : int
        Number of the present period.
    given_ : int
        Highest number of a period for which the budget was renewed.
    jumped_back_ : bool
        Whether renewals are withheld because the clock jumped back.
    jumps_ : list of list
        Start and number of the periods in which the latest jumps began, oldest first.

    Examples
    --------
    >>> periods = BudgetPeriods()
    >>> [periods.advance(60.0, at) for at in (60.0, 90.0, 120.0)]
    [True, False, True]
    >>> [periods.advance(60.0, at) for at in (9e6, 125.0, 9e6, 130.0, 180.0, 240.0)]
    [True, False, False, False, False, True]
    """

    def __init__(self) -> None:
        self.start_ = 0.0
        self.number_ = 0
        self.given_ = 0
        self.jumped_back_ = False
        self.jumps_: list[list[float]] = []

    def renews(self, period: float | None, at: float) -> bool:
        """Whether time ``at`` begins a period of ``period`` seconds that renews the budget."""
        start = period_start(period, at)
        return start != self.start_ and self._number(period, start) > self.given_

    def advance(self, period: float | None, at: float) -> bool:
        """Move on, or back, to the period that holds at ``at``; whether it renews the budget."""
        start = period_start(period, at)
        if start == self.start_:
            return False
        number = self._number(period, start)
        steps = self._steps(period, start)
        if abs(steps) > 1:
            self.jumps_.append([self.start_, self.number_])
            del self.jumps_[:-_MAX_JUMPS]
        self.start_, self.number_ = start, number
        self.jumped_back_ = number < self.given_ and (self.jumped_back_ or steps < -1)
        if number <= self.given_:
            return False
        self.given_ = number
        return True

    def _steps(self, period: float | None, start: float) -> int:
        """Number of periods from the present one to the one that begins at ``start``."""
        if period is None:
            return -1
        steps = round((start - self.start_) / period)
        # After a change of the period's length, a later start can be less than half of it away.
        return max(1, steps) if start > self.start_ else min(-1, steps)

    def _number(self, period: float | None, start: float) -> int:
        """Number of the period that begins at ``start``."""
        steps = self._steps(period, start)
        if abs(steps) == 1:
            return self.number_ + steps
        known = self._known(period, start)
        if steps > 0:
            if known is not None and known > self.number_:
                return known
            return self.number_ + (1 if self.jumped_back_ else min(steps, self._owed + 1))
        back = self.number_ - 1 if known is None else min(known, self.number_)
        return max(back, self.given_ - _MAX_WITHHELD)

    @property
    def _owed(self) -> int:
        """Number of renewals that were given at times ahead of the present one."""
        return self.given_ - self.number_

    def _known(self, period: float | None, start: float) -> int | None:
        """Number of a period at most one away from where a jump began; None if there is none."""
        if period is None:
            return None
        for began, number in reversed(self.jumps_):
            steps = round((start - began) / period)
            if abs(steps) <= 1:
                return int(number) + steps
        return None
