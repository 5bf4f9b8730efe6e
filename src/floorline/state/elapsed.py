"""How long the client of a call waited, from what its outcome says."""

from __future__ import annotations

import math
from typing import NamedTuple

from floorline.events import (
    DISCONNECTED,
    INTERRUPTED,
    NOT_CALLED,
    REFUSED,
    UNREPORTED,
    UNTRANSLATED,
    Outcome,
)
from floorline.sla import MEASURES, Measure


class Elapsed(NamedTuple):
    """Bounds of the seconds that a client waited; equal where they are measured.

    ``upper`` is infinite where the end was not seen, and both are where it never came.

    Examples
    --------
    >>> Elapsed(0.0, 3.0).is_within(4.0), Elapsed(5.0, math.inf).is_within(4.0)
    (True, False)
    >>> Elapsed(0.0, 5.0).is_within(4.0) is None
    True
    """

    lower: float
    upper: float

    def is_within(self, limit: float) -> bool | None:
        """Whether the client waited at most ``limit`` seconds; None where that is not known."""
        if self.upper <= limit:
            return True
        return False if self.lower > limit else None

    def plus(self, seconds: float) -> Elapsed:
        """Return the bounds of a time that began so many seconds earlier."""
        return Elapsed(self.lower + seconds, self.upper + seconds) if seconds else self


NEVER = Elapsed(math.inf, math.inf)
"""A call that failed: what it promised never came."""
UNKNOWN = Elapsed(0.0, math.inf)
"""A call that nothing is known of."""


class CallTimes(NamedTuple):
    """How long a call took to its first content and to its end; see ``elapsed``.

    ``failed`` says that no answer began, so that another model may be called in its place.
    """

    ttft: Elapsed | None
    latency: Elapsed | None
    failed: bool


def call_times(outcome: Outcome, began: float) -> CallTimes:
    """Times of a call whose decision was made at ``began``, in seconds."""
    failed = outcome.error is not None and outcome.latency is None
    first, total = (elapsed(outcome, measure, began) for measure in MEASURES)
    return CallTimes(first, total, failed)


def elapsed(outcome: Outcome, measure: Measure, began: float) -> Elapsed | None:
    """Bounds of the time from a call's beginning to the first content or the end of its answer.

    - A failed call is late at every limit, and so is one that a stop of the gateway cut off.
    - An answer that came in one piece has its first content at its end.
    - A client that left before the end waited at least until then: that is late beyond a limit, and
      within the limit not known. If it had its first content, that time is known.
    - A call that the client made and did not report is not known.

    Returns
    -------
    Elapsed or None
        None where the provider refused the request, or would not have understood it, which is the
        client's own error: such a call says nothing of how fast answers are.
    """
    error, total, first = outcome.error, outcome.latency, outcome.first_token
    if error is not None and error.startswith((REFUSED, UNTRANSLATED)):
        return None
    if error == UNREPORTED:
        return UNKNOWN
    if measure == "ttft":
        if first is not None:
            return Elapsed(first, first)
        if error is None and total is not None:
            return Elapsed(0.0, total)
    elif error is None and total is not None:
        return Elapsed(total, total)
    if error is None:
        return UNKNOWN
    if error != DISCONNECTED:
        return NEVER
    if measure == "ttft" and total is not None:
        # The answer had begun, so its first content may have come.
        return UNKNOWN
    left = max(0.0, outcome.at - began) if total is None else total
    return Elapsed(left, math.inf)


def says_nothing_of_model(outcome: Outcome) -> bool:
    """Whether a failure was not the model's: the gateway itself ended, or did not call it."""
    return outcome.error in (INTERRUPTED, NOT_CALLED)
