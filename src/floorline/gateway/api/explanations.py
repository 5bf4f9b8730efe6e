"""``GET /v1/decisions/{id}`` and ``POST /v1/preview``: why a model answered, and who would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.errors import abbreviated
from floorline.gateway.api.body import read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.errors import ApiError
from floorline.gateway.explanations import Preview

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller
    from floorline.gateway.startup import Gateway


class Previews(msgspec.Struct, frozen=True):
    """Who would answer a request at each floor.

    Attributes
    ----------
    data
        One for each floor, in the order of the floors.
    object
        Names the kind of this JSON object.
    """

    data: list[Preview]
    object: str = "list"


class ExplanationsApi:
    """The endpoints that explain decisions; they log nothing and change nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def decision(self, request: Request) -> Response:
        """Explain one decision."""
        caller = self.gateway.auth.reader(request.headers)
        return reply(await self.gateway.explanations.find(request.path_params["id"], caller))

    async def preview(self, request: Request) -> Response:
        """Say who would answer a chat request of the sender of an API key at several floors."""
        return await self.preview_for(request, self.gateway.auth.caller(request.headers, "chat"))

    async def preview_for(self, request: Request, caller: Caller) -> Response:
        """Say who would answer a caller's chat request at several floors."""
        gateway = self.gateway
        with gateway.bodies.request() as memory:
            limit = gateway.config.settings.server.max_body
            data = await read_body(request.scope, request.receive, limit, memory)
        chat = gateway.chat.names.renamed(read_chat(data, request.headers))
        if chat.sla is None:
            raise needs_sla(gateway, chat, caller)
        decisions = gateway.chat.preview(chat, caller)
        return reply(Previews(gateway.explanations.previews(decisions, caller)))


def needs_sla(gateway: Gateway, chat: ChatBody, caller: Caller) -> ApiError:
    """Return the error of a request that names a model where no policy would decide then."""
    meant = gateway.chat.names.suggestion(chat.model, caller, sla=True)
    return ApiError(
        400,
        f"model is {abbreviated(chat.model)}: {meant}name an SLA as floorline/NAME, or "
        "floorline/auto",
        code="invalid_value",
        param="model",
    )
