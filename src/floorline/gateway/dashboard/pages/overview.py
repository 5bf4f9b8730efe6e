"""Overview: each SLA's promises, their certificates, spend and savings, and the traffic."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.errors import InvalidInput
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.tenants import split_tenant
from floorline.gateway.visible_status import visible_status
from floorline.state.status import Status
from floorline.state.verdicts import Verdict

_PER_PAGE = 12
"""SLAs that a page shows; with one per tenant there can be a thousand of them."""
_MOST_ORDERED = 60
"""Most SLAs that are ordered by their verdicts: each takes half a millisecond. More of them stand
in the order of the settings."""
_URGENT: tuple[Verdict, ...] = ("broken", "unreachable", "at risk", "unknown", "kept")
"""Verdicts, those that need an operator first."""


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        names = _chosen(dashboard, viewer, filters)
        number = _page_number(request, len(names))
        statuses = await asyncio.to_thread(_statuses, dashboard, viewer, names, number)
        series = await asyncio.to_thread(
            dashboard.history.series, filters.seconds, filters.sla, filters.tenant
        )
        sources = await asyncio.to_thread(
            dashboard.history.label_sources, filters.seconds, filters.tenant
        )
        return dashboard.page(
            request,
            "overview.html.jinja",
            "Overview",
            statuses=statuses,
            whole=series.whole(),
            sources=sources,
            history=dashboard.history,
            page_number=number,
            pages=max(1, -(-len(names) // _PER_PAGE)),
            sla_count=len(names),
            per_tenant=dashboard.gateway.config.settings.per_tenant_slas,
        )

    return [Route(HOME, show, methods=["GET"])]


def _chosen(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[str]:
    """Names of the SLAs that the filters leave: those of the tenant, and shared ones."""
    if filters.sla is not None:
        return [filters.sla] if filters.sla in dashboard.gateway.router.slas else []
    names = dashboard.sla_names(viewer)
    if filters.tenant is None:
        return names
    return [name for name in names if split_tenant(name)[1] in ("", filters.tenant)]


def _page_number(request: Request, count: int) -> int:
    given = request.query_params.get("page", "1")
    last = max(1, -(-count // _PER_PAGE))
    if given not in map(str, range(1, last + 1)):
        raise InvalidInput("page", given, f"give a number from 1 to {last}")
    return int(given)


def _statuses(dashboard: Dashboard, viewer: Viewer, names: list[str], number: int) -> list[Status]:
    """Statuses of the SLAs of a page: the worst verdicts first, SLAs without requests last."""
    router, caller = dashboard.gateway.router, viewer.caller
    every = viewer.tenant is None
    part = slice((number - 1) * _PER_PAGE, number * _PER_PAGE)
    ordered = len(names) <= _MOST_ORDERED
    asked = names if ordered else names[part]
    # An SLA that a reload has removed meanwhile is left out.
    found = [
        visible_status(router, name, caller, all_senders=every)
        for name in asked
        if name in router.slas
    ]
    return sorted(found, key=_urgency)[part] if ordered else found


def _urgency(status: Status) -> int:
    if not status.requests:
        return len(_URGENT)
    verdicts = [status.verdict, *(promise.verdict for promise in status.latency)]
    return min(map(_URGENT.index, verdicts))
