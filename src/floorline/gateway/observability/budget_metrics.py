"""Metrics of the budgets of SLAs: amount, costs of the period, and how much of it has gone by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from floorline.errors import InvalidInput
from floorline.gateway.observability.labels import MAX_VALUES, OTHER, LabelValues
from floorline.gateway.tenants import split_tenant

if TYPE_CHECKING:
    from floorline.router import Router


def budget_metrics(router: Router) -> list[Metric]:
    """Budgets of all SLAs in the periods that hold now; at most ``MAX_VALUES`` amounts.

    The label ``model`` is empty for the amount that bounds all models together.
    """
    labels = ["sla", "tenant", "model"]
    amount = GaugeMetricFamily(
        "floorline_sla_budget",
        "Largest cost of a budget's period, in the cost unit; model is empty for the budget of all "
        "models together.",
        labels=labels,
    )
    spent = GaugeMetricFamily(
        "floorline_sla_budget_spent",
        "Cost of calls in the budget's present period, in the cost unit.",
        labels=labels,
    )
    elapsed = GaugeMetricFamily(
        "floorline_sla_budget_elapsed_ratio",
        "Share of the budget's present period that has gone by; absent for a budget that is never "
        "renewed.",
        labels=labels,
    )
    slas, tenants, models = LabelValues(), LabelValues(), LabelValues()
    now, shown = router.clock(), 0
    for name in list(router.slas):
        try:
            status = router.budget_status(name, at=now)
        except InvalidInput:
            # Scrapes run in a thread of their own; the SLA was removed meanwhile.
            continue
        base, tenant = split_tenant(name)
        for line in status.lines:
            where = (slas.of(base), tenants.of(tenant), models.of(line.model))
            shown += 1
            if OTHER in where or shown > MAX_VALUES:
                continue
            amount.add_metric(where, line.amount)
            spent.add_metric(where, line.spent)
            if status.began is not None and status.period is not None:
                gone = (now - status.began) / status.period
                elapsed.add_metric(where, min(max(gone, 0.0), 1.0))
    return [amount, spent, elapsed]
