"""An OpenAI-compatible provider of the simulated zoo; no answer comes from a real model.

Every answer states in its text and in its ``system_fingerprint`` that it is simulated. No answer
contains the satisfaction of the user; the simulated users compute it from the zoo.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from floorline.datasets.simulated import SimulatedAnswer, SimulatedZoo, count_tokens
from floorline.demo.schema_example import example_value
from floorline.errors import check_number

FINGERPRINT = "floorline-simulated"
"""``system_fingerprint`` of every answer."""

_WORDS_PER_CHUNK = 4
"""Number of words in one chunk of a stream."""
CACHE_SECONDS = 300.0
"""Time for which the models keep a prompt after its last use, as most providers do."""
_CACHED_REQUESTS = 10_000
"""Requests whose prompts are kept: those of five minutes, and more, at 30 a second."""
_MAX_CHOICES = 128
"""Largest accepted ``n``, as in OpenAI's API."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _Function


class _Schema(msgspec.Struct):
    schema: dict[str, Any] | None = None


class _Format(msgspec.Struct):
    type: str = "text"
    json_schema: _Schema | None = None


class _Chat(msgspec.Struct):
    """The fields of a chat request that the provider reads."""

    model: str
    messages: list[_Message]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    n: int | None = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Tool | None = None
    response_format: _Format | None = None


class FakeProvider:
    """The simulated zoo as endpoints ``/v1/chat/completions`` and ``/v1/models``.

    The answer of a model to a prompt depends on the seed only, not on earlier requests.

    Parameters
    ----------
    zoo
        The models with the costs and durations of their answers.
    seed
        Seed of the lengths and durations of answers, and of faults.
    latency
        Real seconds per simulated second; 0 answers at once.
    fault_rate
        Share of calls that fail, alternately with status 500 and 429.
    caches
        Whether the models keep the prompts of conversations for ``CACHE_SECONDS``, and count the
        input tokens that they know.

    Attributes
    ----------
    unavailable : set of str
        Names of models whose calls fail with status 503 now; a caller may change it at any time.

    Raises
    ------
    InvalidInput
        If ``latency`` is negative or ``fault_rate`` is not in [0, 1].
    """

    def __init__(
        self,
        zoo: SimulatedZoo,
        *,
        seed: int = 0,
        latency: float = 0.0,
        fault_rate: float = 0.0,
        caches: bool = False,
    ) -> None:
        self.zoo = zoo
        self.seed = seed
        self.latency = check_number("latency", latency, low=0.0, fix="give a factor of 0 or more")
        self.fault_rate = check_number(
            "fault_rate", fault_rate, low=0.0, high=1.0, fix="give a share from 0 to 1"
        )
        self.unavailable: set[str] = set()
        self._cache = _PromptCache() if caches else None
        self.calls = 0
        self._names = [model.name for model in zoo.models]
        self._faults = np.random.default_rng([seed, 4])
        self._failed = 0

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
            ]
        )

    def answer(self, prompt: str, model: str) -> SimulatedAnswer:
        """Return the answer of a model to a prompt; the same one at every call.

        Raises
        ------
        InvalidInput
            If the model is not in the zoo.
        """
        text = f"{model}\n{prompt}".encode(errors="replace")
        salt = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
        return self.zoo.draw(prompt, model, np.random.default_rng([self.seed, 3, salt]))

    async def _models(self, request: Request) -> Response:
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": FINGERPRINT}
            for name in self._names
        ]
        return _json({"object": "list", "data": entries})

    async def _complete(self, request: Request) -> Response:
        try:
            chat = msgspec.json.decode(await request.body(), type=_Chat)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _error(400, f"the body is not a chat request: {error}", "invalid_body")
        if chat.model not in self._names:
            known = ", ".join(self._names)
            text = f"there is no model {chat.model!r}: choose one of {known}"
            return _error(404, text, "model_not_found")
        if not 1 <= (chat.n or 1) <= _MAX_CHOICES:
            return _error(400, f"n is {chat.n}: give 1 to {_MAX_CHOICES}", "invalid_value")
        if chat.model in self.unavailable:
            return _error(503, "a simulated outage of this model", "simulated_outage")
        if self.fault_rate and self._faults.random() < self.fault_rate:
            return self._fault()
        self.calls += 1
        cached = 0 if self._cache is None else self._cache.use(chat, time.monotonic())
        completion = _Completion(chat, self.answer(_prompt(chat), chat.model), self.calls, cached)
        pause = completion.drawn.latency * self.latency
        if chat.stream:
            return StreamingResponse(_events(completion, pause), media_type="text/event-stream")
        await asyncio.sleep(pause)
        return _json(completion.body())

    def _fault(self) -> Response:
        self._failed += 1
        if self._failed % 2:
            return _error(500, "a simulated failure", "simulated_failure")
        return _error(429, "a simulated rate limit", "simulated_rate_limit", {"retry-after": "0"})


class _PromptCache:
    """What the models know of conversations: the messages of the latest requests, by their hash."""

    def __init__(self) -> None:
        # When each was used last, and its tokens; the oldest first.
        self._known: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def use(self, chat: _Chat, now: float) -> int:
        """Return the tokens of the longest known beginning of a request, and keep the request."""
        digest, tokens, cached = hashlib.sha256(chat.model.encode()), 0, 0
        for message in chat.messages:
            text = _message_text(message)
            digest.update(f"\n{message.role}\n{text}".encode(errors="replace"))
            tokens += count_tokens(text)
            used, known = self._known.get(digest.digest(), (-math.inf, 0))
            if now - used < CACHE_SECONDS:
                cached = known
        self._known[digest.digest()] = now, tokens
        self._known.move_to_end(digest.digest())
        while len(self._known) > _CACHED_REQUESTS:
            self._known.popitem(last=False)
        return cached


class _Completion:
    """One answer, as a whole body or as the chunks of a stream."""

    def __init__(
        self, chat: _Chat, drawn: SimulatedAnswer, number: int, cached_tokens: int = 0
    ) -> None:
        self.chat = chat
        self.drawn = drawn
        self.common_fields = {
            "id": f"chatcmpl-sim-{number:x}",
            "created": int(time.time()),
            "model": drawn.model,
            "system_fingerprint": FINGERPRINT,
        }
        max_tokens = chat.max_completion_tokens or chat.max_tokens or drawn.tokens_out
        self.tokens_out = min(drawn.tokens_out, max_tokens)
        self.tools = _tool_calls(chat, number)
        self.text = None if self.tools else _text(chat, drawn, self.tokens_out)
        end_of_text = "length" if self.tokens_out < drawn.tokens_out else "stop"
        self.finish = "tool_calls" if self.tools else end_of_text
        # A conversation sends its earlier messages again.
        self.tokens_in = sum(count_tokens(_message_text(message)) for message in chat.messages)
        self.cached_tokens = cached_tokens
        self.choices = range(chat.n or 1)

    def usage(self) -> dict[str, Any]:
        """Return the numbers of tokens; all choices have the same length."""
        output = self.tokens_out * len(self.choices)
        usage: dict[str, Any] = {
            "prompt_tokens": self.tokens_in,
            "completion_tokens": output,
            "total_tokens": self.tokens_in + output,
        }
        if self.cached_tokens:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        return usage

    def body(self) -> dict[str, Any]:
        """Return the whole answer."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.tools:
            message["tool_calls"] = self.tools
        choices = [
            {"index": i, "message": message, "logprobs": None, "finish_reason": self.finish}
            for i in self.choices
        ]
        kind = "chat.completion"
        return {**self.common_fields, "object": kind, "choices": choices, "usage": self.usage()}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a stream: the role, the words or tool calls, the end, the usage."""
        yield from self._each({"role": "assistant", "content": "" if self.text else None})
        if self.text is None:
            calls = [{"index": n, **call} for n, call in enumerate(self.tools)]
            yield from self._each({"tool_calls": calls})
        else:
            words = self.text.split(" ")
            for start in range(0, len(words), _WORDS_PER_CHUNK):
                space = " " if start else ""
                piece = space + " ".join(words[start : start + _WORDS_PER_CHUNK])
                yield from self._each({"content": piece})
        yield from self._each({}, self.finish)
        if self.chat.stream_options is not None and self.chat.stream_options.include_usage:
            yield {**self._chunk([]), "usage": self.usage()}

    def _each(self, delta: dict[str, Any], finish: str | None = None) -> Iterator[dict[str, Any]]:
        for i in self.choices:
            yield self._chunk([{"index": i, "delta": delta, "finish_reason": finish}])

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self.common_fields, "object": "chat.completion.chunk", "choices": choices}


async def _events(completion: _Completion, pause: float) -> AsyncIterator[bytes]:
    chunks = list(completion.chunks())
    for chunk in chunks:
        if pause:
            await asyncio.sleep(pause / len(chunks))
        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _prompt(chat: _Chat) -> str:
    """Return the text of the last user message, or of the last message if there is none."""
    users = [message for message in chat.messages if message.role == "user"]
    last = (users or chat.messages)[-1:]
    return _message_text(last[0]) if last else ""


def _message_text(message: _Message) -> str:
    content = message.content
    if isinstance(content, list):
        parts = [part.get("text") for part in content]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content or ""


def _text(chat: _Chat, drawn: SimulatedAnswer, tokens: int) -> str:
    form = chat.response_format or _Format()
    if form.json_schema is not None:
        return msgspec.json.encode(example_value(form.json_schema.schema)).decode()
    if form.type == "json_object":
        return '{"simulated":true}'
    return (
        f"This answer is simulated, no model was called. The simulated model {drawn.model} read "
        f"{drawn.tokens_in} tokens and wrote {tokens}."
    )


def _tool_calls(chat: _Chat, number: int) -> list[dict[str, Any]]:
    """Return a call of the first offered function, with example arguments of its schema."""
    answered = bool(chat.messages) and chat.messages[-1].role == "tool"
    if chat.tool_choice == "none" or answered:
        return []
    functions = [tool.function for tool in chat.tools or ()]
    if isinstance(chat.tool_choice, _Tool):
        functions = [f for f in functions if f.name == chat.tool_choice.function.name]
    if not functions:
        return []
    arguments = msgspec.json.encode(example_value(functions[0].parameters)).decode()
    call = {"name": functions[0].name, "arguments": arguments}
    return [{"id": f"call_sim_{number:x}", "type": "function", "function": call}]


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def _error(status: int, text: str, code: str, headers: dict[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 429 else "server_error"
    body = {"error": {"message": text, "type": kind, "param": None, "code": code}}
    return _json(body, status, headers)


@contextlib.asynccontextmanager
async def serving(app: Starlette, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on the loopback address in this block; yield its base URL.

    Port 0 chooses a free port.
    """
    # asyncio disables Nagle's algorithm only for sockets whose protocol is given explicitly.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not task.done():
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    """Server that does not handle signals, because the program around it does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
