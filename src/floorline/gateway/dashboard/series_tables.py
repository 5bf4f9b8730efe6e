"""Tables of series over time: promises, traffic, spending, latencies and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.tenants import split_tenant
from floorline.state.time_buckets import OTHERS

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.series import Series
    from floorline.gateway.dashboard.viewer import Viewer


_FRESH_SECONDS = 4.0
"""Age up to which all viewers get the same table. Pages load their charts every 10 seconds."""

_MOST_SLAS = 50
"""Most SLAs of a table; with one per tenant there can be a thousand, each of 700 rows."""


@data_table("promises", fresh_for=_FRESH_SECONDS)
def promises(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Course of each promise on satisfaction; a row per SLA and time.

    A tenant sees no number of labels of an SLA that it shares with others.
    """
    rows: list[list[Any]] = []
    for name in _chosen(dashboard, viewer, filters):
        found = dashboard.history.promise(name, filters.seconds)
        labels = _hidden(found.labels, viewer, name)
        columns = (found.times, found.mean, found.lower, found.upper, found.floor, labels)
        rows += [[at, name, *values] for at, *values in zip(*columns, strict=True)]
    return Table(("at", "sla", "mean", "lower", "upper", "floor", "labels"), rows)


@data_table("latency_promises", fresh_for=_FRESH_SECONDS)
def latency_promises(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Course of each promise of latency; a row per SLA, promise and time.

    A tenant sees no number of requests of an SLA that it shares with others.
    """
    rows: list[list[Any]] = []
    for name in _chosen(dashboard, viewer, filters):
        for found in dashboard.history.latency_promises(name, filters.seconds):
            requests = _hidden(found.requests, viewer, name)
            columns = (found.times, found.within, found.lower, found.upper, requests)
            made = found.promise
            rows += [
                [at, name, made.name, within, lower, upper, made.share, count]
                for at, within, lower, upper, count in zip(*columns, strict=True)
            ]
    names = ("at", "sla", "promise", "within", "lower", "upper", "promised", "requests")
    return Table(names, rows)


def _chosen(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[str]:
    """Names of the SLAs that the filters leave, at most ``_MOST_SLAS``."""
    names = dashboard.sla_names(viewer) if filters.sla is None else [filters.sla]
    slas = dashboard.gateway.router.slas
    kept = [name for name in names if name in slas]
    if filters.tenant is not None:
        kept = [name for name in kept if split_tenant(name)[1] in ("", filters.tenant)]
    return kept[:_MOST_SLAS]


def _hidden(counts: Sequence[int], viewer: Viewer, sla: str) -> Sequence[int | None]:
    """Return counts of an SLA; None in their place where they tell of other tenants."""
    shared = viewer.tenant is not None and not split_tenant(sla)[1]
    return [None] * len(counts) if shared else counts


_TRAFFIC = (
    "requests", "fallbacks", "declined", "explored", "calls", "errors", "refused",
    "labels", "label_sum", "satisfaction",
)  # fmt: skip


@data_table("traffic", fresh_for=_FRESH_SECONDS)
def traffic(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Numbers of requests, errors and labels; a row per bucket of time."""
    found = _series(dashboard, filters)
    rows = [
        [at, *(getattr(totals, name) for name in _TRAFFIC)]
        for at, totals in zip(found.times, found.totals, strict=True)
    ]
    return Table(("at", *_TRAFFIC), rows)


@data_table("spend", fresh_for=_FRESH_SECONDS)
def spend(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Cost of calls and labels; a row per bucket of time, a column per model that had any."""
    found = _series(dashboard, filters)
    models = [name for name, totals in found.whole_by_model().items() if totals.spend]
    rows = [
        [at, totals.spend, *(found.models[name][place].spend for name in models)]
        for place, (at, totals) in enumerate(zip(found.times, found.totals, strict=True))
    ]
    return Table(("at", "spend", *map(shown_model, models)), rows)


@data_table("latency", fresh_for=_FRESH_SECONDS)
def latency(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Quantiles of the seconds to the end and to the first content; a row per bucket of time."""
    found = _series(dashboard, filters)
    rows = [
        [
            at,
            totals.latency_quantile(0.5),
            totals.latency_quantile(0.95),
            totals.ttft_quantile(0.5),
            totals.ttft_quantile(0.95),
        ]
        for at, totals in zip(found.times, found.totals, strict=True)
    ]
    return Table(("at", "latency_p50", "latency_p95", "ttft_p50", "ttft_p95"), rows)


@data_table("models", fresh_for=_FRESH_SECONDS)
def models(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Traffic, costs, labels and latencies of each model over the whole span; a row per model."""
    found = _series(dashboard, filters)
    whole = found.whole().decisions
    rows = []
    for name, totals in found.whole_by_model().items():
        rows.append(
            [
                shown_model(name),
                totals.decisions,
                totals.decisions / whole if whole else None,
                totals.explored,
                totals.calls,
                totals.errors,
                totals.spend,
                totals.cost_per_call,
                totals.expected_cost_per_call,
                totals.labels,
                totals.satisfaction,
                totals.cached_share,
                totals.latency_quantile(0.5),
                totals.latency_quantile(0.95),
                totals.ttft_quantile(0.5),
                totals.ttft_quantile(0.95),
            ]
        )
    return Table(_MODELS, rows)


_MODELS = (
    "model", "decisions", "share", "explored", "calls", "errors", "spend", "cost_per_call",
    "expected_cost_per_call", "labels", "satisfaction", "cached_share", "latency_p50",
    "latency_p95", "ttft_p50", "ttft_p95",
)  # fmt: skip


@data_table("model_share", fresh_for=_FRESH_SECONDS)
def model_share(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Decisions for each model; a row per bucket of time, a column per model."""
    found = _series(dashboard, filters)
    names = list(found.whole_by_model())
    rows = [
        [at, *(found.models[name][place].decisions for name in names)]
        for place, at in enumerate(found.times)
    ]
    return Table(("at", *map(shown_model, names)), rows)


def shown_model(name: str) -> str:
    """Return what tables call a model: declined requests and those beyond the bound have words.

    Examples
    --------
    >>> shown_model("large"), shown_model(""), shown_model(OTHERS)
    ('large', '(declined)', '(others)')
    """
    return {"": "(declined)", OTHERS: "(others)"}.get(name, name)


def _series(dashboard: Dashboard, filters: Filters) -> Series:
    return dashboard.history.series(filters.seconds, filters.sla, filters.tenant)
