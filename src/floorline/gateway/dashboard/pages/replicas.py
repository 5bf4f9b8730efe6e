"""Replicas: the servers of one log, what they say of themselves, and the learner."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard, sees_everything
from floorline.gateway.dashboard.navigation import REPLICAS
from floorline.gateway.errors import ApiError


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        viewer = dashboard.viewer(request)
        overview = dashboard.gateway.replicas
        if overview is None:
            text = "this server has its log alone: see replicas.enabled in floorline.yaml"
            raise ApiError(404, text, code="no_replicas")
        if not sees_everything(viewer):
            text = "servers are shown to keys that see all tenants, SLAs and models"
            raise ApiError(403, text, code="missing_scope")
        view = await overview.read()
        return dashboard.page(request, "replicas.html.jinja", REPLICAS.title, view=view)

    return [Route(REPLICAS.path, show, methods=["GET"])]
