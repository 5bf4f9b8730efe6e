"""Models: traffic, estimates, costs and faults of each one, and what would bring it traffic."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.log_view import sees_all
from floorline.gateway.dashboard.model_rows import model_rows
from floorline.gateway.dashboard.navigation import HOME


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        series = await asyncio.to_thread(
            dashboard.history.series, filters.seconds, filters.sla, filters.tenant
        )
        rows = model_rows(dashboard, viewer, series)
        names = dashboard.sla_names(viewer)
        sla = filters.sla or (names[0] if names else None)
        router = dashboard.gateway.router
        # One that does not exist any more, or was removed meanwhile, has neither.
        agreement = None if sla is None else router.slas.get(sla)
        outlook: list[Any] = []
        # What all tenants' labels say of the models belongs to no single tenant.
        if viewer.tenant is None and agreement is not None:
            found = await asyncio.to_thread(router.outlook, sla)
            outlook = [row for row in found if viewer.caller.may_call(row.model)]
        return dashboard.page(
            request,
            "models.html.jinja",
            "Models",
            rows=rows,
            outlook=outlook,
            outlook_sla=sla,
            floor=None if agreement is None else agreement.floor,
            # Detected by the labels of all tenants: the page of the changes hides them, too.
            changes=router.policy.changes() if sees_all(viewer) else None,
            history=dashboard.history,
        )

    return [Route(f"{HOME}/models", show, methods=["GET"])]
