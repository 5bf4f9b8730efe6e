"""Certificates: bounds on an SLA's satisfaction, with their confidence and their assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from floorline.core.display import html_table, show_number
from floorline.core.drawing import interval_bar
from floorline.guarantees import Interval, betting_interval
from floorline.sla import SLA
from floorline.state.judged_certificate import (
    BY_JUDGE,
    WITH_USERS,
    JudgedCertificate,
    judged_certificates_of,
)
from floorline.state.latency_certificate import LatencyCertificate, latency_certificates_of
from floorline.state.ledger import POSITIVE_LABEL, Ledger
from floorline.state.reachability import Evidence, Reachability, reachability_of
from floorline.state.verdicts import Verdict

BETTING = "betting confidence sequence (constant-odds mixture)"

_TRUE_LABELS = (
    "A label states how satisfying the response was. A corrected label counts as if its last score "
    "had come first."
)
_REPRESENTATIVE = (
    "Whether a response gets a label depends neither on how satisfying it was nor on which model "
    "gave it, so that the labelled responses represent the others."
)
_WEIGHED = (
    "Several senders report labels. The bounds are about a weighted mean: labels of a sender weigh "
    "at most in proportion to its requests, and less where they contradict those of the others. A "
    "weight is set before its label is known. Users whose labels weigh less may be less satisfied."
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
        Weighted sum of the labels' scores.
    positive_labels : int
        Number of scores of ``POSITIVE_LABEL`` or more.
    floor_sum : float
        Weighted sum of the floors of the labelled requests.
    weight : float
        Sum of the labels' weights; their number where all weights are 1.
    """

    requests: int
    labels: int
    satisfied: float
    positive_labels: int
    floor_sum: float
    weight: float

    @property
    def representative(self) -> bool:
        """Whether labels may stand for the other responses: they are no complaints only."""
        return self.positive_labels > 0 or self.labels >= self.requests


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
        Weighted mean of the labels; None without any.
    lower, upper
        Bounds of the mean satisfaction.
    weight
        Sum of the labels' weights, which the bounds count instead of their number. It is less than
        the number where several senders of labels are weighed against each other.
    verdict
        The first that holds: ``"kept"`` if ``lower`` reaches the floor; ``"unreachable"`` if
        ``satisfaction`` is below the SLA's floor, which by ``reachability`` no model reaches or no
        mix within the budget; ``"broken"`` if ``upper`` is below the floor; ``"at risk"`` if only
        ``satisfaction`` is below it; ``"unknown"``.
    reason
        The verdict's reason in words.
    method, confidence, assumptions
        How the bounds are computed, with which confidence they hold, and under which assumptions.
    window
        Number of latest labels that the certificate is about; None for all.
    reachability
        Upper bounds of all models by all labels, and whether they can reach the SLA's floor; given
        with every verdict. None for a window.
    latency
        Certificates of the SLA's promises of latency, each with a verdict of its own.
    judged
        What the scores of each judge say, by themselves and together with users' labels.
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
    weight: float = 0.0
    reachability: Reachability | None = None
    latency: tuple[LatencyCertificate, ...] = ()
    judged: tuple[JudgedCertificate, ...] = ()

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
            ("weight of the labels", show_number(self.weight)),
            ("window", "all labels" if self.window is None else f"last {self.window:,} labels"),
            *reachability_rows(self.reachability),
            *(row for promise in self.latency for row in promise.rows()),
            *(row for judge in self.judged for row in judge.rows()),
            ("method", self.method),
            *(("assumption", text) for text in self.assumptions),
        ]
        table = html_table(f"Certificate of SLA {self.sla}", rows)
        return interval_bar(self.lower, self.upper, self.satisfaction, self.floor) + table


def reachability_rows(found: Reachability | None) -> list[tuple[str, str]]:
    """Rows of a table that show whether the models can reach the floor."""
    if found is None or not found.models:
        return []
    rows = [("the floor and the models", f"{found.finding}: {found.reason}")]
    if found.finding != "open":
        for bound in found.models:
            text = f"{bound.labels:,} labels of mean {show_number(bound.mean)}, at most "
            rows.append((f"satisfaction with {bound.model}", text + show_number(bound.upper)))
    return rows


def certificate_of(sla: SLA, ledger: Ledger, models: Sequence[str] = ()) -> Certificate:
    """Certify an SLA over all labels of its ledger; ``models`` are those that may serve."""
    served = ledger.requests_ - ledger.declined_
    tally = Tally(
        served,
        ledger.labels_,
        ledger.satisfied_,
        ledger.positive_labels_,
        ledger.floor_sum_,
        ledger.label_weight_,
    )
    evidence = Evidence(
        models=models,
        labels=ledger.by_model_,
        cost={name: cost / count for name, (count, _, cost) in ledger.expected_.items()},
        requests=ledger.requests_,
        budgets=ledger.budgets_,
    )
    labels = ledger.by_model_ if tally.representative else {}
    latency = latency_certificates_of(sla, ledger.timeliness_, models, labels)
    judged = judged_certificates_of(
        sla, ledger.judges_.judges_, (ledger.label_weight_, ledger.satisfied_)
    )
    return certify(sla, tally, evidence=evidence, latency=latency, judged=judged)


def window_certificate_of(sla: SLA, ledger: Ledger) -> Certificate:
    """Certify an SLA over the labels of its window; unknown while the SLA has none."""
    labels = ledger.recent_.values()
    positive = sum(score >= POSITIVE_LABEL for score, _, _ in labels)
    satisfied = sum(weight * score for score, _, weight in labels)
    floors = sum(weight * floor for _, floor, weight in labels)
    weight = float(sum(weight for _, _, weight in labels))
    served = ledger.requests_ - ledger.declined_
    tally = Tally(served, len(labels), satisfied, positive, floors, weight)
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
    evidence: Evidence | None = None,
    latency: tuple[LatencyCertificate, ...] = (),
    judged: tuple[JudgedCertificate, ...] = (),
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
    evidence
        What is known of the models; None if whether they can reach the floor is not asked.
    latency
        Certificates of the SLA's promises of latency.
    judged
        What judges' scores say.
    """
    weight = tally.weight
    if interval is None:
        interval = betting_interval(weight, tally.satisfied, 1.0 - sla.confidence)
        mean = min(max(tally.satisfied / weight, 0.0), 1.0) if weight else None
    if assumptions is None:
        sparse = (_REPRESENTATIVE,) if tally.labels < tally.requests else ()
        weighed = (_WEIGHED,) if weight < tally.labels else ()
        last = _ANYTIME if window is None else _ONE_LOOK
        by_judges = (BY_JUDGE, WITH_USERS) if judged else ()
        assumptions = (_TRUE_LABELS, *sparse, *weighed, *by_judges, last)
    # Sums of equal floors differ from their multiple in the last digits.
    floor = round(tally.floor_sum / weight, 12) if weight else sla.floor
    reach = None
    if evidence is not None:
        reach = reachability_of(sla, evidence, representative=tally.representative)
    verdict, reason = _judge(floor, mean, interval, tally, reach)
    return Certificate(
        sla=sla.name,
        floor=floor,
        requests=tally.requests,
        labels=tally.labels,
        satisfaction=mean,
        lower=interval.lower,
        upper=interval.upper,
        verdict=verdict,
        reason=reason,
        method=method,
        confidence=sla.confidence,
        assumptions=assumptions,
        window=window,
        weight=weight,
        reachability=reach,
        latency=latency,
        judged=judged,
    )


def _judge(
    floor: float,
    mean: float | None,
    interval: Interval,
    tally: Tally,
    reach: Reachability | None,
) -> tuple[Verdict, str]:
    if mean is None:
        return "unknown", "there is no label yet" if not tally.labels else "no label has a weight"
    if not tally.representative:
        return "unknown", (
            "no label is positive, and some responses have none: if users report complaints "
            "only, the labels do not represent the other responses"
        )
    if interval.lower >= floor:
        return "kept", f"the lower bound {interval.lower:.4f} reaches the floor {floor:g}"
    broken = f"the upper bound {interval.upper:.4f} is below the floor {floor:g}"
    if reach is not None and reach.finding != "open" and mean < reach.floor:
        # The floor was missed in either case, and this one says that it will be again.
        was = f"; for the responses so far, {broken}" if interval.upper < floor else ""
        return "unreachable", reach.reason + was
    if interval.upper < floor:
        return "broken", broken
    if mean < floor:
        return "at risk", (
            f"the mean {mean:.4f} is below the floor {floor:g}, which lies between the bounds"
        )
    return "unknown", (
        f"the mean {mean:.4f} reaches the floor {floor:g}, which lies between the bounds"
    )
