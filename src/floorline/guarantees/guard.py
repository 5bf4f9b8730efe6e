"""Guarded mode: the margin above the floor at which its lower confidence bound reaches it."""

from __future__ import annotations

from floorline.errors import check_number
from floorline.guarantees.betting import total_needed
from floorline.guarantees.mixture import check_delta
from floorline.sla import check_floor

_MIN_LABELS_AHEAD = 200.0
"""Least default number of future labels of ``guard_margin``. With 200 the margin is below its cap
1 − τ for floors up to 0.95; with 100 it is not."""


def guard_surplus(floor: float, labels: float, *, confidence: float = 0.95) -> float:
    """Compute the surplus Σ (s − τ) of ``labels`` labels at which their lower bound is ``floor``.

    The result is capped at (1 − τ)·labels, the largest possible surplus. At the cap the lower
    bound cannot reach the floor with so few labels. One call takes about 60 µs.

    Parameters
    ----------
    floor
        The floor τ.
    labels
        Number of labels.
    confidence
        Confidence level of the interval of which the bound is the lower end.

    Raises
    ------
    InvalidInput
        If an argument is out of range.

    Examples
    --------
    >>> round(guard_surplus(0.9, 1000)), round(guard_surplus(0.9, 4000))
    (29, 61)
    """
    check_floor("floor", floor)
    check_delta(1.0 - check_number("confidence", confidence, fix="give a number such as 0.95"))
    check_number("labels", labels, low=0.0, fix="give a number of labels of 0 or more")
    needed = total_needed(labels, floor, (1.0 - confidence) / 2.0)
    return min(max(needed - labels * floor, 0.0), (1.0 - floor) * labels)


def guard_margin(
    floor: float,
    labels: float = 0.0,
    satisfied: float = 0.0,
    *,
    confidence: float = 0.95,
    ahead: float | None = None,
) -> float:
    """Compute the margin to add to ``floor`` so that the lower confidence bound reaches it.

    If the next ``ahead`` labels have mean ``floor`` plus this margin, then the lower bound of
    ``betting_interval`` over all labels is at least ``floor`` after them. The margin is 0 if it is
    at least ``floor`` even when the next labels have mean ``floor``. The margin is at most
    1 − floor; at this cap the bound cannot reach the floor within ``ahead`` labels.

    One call takes about 60 µs; repeat it every few dozen labels, not for each request.

    Parameters
    ----------
    floor
        The floor τ, or the mean floor if it differs between requests.
    labels
        Number of labels so far, ``Ledger.labels_``.
    satisfied
        Sum of their scores, ``Ledger.satisfied_``.
    confidence
        Confidence level of the SLA.
    ahead
        Number of labels after which the bound reaches the floor, for example the label rate times
        the number of requests in a period. Default: the number of labels so far, at least 200, so
        that the floor is proved when the number of labels has doubled.

    Raises
    ------
    InvalidInput
        If an argument is out of range.

    Examples
    --------
    >>> round(guard_margin(0.9), 3), round(guard_margin(0.9, 1000, 900), 3)
    (0.062, 0.042)
    >>> guard_margin(0.9, 1000, 960)
    0.0
    """
    check_floor("floor", floor)
    check_delta(1.0 - check_number("confidence", confidence, fix="give a number such as 0.95"))
    check_number("labels", labels, low=0.0, fix="give a number of labels of 0 or more")
    fix = "give the sum of the labels' scores"
    check_number("satisfied", satisfied, low=0.0, high=labels + 1e-9 * (1.0 + labels), fix=fix)
    if ahead is None:
        ahead = max(labels, _MIN_LABELS_AHEAD)
    check_number("ahead", ahead, low=1.0, fix="give a number of labels of 1 or more")
    needed = total_needed(labels + ahead, floor, (1.0 - confidence) / 2.0)
    return min(max((needed - satisfied) / ahead - floor, 0.0), 1.0 - floor)
