"""``GET /dashboard/events``: server-sent events for live pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.live_feed import EventsResponse, LiveFeed
from floorline.gateway.dashboard.navigation import HOME

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the route of the events."""
    feed = LiveFeed(dashboard)

    async def events(request: Request) -> Response:
        """Answer with events as they come: ``tick``, whose data is that of ``summary``."""
        return EventsResponse(feed, await feed.subscribe(dashboard.viewer(request)))

    return [Route(f"{HOME}/events", events, methods=["GET"])]
