"""``/v1/zoo/models``: add and remove models while requests are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.config import load_model
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

        The body has the fields of a model in ``floorline.yaml``. Its key is named by
        ``api_key_env`` or ``api_key_file``, because the body is kept in the store.
        """
        gateway = self.gateway
        gateway.auth.caller(request.headers, "admin")
        data = await read_body(request.receive, gateway.config.settings.server.max_body)
        gateway.readiness.check_log()
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ApiError(
                400, "the body is not UTF-8: send JSON or YAML in UTF-8", code="invalid_body"
            ) from error
        model = load_model(text)
        if model.api_key is not None or model.headers:
            raise ApiError(
                400,
                "secrets are not kept in the store: give the key as api_key_env or api_key_file, "
                "and headers in floorline.yaml",
                code="invalid_value",
                param="api_key" if model.api_key is not None else "headers",
            )
        await gateway.config.add_model(model.name, data)
        entry = {"id": model.name, "object": "model", "created": 0, "owned_by": "provider"}
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
