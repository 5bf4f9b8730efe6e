"""Overview: each SLA's promise, its certificate, spend and savings."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.navigation import HOME


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        names = [filters.sla] if filters.sla else dashboard.sla_names(viewer)
        router = dashboard.gateway.router
        statuses = [router.status(name) for name in names]
        return dashboard.page(request, "overview.html.jinja", "Overview", statuses=statuses)

    return [Route(HOME, show, methods=["GET"])]
