"""``POST /v1/feedback`` and ``/v1/outcomes``: labels of answers, and what calls took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.core.bounds import MAX_COST, MAX_LATENCY, MAX_NAME, MAX_TOKENS, check_name
from floorline.errors import FloorlineError, InvalidInput, StoreUnavailable
from floorline.gateway.api.body import decode_body, malformed, read_body
from floorline.gateway.api.responses import reply
from floorline.gateway.errors import ApiError, api_error
from floorline.gateway.reported_outcome import check_parts, check_reported, computed_cost
from floorline.gateway.upstreams.findings import number_id
from floorline.gateway.upstreams.usage import Usage

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller
    from floorline.gateway.decision_lookup import Logged
    from floorline.gateway.startup import Gateway

MOST_ITEMS = 1000
MOST_BYTES = 2 * 2**20
"""Size of a body: 2 KiB for each of the items, whose texts have at most 1 KiB together."""
_MAX_ID = 16_384
"""Most characters of a given id: providers choose ids, and no known one is longer than 1,000."""
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_ID)] | int | float
_Own = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_LATENCY)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class FeedbackItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether one answer satisfied.

    Give ``id`` or ``decision``, and ``satisfied`` or ``score``.

    Attributes
    ----------
    id
        Id of the completion or of the decision. Providers repeat ids of completions.
    decision
        Value of the header X-Floorline-Decision, which is never ambiguous.
    satisfied
        Whether it satisfied.
    score
        How much it satisfied, from 0 to 1.
    source
        Who judged: user, judge or rule.
    idempotency
        Key of the message; one with the key of an earlier message changes nothing.
    """

    id: _Id | None = None
    decision: _Own | None = None
    satisfied: bool | None = None
    score: _Share | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "user"
    idempotency: Annotated[str, msgspec.Meta(max_length=128)] = ""


class FeedbackBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several feedback messages; each succeeds or fails separately.

    Attributes
    ----------
    feedback
        The messages.
    """

    feedback: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]


class FeedbackReceipt(msgspec.Struct, frozen=True):
    """Result of a feedback message.

    Attributes
    ----------
    id
        The id that the message gave.
    decision, model
        The decision that it is about, and the model that answered.
    changed
        Whether it changed anything; false if it was known already.
    object
        Names the kind of this JSON object.
    """

    id: str | int | float
    decision: str
    model: str
    changed: bool
    object: str = "floorline.feedback"


class OutcomeItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call took that ``/v1/route`` decided on.

    Calls that the gateway made are refused, because it has measured them itself, and so is a cost
    that no call can have.

    Attributes
    ----------
    id
        Id of the decision.
    cost
        Cost of the call in the zoo's cost unit. Without it: what the tokens cost at the model's
        prices, the expected cost if they are missing too, and 0 with an error.
    input_tokens, output_tokens
        Tokens of the prompt, and of the answer.
    cached_tokens, cache_write_tokens
        Parts of the prompt's tokens that the provider read from its cache, and wrote to it.
    latency, first_token
        Seconds until the end of the answer, and until its first content.
    error
        Why the call failed; cut after 1,000 characters.
    completion
        The provider's id of the answer.
    """

    id: _Own
    cost: Annotated[float, msgspec.Meta(ge=0, le=MAX_COST)] | None = None
    input_tokens: _Tokens | None = None
    output_tokens: _Tokens | None = None
    cached_tokens: _Tokens | None = None
    cache_write_tokens: _Tokens | None = None
    latency: _Seconds | None = None
    first_token: _Seconds | None = None
    error: str | None = None
    completion: _Id | None = None

    def usage(self) -> Usage | None:
        """Return the tokens; None if those of the prompt or of the answer are missing."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens or 0,
            self.cache_write_tokens or 0,
        )


class FeedbackApi:
    """The endpoints that take feedback and outcomes."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def feedback(self, request: Request) -> Response:
        """Take feedback of the sender of an API key."""
        return await self.take(request, self.gateway.auth.caller(request.headers, "feedback"))

    async def take(self, request: Request, caller: Caller) -> Response:
        """Take feedback, and acknowledge it once it is durable."""
        gateway = self.gateway
        with gateway.bodies.request() as memory:
            data = await read_body(
                request.scope, request.receive, MOST_BYTES, memory, "the size of feedback"
            )
        given = decode_body(data, dict[str, Any])
        gateway.readiness.check_log()
        if "feedback" in given:
            batch = decode_body(data, FeedbackBatch)
            return await self._take_batch(batch.feedback, caller)
        gateway.auth.take_feedback(caller)
        receipt = await self._take(given, caller)
        await gateway.store.committed()
        return reply(receipt)

    async def outcome(self, request: Request) -> Response:
        """Record what a call took, and acknowledge it once it is durable."""
        gateway = self.gateway
        caller = gateway.auth.caller(request.headers, "chat")
        with gateway.bodies.request() as memory:
            data = await read_body(
                request.scope, request.receive, MOST_BYTES, memory, "the size of feedback"
            )
        item = decode_body(data, OutcomeItem)
        gateway.readiness.check_log()
        decision = await gateway.decisions.find_exactly(item.id, caller)
        check_parts(
            item.input_tokens,
            item.cached_tokens,
            item.cache_write_tokens,
            item.latency,
            item.first_token,
        )
        cost, estimated = item.cost, False
        if cost is None:
            cost, estimated = computed_cost(decision, item.usage(), item.error, gateway.router.zoo)
        check_reported(decision, cost, item.error, gateway.router.zoo)
        changed = gateway.router.outcome(
            decision.id,
            cost=cost,
            input_tokens=item.input_tokens,
            output_tokens=item.output_tokens,
            cached_tokens=item.cached_tokens,
            cache_write_tokens=item.cache_write_tokens,
            latency=item.latency,
            first_token=item.first_token,
            error=item.error,
            completion=None if item.completion is None else _id_text(item.completion),
            estimated=estimated,
        )
        if changed:
            gateway.auth.charge(decision.key, decision.id, cost)
        await gateway.store.committed()
        receipt = {"id": item.id, "decision": decision.id, "changed": changed}
        return reply({**receipt, "object": "floorline.outcome"})

    async def _take_batch(self, items: list[Any], caller: Caller) -> Response:
        """Take the messages that the key's rate permits, each by itself."""
        gateway = self.gateway
        allowed, refused = len(items), None
        for number in range(len(items)):
            try:
                gateway.auth.take_feedback(caller)
            except ApiError as error:
                allowed, refused = number, error
                break
        if refused is not None and allowed == 0:
            raise refused
        items, given = items[:allowed], len(items)
        results = await self.take_each(items, caller)
        answer = {"object": "list", "data": results}
        if refused is None:
            return reply(answer)
        taken = f"the first {len(results):,} of {given:,} messages were taken; {refused.text}"
        refused = ApiError(429, taken, code=refused.code, headers=refused.headers)
        response = reply({**msgspec.json.decode(refused.body()), **answer}, 429)
        response.headers.update(refused.headers)
        return response

    async def take_each(self, items: Sequence[Any], caller: Caller) -> list[Any]:
        """Take messages, each by itself, and return once they are durable.

        Parameters
        ----------
        items
            The messages as JSON objects, or errors of what could not become one.
        caller
            Whose decisions they judge.

        Returns
        -------
        A receipt or the body of an error for each message
        """
        gateway = self.gateway
        logged: Logged | None
        try:
            logged = await gateway.decisions.logged(_named(items), caller)
        except StoreUnavailable:
            # Each message by itself: those of answers that this process served may succeed.
            logged = None
        results: list[Any] = []
        for item in items:
            try:
                results.append(await self._take(item, caller, logged))
            except FloorlineError as error:
                results.append(msgspec.json.decode(api_error(error).body()))
        await gateway.store.committed()
        return results

    async def _take(
        self, given: Any, caller: Caller, logged: Logged | None = None
    ) -> FeedbackReceipt:
        try:
            if isinstance(given, FloorlineError):
                raise given
            return await self._record(given, caller, logged)
        except FloorlineError:
            self.gateway.metrics.feedback_refused()
            raise

    async def _record(self, given: Any, caller: Caller, logged: Logged | None) -> FeedbackReceipt:
        try:
            item = msgspec.convert(given, FeedbackItem)
        except msgspec.ValidationError as error:
            raise malformed(error) from error
        if (item.id is None) == (item.decision is None):
            raise InvalidInput("feedback", given, "give either 'id' or 'decision'")
        if (item.satisfied is None) == (item.score is None):
            raise InvalidInput("feedback", given, "give either 'satisfied' or 'score'")
        check_name("source", item.source)
        check_name("idempotency", item.idempotency)
        gateway = self.gateway
        if item.decision is not None:
            decision = await gateway.decisions.find_exactly(item.decision, caller)
        else:
            decision = await gateway.decisions.find(_id_text(item.id), caller, logged)
        changed = gateway.router.feedback(
            decision.id,
            item.satisfied,
            score=item.score,
            source=item.source,
            key=item.idempotency,
        )
        if changed:
            gateway.judging.labelled(decision.id)
        gateway.metrics.feedback(item.source, changed)
        id = decision.id if item.id is None else item.id
        return FeedbackReceipt(id, decision.id, decision.model, changed)


def _id_text(id: str | int | float | None) -> str:
    """Text of an id that may be a number, as ids of completions are read."""
    return id if isinstance(id, str) else number_id(repr(id))


def _named(items: Sequence[Any]) -> list[str]:
    """Ids in a batch that may name completions; malformed ones are left out."""
    ids = [item.get("id") for item in items if isinstance(item, dict)]
    texts = [_id_text(id) for id in ids if type(id) in (str, int, float)]
    return [text for text in texts if len(text) <= _MAX_ID]
