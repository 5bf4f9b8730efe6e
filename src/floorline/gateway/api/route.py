"""``POST /v1/route``: decide without a call, for clients that call the models themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.events import CLIENT, DIRECT
from floorline.gateway.api.body import read_body
from floorline.gateway.api.explanations import needs_sla
from floorline.gateway.api.responses import decision_headers, reply
from floorline.gateway.chat_request import read_chat

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class Routed(msgspec.Struct, frozen=True):
    """A decision, as ``/v1/route`` returns it.

    Attributes
    ----------
    id
        Id of the decision, for ``/v1/outcomes`` and ``/v1/feedback``.
    model
        The model that should serve.
    sla, floor
        SLA of the request, and the floor that held for it.
    expected_quality, expected_cost
        Estimates of the model's satisfaction, and of the call's cost in the zoo's cost unit.
    propensity
        Probability with which this model was chosen.
    explored
        Whether it was chosen to explore.
    object
        Names the kind of this JSON object.
    """

    id: str
    model: str
    sla: str
    floor: float
    expected_quality: float
    expected_cost: float
    propensity: float
    explored: bool
    object: str = "floorline.decision"


class RouteApi:
    """The endpoint that decides and makes no call."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def route(self, request: Request) -> Response:
        """Decide which model should serve a chat request."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "chat")
        with gateway.bodies.request() as memory:
            limit = gateway.config.settings.server.max_body
            data = await read_body(request.scope, request.receive, limit, memory)
        chat = gateway.chat.names.renamed(read_chat(data, request.headers))
        if chat.sla is None:
            raise needs_sla(gateway, chat, caller)
        await gateway.chat.recall_session(chat, caller)
        decision = gateway.chat.decide(chat, caller, call_by=CLIENT)
        assert decision.policy != DIRECT
        await gateway.store.committed()
        response = reply(
            Routed(
                id=decision.id,
                model=decision.model,
                sla=decision.sla,
                floor=decision.floor,
                expected_quality=decision.expected_quality,
                expected_cost=decision.expected_cost,
                propensity=decision.propensity,
                explored=decision.explored,
            )
        )
        # Proxies that ask for permission pass headers on, and no body.
        response.raw_headers += decision_headers(decision)
        return response
