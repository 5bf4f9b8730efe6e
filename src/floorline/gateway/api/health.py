"""``/healthz``, ``/readyz`` and ``/metrics``: what operators and their tools read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class HealthApi:
    """The endpoints that show the state of the gateway.

    ``/healthz`` and ``/readyz`` need no key, because load balancers have none. Without a key for
    metrics ``/readyz`` leaves out details such as the address of the database.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def healthz(self, request: Request) -> Response:
        """Answer that the process runs."""
        return reply({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answer whether requests can be served now."""
        readiness = self.gateway.readiness
        details = self._may_see(request)
        errors = readiness.errors(details=details)
        status = "not ready" if errors else "ready"
        body = {
            "status": status,
            "errors": errors,
            "warnings": readiness.warnings(details=details),
        }
        return reply(body, 503 if errors else 200)

    async def metrics(self, request: Request) -> Response:
        """Return the metrics, which name tenants and what they spend."""
        if not self.gateway.config.settings.server.public_metrics:
            self.gateway.auth.caller(request.headers, "metrics")
        text, kind = await self.gateway.metrics.scrape(request.headers.get("accept", ""))
        return Response(text, media_type=kind)

    def _may_see(self, request: Request) -> bool:
        gateway = self.gateway
        if gateway.config.settings.server.public_metrics or gateway.auth.open:
            return True
        if "authorization" not in request.headers:
            return False
        try:
            gateway.auth.caller(request.headers, "metrics")
        except ApiError:
            return False
        return True
