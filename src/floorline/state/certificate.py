"""Certificates: bounds on an SLA's satisfaction, with their confidence and their assumptions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from floorline.core.display import html_table, show_number
from floorline.guarantees import Interval, betting_interval
from floorline.sla import SLA
from floorline.state.ledger import POSITIVE_LABEL, Ledger

Verdict = Literal["kept", "at risk", "broken", "unknown"]

BETTING = "betting confidence sequence (constant-odds mixture)"

_TRUE_LABELS = (
    "A label states how satisfying the response was. A corrected label counts as if its last score "
    "had come first."
)
_REPRESENTATIVE = (
    "Whether a response gets a label depends neither on how satisfying it was nor on which model "
    "gave it, so that the labelled responses represent the others."
)
_ANYTIME = (
    "The bounds hold at every number of labels at once, so that they may be read at any time. They "
    "are about the mean of the expected satisfaction of the responses so far, which may drift, and "
    "not about responses to come."
)
_ONE_LOOK = (
    "The bounds hold for this window at this time, not for all windows at once. They are about the "
    "mean of the expected satisfaction of its responses."
)


class Tally(NamedTuple):
    """Counts and sums that a certificate is computed from.

    Attributes
    ----------
    requests : int
        Number of served requests.
    labels : int
        Number of them with a label.
    satisfied : float
        Sum of the labels' scores.
    positive_labels : int
        Number of scores of ``POSITIVE_LABEL`` or more.
    floor_sum : float
        Sum of the floors of the labelled requests.
    """

    requests: int
    labels: int
    satisfied: float
    positive_labels: int
    floor_sum: float


class Certificate(msgspec.Struct, frozen=True):
    """Bounds on the mean satisfaction under an SLA, and the verdict on its floor.

    Attributes
    ----------
    sla
        Name of the SLA.
    floor
        Mean of the floors of the labelled requests; the SLA's own where there is no label.
    requests, labels
        Number of served requests, and of those with a label.
    satisfaction
        Mean of the labels; None without any.
    lower, upper
        Bounds of the mean satisfaction.
    verdict
        ``"kept"`` if ``lower`` reaches the floor, ``"broken"`` if ``upper`` is below it,
        ``"at risk"`` if only ``satisfaction`` is below it, ``"unknown"`` otherwise.
    reason
        The verdict's reason in words.
    method, confidence, assumptions
        How the bounds are computed, with which confidence they hold, and under which assumptions.
    window
        Number of latest labels that the certificate is about; None for all.
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

    def __repr__(self) -> str:
        return (
            f"Certificate({self.sla!r}: {self.verdict}, satisfaction "
            f"{show_number(self.satisfaction)} in [{show_number(self.lower)}, "
            f"{show_number(self.upper)}] at confidence {self.confidence:g}, floor {self.floor:g}, "
            f"{self.labels:,} labels of {self.requests:,} requests)"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("verdict", f"{self.verdict}: {self.reason}"),
            ("floor", f"{self.floor:g}"),
            ("satisfaction", show_number(self.satisfaction)),
            ("bounds", f"{show_number(self.lower)} to {show_number(self.upper)}"),
            ("confidence", f"{self.confidence:g}"),
            ("labels", f"{self.labels:,} of {self.requests:,} requests"),
            ("window", "all labels" if self.window is None else f"last {self.window:,} labels"),
            ("method", self.method),
            *(("assumption", text) for text in self.assumptions),
        ]
        return html_table(f"Certificate of SLA {self.sla}", rows)


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
    positive = sum(score >= POSITIVE_LABEL for score in scores)
    floors = sum(ledger.recent_floors_.values())
    served = ledger.requests_ - ledger.declined_
    tally = Tally(served, len(scores), sum(scores), positive, floors)
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
    """Certify a tally, by the betting confidence sequence or by a given interval.

    Floors that differ between requests need no other method: a floor τ is known before the
    response, so bounds of the mean of s − τ are those of the mean of s, minus the mean floor.

    Parameters
    ----------
    sla
        SLA that is certified.
    tally
        Counts and sums of its labels.
    interval, mean, method, assumptions
        Bounds, estimate, name and assumptions of another method.
    window
        Number of latest labels that the tally is limited to; None for all.
    """
    n = tally.labels
    if interval is None:
        interval = betting_interval(n, tally.satisfied, 1.0 - sla.confidence)
        mean = min(max(tally.satisfied / n, 0.0), 1.0) if n else None
    if assumptions is None:
        sparse = (_REPRESENTATIVE,) if n < tally.requests else ()
        assumptions = (_TRUE_LABELS, *sparse, _ANYTIME if window is None else _ONE_LOOK)
    # Sums of equal floors differ from their multiple in the last digits.
    floor = round(tally.floor_sum / n, 12) if n else sla.floor
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
        return "unknown", "there is no label yet"
    if tally.positive_labels == 0 and tally.labels < tally.requests:
        return "unknown", (
            "no label is positive, and some responses have none: if users report complaints "
            "only, the labels do not represent the other responses"
        )
    if interval.lower >= floor:
        return "kept", f"the lower bound {interval.lower:.4f} reaches the floor {floor:g}"
    if interval.upper < floor:
        return "broken", f"the upper bound {interval.upper:.4f} is below the floor {floor:g}"
    if mean < floor:
        return "at risk", (
            f"the mean {mean:.4f} is below the floor {floor:g}, which lies between the bounds"
        )
    return "unknown", (
        f"the mean {mean:.4f} reaches the floor {floor:g}, which lies between the bounds"
    )
