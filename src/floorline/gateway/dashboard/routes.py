"""All routes below ``/dashboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from floorline.gateway.dashboard import data_routes, event_routes
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.guarded import guarded, missing_route
from floorline.gateway.dashboard.pages import (
    budgets,
    changes,
    decision,
    decisions,
    judges,
    keys,
    login,
    models,
    overview,
    playground,
    replicas,
    sessions,
    whatif,
)
from floorline.gateway.dashboard.static_files import static_routes

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway

_PAGES = (
    overview,
    models,
    decisions,
    decision,
    budgets,
    keys,
    sessions,
    changes,
    whatif,
    playground,
    judges,
    replicas,
    login,
    data_routes,
    event_routes,
)


def dashboard_routes(gateway: Gateway) -> list[Route]:
    """Return the routes of all pages of a gateway's dashboard."""
    dashboard = Dashboard(gateway)
    pages = [route for page in _PAGES for route in page.routes(dashboard)]
    return [*static_routes(), *guarded(dashboard, [*pages, missing_route(dashboard)])]
