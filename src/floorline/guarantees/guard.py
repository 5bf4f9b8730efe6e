"""Guarded mode: how far above its floor a controller must aim for the lower bound to reach it."""

from __future__ import annotations

from floorline.errors import check_number
from floorline.guarantees.betting import total_needed
from floorline.guarantees.mixture import check_delta
from floorline.sla import check_floor

_FEWEST_AHEAD = 200.0


def guard_surplus(floor: float, labels: float, *, confidence: float = 0.95) -> float:
    """Surplus Σ (s − τ) of so many labels at which their lower bound reaches ``floor``.

    At most what labels can have, (1 − τ)·labels: that few prove nothing. About 60 µs.

    Parameters
    ----------
    floor, labels, confidence
        As for ``guard_margin``.

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
    """Margin to aim above ``floor`` so that the lower confidence bound reaches it.

    If the next ``ahead`` labels have mean ``floor`` plus this margin, then after them the lower
    bound of ``betting_interval`` over all labels is at least ``floor``. It is 0 if the labels so
    far suffice even when the next ones have mean ``floor``, and never above 1 − floor; at that cap
    the bound cannot be reached within so few labels.

    About 60 µs; ask anew every few dozen labels, not for each request.

    Parameters
    ----------
    floor
        τ, or the mean floor if it differs between requests.
    labels, satisfied
        Number of labels so far and the sum of their scores: ``Ledger.labels_``, ``satisfied_``.
    confidence
        The SLA's.
    ahead
        Number of labels within which the bound is to reach the floor, such as the reporting rate
        times the requests of a period. By default as many as there are, and at least 200: the plan
        is to be proved by the time the labels have doubled.

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
        ahead = max(labels, _FEWEST_AHEAD)
    check_number("ahead", ahead, low=1.0, fix="give a number of labels of 1 or more")
    needed = total_needed(labels + ahead, floor, (1.0 - confidence) / 2.0)
    return min(max((needed - satisfied) / ahead - floor, 0.0), 1.0 - floor)
