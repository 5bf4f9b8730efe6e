"""How an SLA stands: what was promised, what was measured, and what can be said of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from floorline.guarantees import hoeffding_radius
from floorline.ledger import Ledger
from floorline.sla import SLA

Verdict = Literal["kept", "at risk", "broken", "unknown"]


class Status(msgspec.Struct, frozen=True):
    """How an SLA stands.

    ``satisfaction`` is the mean over all labels of served responses (None without any), ``recent``
    that over the SLA's window. ``lower`` and ``upper`` hold at the SLA's confidence at any time,
    if the labelled requests are representative of all. ``spent`` is what calls cost in the zoo's
    unit since the start, ``reserved`` what open calls are expected to cost.

    ``best_fixed`` is the model of the highest estimated mean quality and ``savings`` the share of
    what it alone is estimated to have cost that was not spent (None before the first request).

    ``verdict``: ``kept`` if even ``lower`` reaches the floor, ``broken`` if even ``upper`` misses
    it, else ``at risk`` if the mean misses it and ``unknown`` if there is too little to tell.
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


def status_of(sla: SLA, ledger: Ledger, cost_unit: str) -> Status:
    """Sum up an SLA's ledger."""
    n = ledger.labels_
    mean = ledger.satisfied_ / n if n else None
    radius = hoeffding_radius(n, 1.0 - sla.confidence)
    lower = 0.0 if mean is None else max(0.0, mean - radius)
    upper = 1.0 if mean is None else min(1.0, mean + radius)
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
        labels=n,
        satisfaction=mean,
        recent=sum(recent) / len(recent) if recent else None,
        lower=lower,
        upper=upper,
        verdict=_verdict(sla.floor, mean, lower, upper),
        spent=ledger.lifetime_spend_,
        reserved=reserved,
        cost_unit=cost_unit,
        best_fixed=best[0] if best else None,
        savings=1.0 - (ledger.lifetime_spend_ + reserved) / alone if alone > 0 else None,
    )


def _verdict(floor: float, mean: float | None, lower: float, upper: float) -> Verdict:
    if mean is None:
        return "unknown"
    if lower >= floor:
        return "kept"
    if upper < floor:
        return "broken"
    return "at risk" if mean < floor else "unknown"
