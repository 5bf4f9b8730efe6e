"""How conversations go on: turns that follow, the pauses between them, and how prompts grow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful

_TURNS = 64
"""Turns that are told apart; the later ones count as this one."""
_BUCKETS = 7
"""Groups of turns that share a probability to go on: 1, 2, 3–4, 5–8, 9–16, 17–32, 33 and more."""
_MIDDLE_TURNS = [1, 2, 3, 6, 12, 24, 48]
"""A turn near the middle of each group."""
_GOES_ON_PRIOR = 0.75
"""Probability that a turn is followed by another one before any is known: three more turns."""
_PRIOR_TURNS = 8.0
"""Turns that the overall probability counts as in that of each group, and its prior in it."""
_GAP_BINS = 22
"""Pauses by powers of two: up to 1 second, 2 seconds, …, and more than 12 days."""
_GAP_PRIOR = {3: 2.0, 5: 3.0, 7: 2.0, 9: 0.5, 12: 0.5}
"""Pauses that are assumed before any is known, by bin: mostly 4 to 128 seconds."""
_GROWTH_PRIOR, _GROWTH_PRIOR_TURNS = 500.0, 8.0
"""Tokens that a turn adds to the prompt before any is known, and the turns that they count as."""
_MAX_GROWTH = 20_000.0
"""Largest growth of a prompt that counts: a pasted file says little of what is typical."""
_MAX_REMAINING = 50.0
"""Most turns that are expected to follow."""
_MEMORY = 20_000.0
"""Turns at which all counts are halved, so that they follow a change of traffic."""
_REFRESH_TURNS = 16
"""Turns between two computations of what follows from the counts."""


class TurnStatistics(Stateful):
    """Turns, pauses and growth of all conversations, as running counts.

    Attributes
    ----------
    reached_, followed_
        (B,) turns by group, and those of them that another turn followed.
    gaps_
        (G,) pauses from one turn to the next by powers of two, in seconds.
    growth_, growth_turns_
        Mean number of tokens that a turn adds, and the turns it is a mean of, the prior's included.
    goes_on_, remaining_
        (T + 1,) by number of a turn, from 1: the probability that another one follows, and the
        expected number of turns that follow.
    length_
        Mean number of turns of the conversation that a turn belongs to.
    within_
        (G + 1,) share of the pauses below 1, 2, 4, … seconds.
    turns_
        Turns since the last computation of these.

    Examples
    --------
    >>> statistics = TurnStatistics()
    >>> for _ in range(400):
    ...     statistics.begin()
    ...     for turn in range(1, 5):
    ...         statistics.follow(turn, gap=20.0, growth=800.0)
    >>> [round(float(statistics.remaining_[turn]), 1) for turn in (1, 2, 5)]
    [4.0, 3.0, 0.0]
    >>> round(float(statistics.share_within(np.array([300.0]))[0]), 2)
    1.0
    """

    def __init__(self) -> None:
        self.reached_ = np.zeros(_BUCKETS)
        self.followed_ = np.zeros(_BUCKETS)
        self.gaps_ = np.zeros(_GAP_BINS)
        for number, count in _GAP_PRIOR.items():
            self.gaps_[number] = count
        self.growth_ = _GROWTH_PRIOR
        self.growth_turns_ = _GROWTH_PRIOR_TURNS
        self.goes_on_ = np.zeros(_TURNS + 1)
        self.remaining_ = np.zeros(_TURNS + 1)
        self.length_ = 1.0
        self.within_ = np.zeros(_GAP_BINS + 1)
        self.turns_ = 0
        self._refresh()

    def begin(self) -> None:
        """Count the first turn of a conversation."""
        self.reached_[0] += 1.0
        self._count()

    def follow(self, turn: int, *, gap: float, growth: float) -> None:
        """Count a turn that follows turn number ``turn`` after ``gap`` seconds.

        ``growth`` is by how many tokens its prompt is longer.
        """
        self.followed_[_bucket(turn)] += 1.0
        self.reached_[_bucket(turn + 1)] += 1.0
        self.gaps_[min(_GAP_BINS - 1, max(0, math.ceil(math.log2(max(gap, 1e-3)))))] += 1.0
        self.growth_turns_ = min(self.growth_turns_ + 1.0, _MEMORY)
        off = min(_MAX_GROWTH, max(0.0, growth)) - self.growth_
        self.growth_ += off / self.growth_turns_
        self._count()

    def share_within(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the pauses that are at most this long."""
        powers = np.log2(np.maximum(seconds, 0.5)) + 1.0
        return np.interp(powers, np.arange(_GAP_BINS + 1), self.within_)

    def chance_within(self, seconds: float) -> float:
        """Share of the pauses that are at most this long, of one number; 0 below 0."""
        if seconds <= 0.0:
            return 0.0
        power = min(max(math.log2(seconds) + 1.0, 0.0), _GAP_BINS - 1e-9)
        whole = int(power)
        below, above = self.within_[whole : whole + 2].tolist()
        return float(below + (power - whole) * (above - below))

    def _count(self) -> None:
        self.turns_ += 1
        if self.turns_ >= _REFRESH_TURNS:
            self._refresh()

    def _refresh(self) -> None:
        """Compute what follows from the counts."""
        self.turns_ = 0
        if self.reached_.sum() > _MEMORY:
            self.reached_ /= 2.0
            self.followed_ /= 2.0
            self.gaps_ /= 2.0
        prior, followed, reached = _PRIOR_TURNS, self.followed_, self.reached_
        overall = (followed.sum() + prior * _GOES_ON_PRIOR) / (reached.sum() + prior)
        chance = (followed + prior * overall) / (reached + prior)
        self.goes_on_ = np.array([chance[_bucket(turn)] for turn in range(_TURNS + 1)])
        last = float(self.goes_on_[_TURNS])
        left = min(last / max(1.0 - last, 1e-9), _MAX_REMAINING)
        remaining = [left]
        for p in self.goes_on_[-2::-1].tolist():
            left = min(p * (1.0 + left), _MAX_REMAINING)
            remaining.append(left)
        self.remaining_ = np.array(remaining[::-1])
        # A turn is on average in the middle of its conversation: as many come before as after it.
        middle = self.remaining_[_MIDDLE_TURNS]
        after = float(np.dot(reached, middle)) / max(float(reached.sum()), 1.0)
        self.length_ = 1.0 + 2.0 * after
        self.within_ = np.concatenate([[0.0], self.gaps_.cumsum()]) / self.gaps_.sum()


def last_turn(turn: int) -> int:
    """Number under which a turn is known."""
    return min(turn, _TURNS)


def _bucket(turn: int) -> int:
    """Group of a turn.

    Examples
    --------
    >>> [_bucket(turn) for turn in (1, 2, 3, 4, 5, 33, 1000)]
    [0, 1, 2, 2, 3, 6, 6]
    """
    return min(_BUCKETS - 1, max(0, turn - 1).bit_length())
