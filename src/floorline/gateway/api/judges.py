"""``GET /v1/judges``: how judges differ from users, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.gateway.api.responses import reply
from floorline.gateway.judging.overview import judges_view

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class JudgesApi:
    """The endpoint that shows judges; it is about all tenants: it needs the scope ``metrics``."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def judges(self, request: Request) -> Response:
        """Return how judges differ from users, and what they cost."""
        gateway = self.gateway
        gateway.auth.caller(request.headers, "metrics")
        return reply(judges_view(gateway.router, gateway.auth, gateway.judging))
