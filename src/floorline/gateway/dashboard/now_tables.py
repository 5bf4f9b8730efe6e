"""Tables of the present, which ``floorline top`` reads: SLAs, totals and the latest decisions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from floorline.gateway.dashboard.log_view import browser, read_log, wanted_of
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.tenants import split_tenant
from floorline.gateway.visible_status import visible_status
from floorline.state.status import Status

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.viewer import Viewer

_MOST_SLAS = 50
"""Most SLAs of the table; with one per tenant there can be a thousand, each a millisecond."""
_LATEST = 30
"""Number of latest decisions: more than a terminal shows."""

_STATUS = (
    "sla", "floor", "verdict", "reason", "satisfaction", "lower", "upper", "labels", "requests",
    "declined", "spent", "reserved", "savings", "cost_unit",
)  # fmt: skip
_TOTALS = (
    "requests", "fallbacks", "declined", "explored", "calls", "errors", "refused", "labels",
    "satisfaction", "spend",
)  # fmt: skip


@data_table("slas")
def slas(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Status of each SLA since its beginning; a row per SLA, for the first 50 of them."""
    names = dashboard.sla_names(viewer) if filters.sla is None else [filters.sla]
    if filters.tenant is not None:
        names = [name for name in names if split_tenant(name)[1] in ("", filters.tenant)]
    router, every = dashboard.gateway.router, viewer.tenant is None
    rows = []
    for name in names[:_MOST_SLAS]:
        if name in router.slas:
            found = visible_status(router, name, viewer.caller, all_senders=every)
            values = [getattr(found, column) for column in _STATUS]
            rows.append([*values, _latency_verdict(found)])
    return Table((*_STATUS, "latency_verdict"), rows)


def _latency_verdict(found: Status) -> str | None:
    """Return the worst verdict of an SLA's promises of latency; None if it has none."""
    worst = ("unreachable", "broken", "at risk", "unknown", "kept")
    given = {promise.verdict for promise in found.latency}
    return next((verdict for verdict in worst if verdict in given), None)


@data_table("totals")
async def totals(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Traffic of the whole span in one row."""
    series = await asyncio.to_thread(
        dashboard.history.series, filters.seconds, filters.sla, filters.tenant
    )
    whole = series.whole()
    values: list[Any] = [getattr(whole, name) for name in _TOTALS]
    quantiles = [
        find(q) for find in (whole.latency_quantile, whole.ttft_quantile) for q in (0.5, 0.95)
    ]
    columns = (*_TOTALS, "latency_p50", "latency_p95", "ttft_p50", "ttft_p95", "cost_unit")
    unit = dashboard.gateway.router.zoo.cost_unit
    return Table(columns, [[*values, *quantiles, unit]])


@data_table("latest")
async def latest(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """The latest decisions with what became of them, the latest first."""
    found = await read_log(
        dashboard,
        viewer,
        lambda: browser(dashboard).with_calls(wanted_of(dashboard, viewer, filters), most=_LATEST),
    )
    rows = []
    for _, made, calls in found.rows:
        rows.append(
            [
                made.at,
                made.id,
                made.sla,
                made.model,
                made.policy,
                made.explored,
                bool(made.after),
                made.floor,
                None if made.declined else made.expected_quality,
                None if made.declined else made.expected_cost,
                calls.cost,
                calls.latency,
                calls.error,
                calls.score,
            ]
        )
    return Table(_LATEST_COLUMNS, rows)


_LATEST_COLUMNS = (
    "at", "id", "sla", "model", "policy", "explored", "fallback", "floor", "expected_quality",
    "expected_cost", "cost", "latency", "error", "score",
)  # fmt: skip
