"""``POST /v1/feedback`` and ``/v1/outcomes``: labels of answers, and what calls took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.errors import FloorlineError, InvalidInput
from floorline.gateway.api.body import decode_body, malformed, read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.errors import api_error
from floorline.gateway.reported_outcome import check_reported

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller
    from floorline.gateway.startup import Gateway

_MOST_ITEMS = 1000
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class FeedbackItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether one answer satisfied.

    ``id`` is the id of the completion or of the decision. Give ``satisfied`` or a ``score`` from 0
    to 1. A message with the ``idempotency`` key of an earlier one changes nothing.
    """

    id: _Id
    satisfied: bool | None = None
    score: _Share | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "user"
    idempotency: Annotated[str, msgspec.Meta(max_length=128)] = ""


class FeedbackBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several feedback messages; each succeeds or fails separately."""

    feedback: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=_MOST_ITEMS)]


class FeedbackReceipt(msgspec.Struct, frozen=True):
    """Result of a feedback message; ``changed`` is false if it was known already."""

    id: str
    decision: str
    model: str
    changed: bool
    object: str = "floorline.feedback"


class OutcomeItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call took that ``/v1/route`` decided on.

    ``cost`` is in the zoo's unit, ``latency`` in seconds. Calls that the gateway made are refused,
    because it has measured them itself, and so is a cost that no call can have.
    """

    id: _Id
    cost: Annotated[float, msgspec.Meta(ge=0)]
    input_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    output_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    latency: Annotated[float, msgspec.Meta(ge=0)] | None = None
    error: str | None = None
    completion: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class FeedbackApi:
    """The endpoints that take feedback and outcomes."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def feedback(self, request: Request) -> Response:
        """Take feedback, and acknowledge it once it is durable."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "feedback")
        data = await read_body(request.receive, gateway.config.settings.server.max_body)
        given = decode_body(data, dict[str, Any])
        gateway.readiness.check_log()
        if "feedback" in given:
            batch = decode_body(data, FeedbackBatch)
            results = [await self._take_or_error(item, caller) for item in batch.feedback]
            await gateway.store.committed()
            return reply({"object": "list", "data": results})
        receipt = await self._take(given, caller)
        await gateway.store.committed()
        return reply(receipt)

    async def outcome(self, request: Request) -> Response:
        """Record what a call took, and acknowledge it once it is durable."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "chat")
        data = await read_body(request.receive, gateway.config.settings.server.max_body)
        item = decode_body(data, OutcomeItem)
        gateway.readiness.check_log()
        decision = await gateway.decisions.find(item.id, caller)
        check_reported(decision, item.cost, item.error, gateway.router.zoo)
        changed = gateway.router.outcome(
            decision.id,
            cost=item.cost,
            input_tokens=item.input_tokens,
            output_tokens=item.output_tokens,
            latency=item.latency,
            error=item.error,
            completion=item.completion,
            at=time.time(),
        )
        if changed:
            gateway.auth.charge(decision.key, decision.id, item.cost)
        await gateway.store.committed()
        receipt = {"id": item.id, "decision": decision.id, "changed": changed}
        return reply({**receipt, "object": "floorline.outcome"})

    async def _take_or_error(self, item: Any, caller: Caller) -> Any:
        try:
            return await self._take(item, caller)
        except FloorlineError as error:
            return msgspec.json.decode(api_error(error).body())

    async def _take(self, given: Any, caller: Caller) -> FeedbackReceipt:
        try:
            return await self._record(given, caller)
        except FloorlineError:
            self.gateway.metrics.feedback_refused()
            raise

    async def _record(self, given: Any, caller: Caller) -> FeedbackReceipt:
        try:
            item = msgspec.convert(given, FeedbackItem)
        except msgspec.ValidationError as error:
            raise malformed(error) from error
        if (item.satisfied is None) == (item.score is None):
            raise InvalidInput("feedback", given, "give either 'satisfied' or 'score'")
        gateway = self.gateway
        decision = await gateway.decisions.find(item.id, caller)
        changed = gateway.router.feedback(
            decision.id,
            item.satisfied,
            score=item.score,
            source=item.source,
            key=item.idempotency,
            at=time.time(),
        )
        gateway.metrics.feedback(item.source, changed)
        return FeedbackReceipt(item.id, decision.id, decision.model, changed)
