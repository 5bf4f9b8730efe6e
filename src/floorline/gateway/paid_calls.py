"""Calls of models outside of requests, each with the most that it can cost and what it did cost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.translation import for_provider
from floorline.gateway.upstreams import Answer, Backoff, UpstreamError, Upstreams, UpstreamSettings
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.usage import bill_of, check_usage
from floorline.gateway.usage_check import usage_bounds
from floorline.zoo import Zoo

_UNCHARGED = frozenset({"connect", "status", "open", "saturated"})
"""Kinds of errors after which no answer was written, so that nothing is charged."""
_MAX_FAILURES = 3
"""Failures of a model one after the other, after which it is called no more."""
_MAX_WAIT = 60.0
"""Longest wait in seconds before another attempt."""
_MAX_REASON = 160
"""Characters of a provider's message that are repeated."""


class Paid(NamedTuple):
    """Text of an answer, None if there is none, and what the call cost or may have cost."""

    text: str | None
    cost: float


class PaidCalls:
    """Providers of models, called by the code of the gateway.

    Parameters
    ----------
    zoo
        Models and their prices.
    calls
        How each model is called, by name.
    sleep
        Waits a number of seconds.

    Attributes
    ----------
    failures
        The latest reason why a call failed, by model name.
    left_out
        Models that failed several times one after the other and should be called no more.
    """

    def __init__(
        self,
        zoo: Zoo,
        calls: Mapping[str, UpstreamSettings],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.failures: dict[str, str] = {}
        self.left_out: set[str] = set()
        self._zoo = zoo
        self._sleep = sleep
        self._rng = Random(0)
        self._retries = {name: one.retries for name, one in calls.items()}
        # Attempts are made here: one that may be charged must not be repeated unseen.
        self._calls = {n: one.model_copy(update={"retries": 0}) for n, one in calls.items()}
        self._in_a_row = dict.fromkeys(calls, 0)
        self._upstreams = Upstreams(self._calls)

    async def start(self) -> None:
        """Open the connection pool."""
        await self._upstreams.start()

    async def close(self) -> None:
        """Abort what runs."""
        await self._upstreams.close()

    def request(
        self, name: str, messages: Sequence[Mapping[str, str]], fields: Mapping[str, Any]
    ) -> bytes:
        """Return the body of a request."""
        body = {"model": self._calls[name].model, "messages": messages, **fields}
        # Lone surrogates have no bytes of their own.
        return json.dumps(body, ensure_ascii=False).encode(errors="replace")

    def most(self, name: str, data: bytes) -> float:
        """Most that a call with this body can cost, in the zoo's unit."""
        limits = read_chat(data, {}).limits
        return float(self._zoo.largest_costs(limits)[self._zoo.index(name)])

    async def call(self, name: str, data: bytes) -> Paid:
        """Call a model; a failure is kept in ``failures``."""
        try:
            found = await self._call(name, data)
        except UpstreamError as error:
            self.failures[name] = error.for_client
            self._in_a_row[name] += 1
            if self._in_a_row[name] >= _MAX_FAILURES:
                self.left_out.add(name)
            return Paid(None, 0.0 if error.kind in _UNCHARGED else self.most(name, data))
        self._in_a_row[name] = 0
        return found

    async def _call(self, name: str, data: bytes) -> Paid:
        """Call a model, and repeat attempts that are not charged."""
        chat = read_chat(data, {})
        model = self._zoo.models[self._zoo.index(name)]
        sent, conversation = for_provider(chat, model, self._calls[name])
        backoff, attempt = Backoff(max_retry_after_seconds=_MAX_WAIT), 0
        while True:
            attempt += 1
            try:
                async with await self._upstreams.call(
                    name, sent, stream=False, conversation=conversation
                ) as answer:
                    body = await answer.body()
                    self._check(name, answer, body)
                    return Paid(response_text(body), self._cost(name, chat, answer))
            except UpstreamError as error:
                again = error.retryable and error.kind in ("connect", "status")
                if not again or attempt > self._retries[name]:
                    raise
                wait = backoff.wait(attempt, self._rng, error.retry_after)
                if wait is None:
                    raise
            await self._sleep(wait)

    def _check(self, name: str, answer: Answer, body: bytes) -> None:
        """Raise what the provider says of a request that it refuses."""
        if answer.status < 400:
            return
        text = body.decode(errors="replace")
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            text = str(json.loads(body)["error"]["message"])
        text = " ".join(Redactor(self._calls[name].secrets()).text(text).split())
        why = f"model {name!r}: the provider refuses the request ({answer.status}): "
        raise UpstreamError(why + text[:_MAX_REASON], "status")

    def _cost(self, name: str, chat: ChatBody, answer: Answer) -> float:
        model = self._zoo.models[self._zoo.index(name)]
        usage = check_usage(answer.usage, usage_bounds(chat, answer, model)).usage
        return bill_of(model, usage, self._zoo.cost_unit).cost


def response_text(body: bytes) -> str:
    """Return the text of a completion's first choice; "" if it has none.

    Examples
    --------
    >>> response_text(b'{"choices": [{"message": {"content": "Hi"}}]}')
    'Hi'
    """
    try:
        # The strict parser refuses lone surrogates.
        message = json.loads(body)["choices"][0]["message"]
        content, refusal = message.get("content"), message.get("refusal")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    for text in (content, refusal):
        if isinstance(text, str) and text:
            return text
    return ""
