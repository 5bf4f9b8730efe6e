"""Record what a call took: in the event log, in its key's budget, in metrics and in its trace."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Literal, NamedTuple

from floorline.core.bounds import MAX_COST, MAX_LATENCY
from floorline.errors import StoreUnavailable
from floorline.events import DISCONNECTED, GATEWAY, INTERRUPTED, UNREPORTED, Decision
from floorline.gateway.auth import Auth
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import CallSpan
from floorline.gateway.upstreams import Answer, UpstreamError, Usage
from floorline.gateway.usage_check import UsageCheck
from floorline.router import Router

log = logging.getLogger("floorline.gateway")

CallResult = Literal["ok", "client_error", "upstream_error", "disconnected"]
"""How a request ended; ``client_error`` is a provider's error that is the client's own."""
STREAM_ERROR = "the provider's stream ended in an error"
"""Error in the outcome of a call whose client got the provider's own error within the stream."""
_CLIENT_CALL_SECONDS = 3600.0
"""Seconds after which a call that the client makes has ended, whether it reports an outcome or
not: longer than any provider lets a completion take."""


class Measured(NamedTuple):
    """Tokens of an answer, its cost in the zoo's unit, and whether that is the provider's bill."""

    usage: Usage
    cost: float
    billed: bool = False


class CallRecorder:
    """Records the end of every call once.

    Parameters
    ----------
    router
        Takes the outcome.
    auth
        Charges the cost to the request's API key.
    decisions
        Notes which completion belongs to which decision.
    metrics
        Counts requests, tokens, seconds and cost.
    usage_check
        Checks the token counts of providers.
    """

    def __init__(
        self,
        router: Router,
        auth: Auth,
        decisions: DecisionLookup,
        metrics: Metrics,
        usage_check: UsageCheck,
    ) -> None:
        self._usage_check = usage_check
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._router = router
        self._auth = auth
        self._decisions = decisions
        self._metrics = metrics

    def measure(self, decision: Decision, chat: ChatBody, answer: Answer) -> Measured:
        """Measure an answer once it has ended: by the provider's count, or an estimate."""
        if answer.status >= 400:
            return Measured(Usage(0, 0), 0.0)
        zoo, name = self._router.zoo, decision.model
        model = zoo.models[zoo.index(name)] if name in zoo else None
        usage = self._usage_check.check(name, model, chat, answer)
        # If the model was removed while it answered, its prices were removed, too.
        if model is None:
            return Measured(usage, expected_cost(decision))
        bill = self._usage_check.bill(model, usage, zoo.cost_unit)
        return Measured(usage, bill.cost, bill.is_providers)

    def note_completion(self, decision: Decision, answer: Answer) -> bool:
        """Note the id of an answer before the client sees it; False if it has not arrived yet."""
        completion = _shown_id(answer)
        if completion is None:
            return False
        self._decisions.note_completion(completion, decision)
        return True

    def answered(
        self,
        decision: Decision,
        answer: Answer,
        measured: Measured,
        span: CallSpan,
        result: CallResult,
        error: str = "",
        content: bytes | None = None,
    ) -> None:
        """Record a call whose answer began, whether it was complete or not.

        Parameters
        ----------
        decision, answer, measured, span
            Of the call.
        result, error
            How the request ended, and the text of its error.
        content
            Body of the answer, for traces with content.
        """
        usage, cost, billed = measured
        refused = answer.status >= 400
        self._charge(
            decision,
            cost,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            latency=min(answer.total_s, MAX_LATENCY),
            first_token=None if refused else min(answer.first_byte_s, MAX_LATENCY),
            error=error or None,
            completion=_shown_id(answer),
            estimated=usage.estimated,
            billed=billed,
        )
        self._metrics.request(decision.model, decision.sla, result)
        self._metrics.retried(decision.model, answer.attempts - 1)
        self._metrics.call(
            decision.model,
            decision.sla,
            first_byte=answer.first_byte_s,
            total=answer.total_s,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cost=cost,
        )
        span.answered(
            status=answer.status,
            completion=answer.completion_id,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            finish_reasons=answer.finish_reasons,
            cost=cost,
            content=content,
        )
        span.end(None if result == "ok" else result, error)

    def failed(self, decision: Decision, failure: UpstreamError, span: CallSpan) -> None:
        """Record a call that got no answer; it costs nothing, and another model may serve."""
        self.uncalled(decision, failure)
        span.end(failure.kind, str(failure))

    def uncalled(self, decision: Decision, error: UpstreamError | str) -> None:
        """Record that no provider worked on a call; it costs nothing."""
        text = str(error)
        if isinstance(error, UpstreamError) and error.answer is not None:
            # It begins with ``REFUSED`` or ``UNTRANSLATED`` then, and the model is not late for it.
            text = text.removeprefix(f"model {decision.model!r}: ")
        self._charge(decision, 0.0, error=text)

    def abandoned(self, decision: Decision, span: CallSpan) -> None:
        """Record that the client left before the answer began.

        The provider may have worked on it, so the call is charged at its expected cost.
        """
        cost = expected_cost(decision)
        self._charge(decision, cost, error=DISCONNECTED, estimated=True)
        self._metrics.request(decision.model, decision.sla, "disconnected")
        span.end("disconnected", DISCONNECTED)

    def close_unreported(self) -> None:
        """Charge calls that clients have not reported for an hour at their expected costs."""
        before = self._router.clock() - _CLIENT_CALL_SECONDS
        for decision in self._router.unreported_calls(before):
            self._charge(decision, expected_cost(decision), error=UNREPORTED, estimated=True)

    def _charge(self, decision: Decision, cost: float, **about: Any) -> None:
        """Charge a call to its key and its SLA, and log its outcome.

        If the log takes no event now, the outcome waits for the end of the next call; the money
        stays reserved until then. A start charges what still waited at a stop.
        """
        self._auth.charge(decision.key, decision.id, cost)
        self._waiting.append((decision.id, {"cost": cost, "at": self._router.clock(), **about}))
        while self._waiting:
            try:
                name, outcome = self._waiting[0]
                self._router.outcome(name, **outcome)
            except StoreUnavailable as error:
                log.warning("%d outcomes of calls wait for the log: %s", len(self._waiting), error)
                return
            except BaseException:
                self._waiting.popleft()
                raise
            self._waiting.popleft()


def close_interrupted(router: Router, prefix: str = "") -> int:
    """End the gateway's own calls that have no outcome, because the process ended during them.

    Each is charged at its expected cost, like a call whose client left. Called once at the start.

    Parameters
    ----------
    router
        The state after recovery.
    prefix
        Beginning of the ids of the decisions whose process ended; all by default.

    Returns
    -------
    int
        Number of calls that were open.
    """
    count = 0
    for record in router.open_calls():
        decision = record.decision
        if decision.call_by != GATEWAY or not decision.id.startswith(prefix):
            continue
        for model in record.reserved:
            # Only the model that serves is ever called.
            cost = expected_cost(decision) if model == decision.model else 0.0
            router.outcome(decision.id, model=model, cost=cost, error=INTERRUPTED, estimated=True)
            count += 1
    return count


def _shown_id(answer: Answer) -> str | None:
    """Provider's id of a completion if the client gets to see it; it names the decision then."""
    return None if answer.own_id else answer.completion_id


def expected_cost(decision: Decision) -> float:
    """Return the expected cost of a call, and no more than its budget has reserved for it."""
    reserved = decision.reserved[0] if decision.reserved else decision.expected_cost
    return min(decision.expected_cost, reserved, MAX_COST)
