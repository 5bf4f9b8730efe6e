"""``/v1/zoo/models``: add and remove models while requests are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.config.runtime_models import MAX_MODEL_BYTES
from floorline.gateway.api.body import read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class ModelsAdminApi:
    """The endpoints that change the models."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def add(self, request: Request) -> Response:
        """Add a model, or change one.

        The body is JSON with the fields of a model in ``floorline.yaml``, without secrets. What it
        may refer to is listed under ``runtime_models`` of ``floorline.yaml``.
        """
        gateway = self.gateway
        gateway.auth.caller(request.headers, "admin")
        with gateway.bodies.request() as memory:
            data = await read_body(
                request.scope, request.receive, MAX_MODEL_BYTES, memory, "the size of a model"
            )
        gateway.readiness.check_log()
        name = await gateway.config.add_model(data)
        entry = {"id": name, "object": "model", "created": 0, "owned_by": "provider"}
        return reply(entry, 201)

    async def remove(self, request: Request) -> Response:
        """Remove a model; its calls in flight are not cut off."""
        gateway = self.gateway
        gateway.auth.caller(request.headers, "admin")
        gateway.readiness.check_log()
        name = request.path_params["name"]
        if name not in gateway.router.zoo:
            raise ApiError(
                404, f"there is no model {name!r}: see /v1/models", code="model_not_found"
            )
        await gateway.config.remove_model(name)
        return reply({"id": name, "object": "model", "deleted": True})
