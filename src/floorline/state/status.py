"""Status of an SLA: what it asks for, what was measured, and the verdict of its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from floorline.core.display import html_table, show_number
from floorline.core.drawing import interval_bar
from floorline.errors import listed
from floorline.policies.base import ModelEstimates
from floorline.sla import SLA
from floorline.state.certificate import certificate_of, reachability_rows
from floorline.state.judged_certificate import JudgedCertificate
from floorline.state.latency_certificate import LatencyCertificate
from floorline.state.ledger import Ledger
from floorline.state.model_knowledge import knowledge_of
from floorline.state.reachability import Reachability
from floorline.state.savings import Reference, references_of
from floorline.state.senders import SenderRow
from floorline.state.verdicts import Verdict
from floorline.zoo import Zoo

MOST_SENDERS = 20
"""Most senders of labels that a status or a certificate lists."""


class Status(msgspec.Struct, frozen=True):
    """Status of an SLA.

    Attributes
    ----------
    sla, floor
        Name and floor of the SLA.
    requests, explored, declined
        Number of requests; of these, explored and declined ones.
    labels
        Number of served responses with a label.
    satisfaction, recent
        Mean of all labels, and of those in the SLA's window; None without any.
    lower, upper, verdict, reason
        Bounds and verdict of the SLA's ``Certificate``, which states what they assume.
    spent
        Cost of all calls and labels since the start, in ``cost_unit``.
    reserved
        Estimated cost of the calls without an outcome.
    cost_unit
        ``"USD"`` or ``"J"``.
    best_fixed
        Model of the highest estimated quality, of those that may serve; None before the first
        request.
    savings
        Share saved of the estimated cost of serving ``best_fixed`` only; None before the first
        request, and while prices are missing.
    references
        What is saved against the best fixed model and against the static mix, each told the
        estimates of today or the hints; empty before the first request, and while prices are
        missing.
    label_weight
        Sum of the labels' weights; their number under an SLA with one sender of labels.
    senders
        The ``MOST_SENDERS`` tenants or keys of most requests, with what their labels weigh; the
        others as one row.
    reachability
        Upper bounds of all models, and whether they can reach the floor within the budget.
    latency
        Certificates of the SLA's promises of latency.
    judged
        What the scores of each judge say, as in the ``Certificate``.
    missing_prices
        Models that may serve whose prices are unknown: ``spent`` leaves out what they cost.
    """

    sla: str
    floor: float
    requests: int
    explored: int
    declined: int
    labels: int
    satisfaction: float | None
    recent: float | None
    lower: float
    upper: float
    verdict: Verdict
    spent: float
    reserved: float
    cost_unit: str
    best_fixed: str | None = None
    savings: float | None = None
    reason: str = ""
    label_weight: float = 0.0
    senders: tuple[SenderRow, ...] = ()
    reachability: Reachability | None = None
    latency: tuple[LatencyCertificate, ...] = ()
    judged: tuple[JudgedCertificate, ...] = ()
    missing_prices: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Status({self.sla!r}: {self.verdict}, satisfaction {show_number(self.satisfaction)} "
            f"in [{show_number(self.lower)}, {show_number(self.upper)}], floor {self.floor:g}, "
            f"{self.requests:,} requests, {self.labels:,} labels, "
            f"spent {show_number(self.spent)} {self.cost_unit}{self._left_out()})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("verdict", f"{self.verdict}: {self.reason}" if self.reason else self.verdict),
            ("floor", f"{self.floor:g}"),
            ("satisfaction", show_number(self.satisfaction)),
            ("satisfaction in the window", show_number(self.recent)),
            ("bounds", f"{show_number(self.lower)} to {show_number(self.upper)}"),
            ("requests", show_number(self.requests)),
            ("explored, declined", f"{self.explored:,}, {self.declined:,}"),
            ("labels", show_number(self.labels)),
            ("spent", f"{show_number(self.spent)} {self.cost_unit}{self._left_out()}"),
            ("reserved", f"{show_number(self.reserved)} {self.cost_unit}"),
            *reachability_rows(self.reachability),
            *(row for promise in self.latency for row in promise.rows()),
            *(row for judge in self.judged for row in judge.rows()),
        ]
        for reference in self.references:
            if reference.savings is not None:
                used = listed(reference.models)
                name = f"saved against the {reference.name} ({used}), told the {reference.told}"
                rows.append((name, f"{reference.savings:.1%}"))
        if len(self.senders) > 1:
            rows += [
                (f"labels of {row.sender or 'no tenant'}", _sender_text(row, self))
                for row in self.senders
            ]
        table = html_table(f"SLA {self.sla}", rows)
        return interval_bar(self.lower, self.upper, self.satisfaction, self.floor) + table

    def _left_out(self) -> str:
        if not self.missing_prices:
            return ""
        return f" without {listed(self.missing_prices)}, of unknown prices"


class SlaTotals(NamedTuple):
    """Counts of an SLA since its beginning, and what its calls and labels cost.

    Attributes
    ----------
    requests, explored, declined, labels
        As in ``Status``.
    spend
        Cost in the zoo's unit.
    """

    requests: int
    explored: int
    declined: int
    labels: int
    spend: float

    def plus(self, other: SlaTotals) -> SlaTotals:
        """Return the sums of both."""
        return SlaTotals(
            self.requests + other.requests,
            self.explored + other.explored,
            self.declined + other.declined,
            self.labels + other.labels,
            self.spend + other.spend,
        )


NO_TOTALS = SlaTotals(0, 0, 0, 0, 0.0)


def totals_of(ledger: Ledger) -> SlaTotals:
    """Read the counts of an SLA, which takes far less time than its status."""
    return SlaTotals(
        ledger.requests_,
        ledger.explored_,
        ledger.declined_,
        ledger.labels_,
        ledger.lifetime_spend_,
    )


def status_of(
    sla: SLA,
    ledger: Ledger,
    zoo: Zoo,
    models: Sequence[str],
    estimates: ModelEstimates | None = None,
) -> Status:
    """Sum up an SLA's ledger.

    Parameters
    ----------
    sla, ledger, zoo
        The SLA, what was counted under it, and all models.
    models
        Names of the models that may serve.
    estimates
        What the policy knows of the models.
    """
    missing = tuple(name for name in zoo.unpriced if name in models)
    certificate = certificate_of(sla, ledger, models)
    reserved = sum(ledger.reserved_.values())
    known = knowledge_of(ledger, zoo, models, estimates)
    references = references_of(
        sla,
        known,
        zoo,
        requests=ledger.requests_,
        spent=ledger.lifetime_spend_ + reserved,
    )
    best = next((r for r in references if r.name == "best fixed"), None)
    return Status(
        sla=sla.name,
        floor=sla.floor,
        requests=ledger.requests_,
        explored=ledger.explored_,
        declined=ledger.declined_,
        labels=certificate.labels,
        satisfaction=certificate.satisfaction,
        recent=_recent_mean(ledger),
        lower=certificate.lower,
        upper=certificate.upper,
        verdict=certificate.verdict,
        spent=ledger.lifetime_spend_,
        reserved=reserved,
        cost_unit=zoo.cost_unit,
        best_fixed=None if best is None else next(iter(best.models)),
        savings=None if best is None or missing else best.savings,
        reason=certificate.reason,
        label_weight=ledger.label_weight_,
        senders=ledger.senders_.rows(MOST_SENDERS),
        reachability=certificate.reachability,
        latency=certificate.latency,
        judged=certificate.judged,
        missing_prices=missing,
        references=() if missing else references,
    )


def _sender_text(row: SenderRow, status: Status) -> str:
    requests, weight = max(status.requests, 1), status.label_weight or 1.0
    return (
        f"{row.labels:,} of mean {show_number(row.mean)}, {row.requests / requests:.1%} of the "
        f"requests, {row.weight / weight:.1%} of the weight"
    )


def _recent_mean(ledger: Ledger) -> float | None:
    """Weighted mean of the labels in the SLA's window; None without any."""
    labels = ledger.recent_.values()
    weight = sum(weight for _, _, weight in labels)
    return sum(weight * score for score, _, weight in labels) / weight if weight else None
