"""``/v1/zoo/models``: models join and leave while requests are served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.config import load_model
from floorline.gateway.api.chat import read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.service import Gateway


class ZooApi:
    """The endpoints that change the zoo."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def add(self, request: Request) -> Response:
        """Let a model serve from now on, or change one that does.

        The body has the fields of a model in ``floorline.yaml``; its key is named by
        ``api_key_env`` or ``api_key_file``, so that none is written into the store.
        """
        gateway = self.gateway
        gateway.auth.caller(request.headers, "admin")
        data = await read_body(request.receive, gateway.settings.server.max_body)
        gateway.check_log()
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ApiError(400, "the body is not UTF-8", code="invalid_body") from error
        model = load_model(text)
        if model.api_key is not None or model.headers:
            raise ApiError(
                400,
                "give the key as api_key_env or api_key_file and leave headers to floorline.yaml: "
                "secrets are not kept in the store",
                code="invalid_value",
                param="api_key" if model.api_key is not None else "headers",
            )
        async with gateway.changing:
            await asyncio.to_thread(gateway.models.add, model.name, data)
            gateway.apply(gateway.settings)
        await gateway.store.committed()
        entry = {"id": model.name, "object": "model", "created": 0, "owned_by": "provider"}
        return reply(entry, 201)

    async def remove(self, request: Request) -> Response:
        """Let a model serve no more; calls in flight end as they would have."""
        gateway = self.gateway
        gateway.auth.caller(request.headers, "admin")
        gateway.check_log()
        name = request.path_params["name"]
        zoo = gateway.router.zoo
        if name not in zoo:
            raise ApiError(
                404, f"there is no model {name!r}: see /v1/models", code="model_not_found"
            )
        # Refused before it is written down: the last model, and one that an SLA names.
        smaller = zoo.without(name)
        for sla in gateway.router.slas.values():
            sla.check_against(smaller)
        async with gateway.changing:
            await asyncio.to_thread(gateway.models.remove, name)
            gateway.apply(gateway.settings)
        await gateway.store.committed()
        return reply({"id": name, "object": "model", "deleted": True})
