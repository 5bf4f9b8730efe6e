"""``POST /v1/feedback`` and ``/v1/outcomes``: how satisfied users were, what calls took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.errors import FloorlineError, InvalidInput
from floorline.gateway.api.chat import read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError, api_error

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller
    from floorline.gateway.service import Gateway

_MOST_ITEMS = 1000
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class FeedbackItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How satisfied somebody was with one answer.

    ``id`` is the completion's or the decision's. Give ``satisfied`` or a ``score`` from 0 to 1.
    A message with an ``idempotency`` key that came before changes nothing.
    """

    id: _Id
    satisfied: bool | None = None
    score: _Share | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "user"
    idempotency: Annotated[str, msgspec.Meta(max_length=128)] = ""


class FeedbackBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several at once; each succeeds or fails by itself."""

    feedback: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=_MOST_ITEMS)]


class FeedbackReceipt(msgspec.Struct, frozen=True):
    """What became of a feedback: ``changed`` is false if all of it was known already."""

    id: str
    decision: str
    model: str
    changed: bool
    object: str = "floorline.feedback"


class OutcomeItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call took that was routed by ``/v1/route``; ``cost`` in the zoo's unit."""

    id: _Id
    cost: Annotated[float, msgspec.Meta(ge=0)]
    input_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    output_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    latency: Annotated[float, msgspec.Meta(ge=0)] | None = None
    error: str | None = None
    completion: Annotated[str, msgspec.Meta(max_length=256)] | None = None


def decode(data: bytes, kind: Any) -> Any:
    """Decode a JSON body.

    Raises
    ------
    ApiError
        If it is not one of this kind; the text names the field.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the body is malformed: {error}", code="invalid_body") from error


class FeedbackApi:
    """The endpoints about answers that were given."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def feedback(self, request: Request) -> Response:
        """Take feedback; it is acknowledged once it is durable."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "feedback")
        data = await read_body(request.receive, gateway.settings.server.max_body)
        given = decode(data, dict[str, Any])
        gateway.check_log()
        if "feedback" in given:
            batch = decode(data, FeedbackBatch)
            results = [await self._take_or_say(item, caller) for item in batch.feedback]
            await gateway.store.committed()
            return reply({"object": "list", "data": results})
        receipt = await self._take(given, caller)
        await gateway.store.committed()
        return reply(receipt)

    async def outcome(self, request: Request) -> Response:
        """Take what a call took."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "chat")
        data = await read_body(request.receive, gateway.settings.server.max_body)
        item = decode(data, OutcomeItem)
        gateway.check_log()
        decision = await gateway.remembered(item.id, caller)
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
            gateway.auth.charge(decision.key, item.cost)
        await gateway.store.committed()
        receipt = {"id": item.id, "decision": decision.id, "changed": changed}
        return reply({**receipt, "object": "floorline.outcome"})

    async def _take_or_say(self, item: Any, caller: Caller) -> Any:
        try:
            return await self._take(item, caller)
        except FloorlineError as error:
            return msgspec.json.decode(api_error(error).body())

    async def _take(self, given: Any, caller: Caller) -> FeedbackReceipt:
        try:
            return await self._fold(given, caller)
        except FloorlineError:
            self.gateway.metrics.feedback_refused()
            raise

    async def _fold(self, given: Any, caller: Caller) -> FeedbackReceipt:
        try:
            item = msgspec.convert(given, FeedbackItem)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"the body is malformed: {error}", code="invalid_body") from error
        if (item.satisfied is None) == (item.score is None):
            raise InvalidInput("feedback", "malformed", "give either 'satisfied' or 'score'")
        gateway = self.gateway
        decision = await gateway.remembered(item.id, caller)
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
