"""Collect every model's response to some prompts, within a cap on the cost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

from floorline.datasets.trial_table import TrialRow, TrialTable, shown_response
from floorline.errors import InvalidInput
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.upstreams import Answer, UpstreamError, Upstreams, UpstreamSettings
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.retry import Backoff
from floorline.gateway.upstreams.usage import UsageBounds, check_usage, cost_of
from floorline.zoo import Zoo

_UNCHARGED = frozenset({"connect", "status", "open", "saturated"})
"""Kinds of errors after which no answer was written, so that nothing is charged."""
_MAX_FAILURES = 3
"""Failures of a model one after the other, after which it is called no more."""
_MAX_WAIT = 60.0
"""Longest wait in seconds before another attempt."""
_MAX_REASON = 160
"""Characters of a provider's message that are repeated."""

Score = Callable[[str, str], str]
"""Returns the score of a response, as a text, by the right answer; "" for none."""


class Trial:
    """Calls of models with the prompts of a table.

    What a call can cost at most is added to its row, in the file, before it is sent, and replaced
    by its cost after it. So the cap holds whatever happens between.

    Parameters
    ----------
    table
        The rows; saved after each change.
    zoo
        Models and their prices.
    calls
        How each model is called, by name.
    fields
        Fields of every request besides ``model`` and ``messages``, such as ``max_tokens``.
    system
        System prompt; "" for none.
    max_cost
        Most that all calls of the table may cost.
    score
        Scores responses.
    sleep
        Waits a number of seconds.

    Attributes
    ----------
    failures
        The latest reason why a call failed, by model name.
    left_out
        Models that failed several times one after the other and are called no more.
    needed
        What the row at which the cap stopped the trial can cost; None if all rows were called.
    """

    def __init__(
        self,
        table: TrialTable,
        zoo: Zoo,
        calls: Mapping[str, UpstreamSettings],
        *,
        fields: Mapping[str, Any],
        system: str,
        max_cost: float,
        score: Score,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.table = table
        self.zoo = zoo
        self.fields = dict(fields)
        self.system = system
        self.max_cost = max_cost
        self.score = score
        self.failures: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.needed: float | None = None
        self._sleep = sleep
        self._rng = Random(0)
        self._retries = {name: one.retries for name, one in calls.items()}
        # Attempts are made here: one that may be charged must not be repeated unseen.
        self._calls = {n: one.model_copy(update={"retries": 0}) for n, one in calls.items()}
        self._in_a_row = dict.fromkeys(calls, 0)

    async def run(self, progress: Callable[[int], object]) -> None:
        """Call all models with all prompts that they have not answered.

        It ends before the first row whose calls may exceed the cap.
        """
        upstreams = Upstreams(self._calls)
        await upstreams.start()
        try:
            for done, row in enumerate(self.table.rows, 1):
                waiting = [
                    name
                    for name in self._calls
                    if name not in row.costs and name not in self.left_out
                ]
                if not self._reserve(row, waiting):
                    return
                await self._answer_all(upstreams, row, waiting)
                progress(done)
        finally:
            await upstreams.close()

    async def _answer_all(self, upstreams: Upstreams, row: TrialRow, names: list[str]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._answer(upstreams, row, name))
        except* OSError as errors:
            # The file cannot be written.
            raise errors.exceptions[0] from None

    def _reserve(self, row: TrialRow, names: list[str]) -> bool:
        """Add to a row what its calls can cost, unless that may exceed the cap."""
        if not names:
            return True
        most = math.fsum(self._most(row, name) for name in names)
        if self.table.spent + most > self.max_cost:
            self.needed = most
            return False
        row.spent += most
        self.table.save()
        return True

    def _request(self, row: TrialRow, name: str) -> tuple[bytes, ChatBody]:
        messages = [{"role": "user", "content": row.question.prompt}]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        body = {"model": self._calls[name].model, "messages": messages, **self.fields}
        data = json.dumps(body).encode()
        return data, read_chat(data, {})

    def _most(self, row: TrialRow, name: str) -> float:
        """Most that a call can cost, in the zoo's unit."""
        _, chat = self._request(row, name)
        return float(self.zoo.largest_costs(chat.limits)[self.zoo.index(name)])

    async def _answer(self, upstreams: Upstreams, row: TrialRow, name: str) -> None:
        """Call a model and put its response and its cost into the row."""
        most = self._most(row, name)
        try:
            response, cost = await self._call(upstreams, row, name)
        except UpstreamError as error:
            self._failed(name, error.for_client)
            charged = most if error.kind not in _UNCHARGED else 0.0
        else:
            self._in_a_row[name] = 0
            row.responses[name] = shown_response(response)
            row.scores[name] = self.score(response, row.question.answer)
            row.costs[name] = charged = cost
        row.spent = max(0.0, row.spent - most) + charged
        self.table.save()

    async def _call(self, upstreams: Upstreams, row: TrialRow, name: str) -> tuple[str, float]:
        """Return a model's response and its cost; repeat attempts that are not charged."""
        data, chat = self._request(row, name)
        backoff, attempt = Backoff(max_retry_after_seconds=_MAX_WAIT), 0
        while True:
            attempt += 1
            try:
                async with await upstreams.call(name, data, stream=False) as answer:
                    body = await answer.body()
                    self._check(name, answer, body)
                    return response_text(body), self._cost(name, chat, answer)
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
        model = self.zoo.models[self.zoo.index(name)]
        most = [n for n in (chat.limits.output_tokens, model.max_output_tokens) if n is not None]
        bounds = UsageBounds(
            chat.input_tokens,
            chat.limits.input_tokens,
            chat.media,
            answer.output_characters,
            chat.limits.answers,
            min(most, default=None),
            chat.certain_tokens,
        )
        return cost_of(model, check_usage(answer.usage, bounds).usage)

    def _failed(self, name: str, reason: str) -> None:
        self.failures[name] = reason
        self._in_a_row[name] += 1
        if self._in_a_row[name] >= _MAX_FAILURES:
            self.left_out.add(name)


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


def check_fields(fields: Mapping[str, Any]) -> None:
    """Check the fields of requests that a user gives.

    Raises
    ------
    InvalidInput
        If one of them is the trial's own.
    """
    for name in ("model", "messages", "stream", "n"):
        if name in fields:
            raise InvalidInput("--fields", name, f"remove {name}: the trial sets it itself")
