"""``GET /v1/replicas``: the servers of one log and their learner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class ReplicasApi:
    """The endpoint that shows all servers; it names machines, so it needs the scope ``metrics``."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def replicas(self, request: Request) -> Response:
        """Return the servers, the learner and what waits for it."""
        self.gateway.auth.caller(request.headers, "metrics")
        overview = self.gateway.replicas
        if overview is None:
            text = "this server has its log alone: see replicas.enabled in floorline.yaml"
            raise ApiError(404, text, code="no_replicas")
        return reply(await overview.read())
