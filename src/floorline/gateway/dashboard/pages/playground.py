"""Playground: send a prompt, and see who would answer at another floor."""

from __future__ import annotations

from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""
    return []
