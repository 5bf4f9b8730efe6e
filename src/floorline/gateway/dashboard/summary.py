"""What live pages follow: numbers of the last hour, of each SLA and of each model, as JSON."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from floorline.gateway.visible_status import visible_status

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.viewer import Viewer

_HOUR = 3600.0
_MOST_SLAS = 20
"""Most SLAs of a summary, at 0.3 ms each; pages show 12 at a time."""
_COUNTS = ("requests", "fallbacks", "declined", "explored", "calls", "errors", "labels", "spend")
_OF_SLA = (
    "verdict", "floor", "satisfaction", "lower", "upper", "labels", "requests", "spent", "savings",
)  # fmt: skip


async def summary(dashboard: Dashboard, viewer: Viewer) -> dict[str, Any]:
    """Return what a viewer may see now.

    Returns
    -------
    dict
        ``ready`` and ``progress`` of the history; ``hour`` with counts and quantiles of the last
        hour; ``slas`` and ``models`` by name. How many calls of a model run is left out for a
        viewer with a tenant, because they are those of all tenants.
    """
    history, gateway = dashboard.history, dashboard.gateway
    names = dashboard.sla_names(viewer)
    # A key that is limited to SLAs sees the numbers of one of them, as on its pages.
    limited = viewer.caller.slas
    sla = None if limited is None else (names or limited)[0]
    series = await asyncio.to_thread(history.series, _HOUR, sla, viewer.tenant)
    whole = series.whole()
    hour = {name: getattr(whole, name) for name in _COUNTS}
    for share, name in ((0.5, "p50"), (0.95, "p95")):
        hour[f"latency_{name}"] = whole.latency_quantile(share)
        hour[f"ttft_{name}"] = whole.ttft_quantile(share)
    slas = {}
    every = viewer.tenant is None
    for name in names[:_MOST_SLAS]:
        if name in gateway.router.slas:
            status = visible_status(gateway.router, name, viewer.caller, all_senders=every)
            slas[name] = {field: getattr(status, field) for field in _OF_SLA}
        # Between two of them requests have their turn.
        await asyncio.sleep(0.0)
    models: dict[str, dict[str, Any]] = {}
    for name, health in gateway.upstreams.health().items():
        if viewer.caller.may_call(name):
            models[name] = {"breaker": health.breaker}
            if every:
                models[name] |= {"calls": health.calls, "waiting": health.waiting}
    return {
        "ready": history.ready,
        "progress": round(history.progress, 2),
        "hour": hour,
        "slas": slas,
        "models": models,
    }
