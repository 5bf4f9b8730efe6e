"""How an SLA stands: what was promised, what was measured, and what can be said of it."""

from __future__ import annotations

import msgspec

from floorline.sla import SLA
from floorline.state.certificate import Verdict, certificate_of
from floorline.state.ledger import Ledger


class Status(msgspec.Struct, frozen=True):
    """How an SLA stands.

    ``satisfaction`` is the mean over all labels of served responses (None without any), ``recent``
    that over the SLA's window. ``lower``, ``upper``, ``verdict`` and its ``reason`` are those of
    the SLA's ``Certificate``, which says what they assume. ``spent`` is what calls cost in the
    zoo's unit since the start, ``reserved`` what open calls are expected to cost.

    ``best_fixed`` is the model of the highest estimated mean quality and ``savings`` the share of
    what it alone is estimated to have cost that was not spent (None before the first request).
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


def status_of(sla: SLA, ledger: Ledger, cost_unit: str) -> Status:
    """Sum up an SLA's ledger."""
    certificate = certificate_of(sla, ledger)
    recent = ledger.recent_.values()
    best = ledger.best_fixed()
    alone = best[1] * ledger.requests_ if best else 0.0
    reserved = sum(ledger.reserved_.values())
    return Status(
        sla=sla.name,
        floor=sla.floor,
        requests=ledger.requests_,
        explored=ledger.explored_,
        declined=ledger.declined_,
        labels=certificate.labels,
        satisfaction=certificate.satisfaction,
        recent=sum(recent) / len(recent) if recent else None,
        lower=certificate.lower,
        upper=certificate.upper,
        verdict=certificate.verdict,
        spent=ledger.lifetime_spend_,
        reserved=reserved,
        cost_unit=cost_unit,
        best_fixed=best[0] if best else None,
        savings=1.0 - (ledger.lifetime_spend_ + reserved) / alone if alone > 0 else None,
        reason=certificate.reason,
    )
