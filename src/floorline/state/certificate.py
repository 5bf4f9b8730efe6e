"""Certificates: what can be said of a promise, at a stated confidence and on stated assumptions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from floorline.guarantees import Interval, betting_interval
from floorline.sla import SLA
from floorline.state.ledger import POSITIVE_LABEL, Ledger

Verdict = Literal["kept", "at risk", "broken", "unknown"]

BETTING = "betting confidence sequence (constant-odds mixture)"

_TRUE_LABELS = (
    "A label says how satisfying the response was. A corrected label counts as last corrected, as "
    "if it had come so at first."
)
_REPRESENTATIVE = (
    "Whether a response gets a label depends neither on how satisfying it was nor on which model "
    "gave it. Unlabelled responses are spoken for by the labelled ones."
)
_ANYTIME = (
    "The bounds hold at every number of labels at once, so one may look at any time. They are "
    "about the mean of what was to be expected of the responses so far, which may drift, and say "
    "nothing of responses to come."
)
_ONE_LOOK = (
    "The bounds hold for this window at this look, not for all windows at once. They are about the "
    "mean of what was to be expected of its responses."
)


class Tally(NamedTuple):
    """What a certificate is made of.

    Number of served ``requests``, of which ``labels`` have a label; the sum of the labels' scores
    ``satisfied``, how many of them are praise, and the sum of the floors promised to them.
    """

    requests: int
    labels: int
    satisfied: float
    praised: int
    promised: float


class Certificate(msgspec.Struct, frozen=True):
    """What can be said of an SLA now.

    ``floor`` is the mean of the floors that held for the labelled requests, the SLA's own where no
    request had another; ``satisfaction`` the mean of the labels (None without any). ``lower`` and
    ``upper`` bound the mean satisfaction at ``confidence``, by ``method``, under ``assumptions``.
    ``window`` is the number of latest labels it is about, None for all.

    ``verdict``: ``kept`` if even ``lower`` reaches the floor, ``broken`` if even ``upper`` misses
    it, else ``at risk`` if the mean misses it and ``unknown`` if there is too little to tell;
    ``reason`` says so in words.
    """

    sla: str
    floor: float
    requests: int
    labels: int
    satisfaction: float | None
    lower: float
    upper: float
    verdict: Verdict
    reason: str
    method: str
    confidence: float
    assumptions: tuple[str, ...]
    window: int | None = None


def certificate_of(sla: SLA, ledger: Ledger) -> Certificate:
    """Certify an SLA over all labels of its ledger."""
    served = ledger.requests_ - ledger.declined_
    tally = Tally(
        served, ledger.labels_, ledger.satisfied_, ledger.positive_labels_, ledger.floor_sum_
    )
    return certify(sla, tally)


def window_certificate_of(sla: SLA, ledger: Ledger) -> Certificate:
    """Certify an SLA over the labels of its window; unknown while the SLA has none."""
    scores = ledger.recent_.values()
    praised = sum(score >= POSITIVE_LABEL for score in scores)
    promised = sum(ledger.recent_floors_.values())
    served = ledger.requests_ - ledger.declined_
    tally = Tally(served, len(scores), sum(scores), praised, promised)
    return certify(sla, tally, window=sla.label_window)


def certify(
    sla: SLA,
    tally: Tally,
    *,
    interval: Interval | None = None,
    mean: float | None = None,
    method: str = BETTING,
    assumptions: tuple[str, ...] | None = None,
    window: int | None = None,
) -> Certificate:
    """Judge a tally, by the betting confidence sequence or by a given interval.

    A floor that differs between requests needs no other method: it is known before the response,
    so bounds on the mean of s − τ are those on the mean of s less the mean floor.

    Parameters
    ----------
    interval, mean, method, assumptions
        Bounds and estimate made in another way, what it is called and what it assumes.
    window
        Number of latest labels that the tally is limited to, if it is.
    """
    n = tally.labels
    if interval is None:
        interval = betting_interval(n, tally.satisfied, 1.0 - sla.confidence)
        mean = min(max(tally.satisfied / n, 0.0), 1.0) if n else None
    if assumptions is None:
        sparse = (_REPRESENTATIVE,) if n < tally.requests else ()
        assumptions = (_TRUE_LABELS, *sparse, _ANYTIME if window is None else _ONE_LOOK)
    # Sums of equal floors differ from their multiple in the last digits.
    floor = round(tally.promised / n, 12) if n else sla.floor
    verdict, reason = _judge(floor, mean, interval, tally)
    return Certificate(
        sla=sla.name,
        floor=floor,
        requests=tally.requests,
        labels=n,
        satisfaction=mean,
        lower=interval.lower,
        upper=interval.upper,
        verdict=verdict,
        reason=reason,
        method=method,
        confidence=sla.confidence,
        assumptions=assumptions,
        window=window,
    )


def _judge(
    floor: float, mean: float | None, interval: Interval, tally: Tally
) -> tuple[Verdict, str]:
    if mean is None:
        return "unknown", "nobody has given feedback yet"
    if tally.praised == 0 and tally.labels < tally.requests:
        return "unknown", (
            "only complaints came, and not from every request: where nobody ever praises, "
            "silence may mean anything"
        )
    if interval.lower >= floor:
        return "kept", f"even the lower bound {interval.lower:.4f} reaches the floor {floor:g}"
    if interval.upper < floor:
        return "broken", f"even the upper bound {interval.upper:.4f} misses the floor {floor:g}"
    if mean < floor:
        return "at risk", (
            f"the mean {mean:.4f} misses the floor {floor:g}, and the bounds do not rule out that "
            "this is chance"
        )
    return "unknown", (
        f"the mean {mean:.4f} reaches the floor {floor:g}, and the bounds do not rule out that "
        "this is chance"
    )
