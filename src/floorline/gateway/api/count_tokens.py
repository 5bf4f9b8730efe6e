"""``POST /v1/messages/count_tokens``: how many tokens a request of Anthropic's dialect has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from floorline.gateway.api.body import read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.chat_request import read_chat

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class CountTokensApi:
    """The endpoint that counts tokens; it decides nothing, logs nothing and costs nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def count(self, request: Request) -> Response:
        """Let the provider count for a model of Anthropic's dialect, else estimate the tokens.

        An SLA's model is not known before its decision, so its tokens are an estimate.
        """
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "chat")
        with gateway.bodies.request() as memory:
            limit = gateway.config.settings.server.max_body
            data = await read_body(request.scope, request.receive, limit, memory)
        query = request.scope["query_string"].decode("latin-1")
        chat = gateway.chat.names.renamed(read_chat(data, request.headers, "anthropic", query))
        if chat.sla is not None:
            gateway.chat.names.sla_for(chat.sla, caller)
        else:
            gateway.chat.names.check_model(chat.model, caller)
            if gateway.config.calls[chat.model].dialect == "anthropic":
                status, body = await gateway.chat.ask(
                    chat, "/messages/count_tokens", request.headers
                )
                # Some providers of this dialect have no such path.
                if status not in (404, 405):
                    return Response(body, status, media_type="application/json")
        return reply({"input_tokens": chat.input_tokens})
