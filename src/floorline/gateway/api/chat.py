"""``POST /v1/chat/completions``: route, call, pass the answer on, write down what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from floorline.errors import BudgetExhausted, FloorlineError, InvalidInput
from floorline.events import DIRECT, Decision
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.errors import ApiError, api_error, error_json, unexpected
from floorline.gateway.observability.spans import CallSpan
from floorline.gateway.service import LEFT, Ended, Gateway
from floorline.gateway.upstreams import Answer, UpstreamError

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller

_WATCH_AFTER = 0.05
"""Seconds after which a request's client is watched, lest the answer be for nobody."""
_MOST_MODELS = 3
"""Models tried for one request before its failure is the client's."""


class ChatEndpoint:
    """ASGI application of the chat endpoint; a plain one, since it is on every request's path."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = self.gateway
        headers = Headers(scope=scope)
        exchange: _Exchange | None = None
        try:
            caller = gateway.auth.caller(headers, "chat")
            with gateway.slot():
                data = await read_body(receive, gateway.settings.server.max_body)
                chat = read_chat(data, headers)
                exchange = _Exchange(gateway, caller, chat, headers, receive, send)
                await exchange.run()
        except FloorlineError as error:
            await api_error(error).response()(scope, receive, send)
        except Exception as error:
            if exchange is not None and exchange.started:
                raise
            await unexpected("chat request", error).response()(scope, receive, send)


class _Exchange:
    """One chat request from its decision to the last byte of its answer."""

    def __init__(
        self,
        gateway: Gateway,
        caller: Caller,
        chat: ChatBody,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        self.gateway = gateway
        self.caller = caller
        self.chat = chat
        self.headers = headers
        self.receive = receive
        self.send = send
        self.started = False
        self.left = False
        self.watcher: asyncio.Task[None] | None = None
        self.position = 0
        self.body: bytes | None = None

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        # Most of what takes no longer is over before anybody can have left.
        timer = asyncio.get_running_loop().call_later(_WATCH_AFTER, self._watch, task)
        try:
            await self._serve()
        except asyncio.CancelledError:
            if not self.left:
                raise
            task.uncancel()
        finally:
            timer.cancel()
            if self.watcher is not None:
                self.watcher.cancel()

    def _watch(self, task: asyncio.Task[None]) -> None:
        self.watcher = asyncio.create_task(self._cancel_if_left(task))

    async def _cancel_if_left(self, task: asyncio.Task[None]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        task.cancel()

    async def _serve(self) -> None:
        decision, answer, span = await self._answer()
        gateway = self.gateway
        ended: Ended = "ok" if answer.status < 400 else "client_error"
        error = "" if answer.status < 400 else f"the provider answered {answer.status}"
        try:
            if answer.streamed:
                await self._pass_stream(decision, answer)
            else:
                await self._pass_whole(decision, answer)
        except asyncio.CancelledError:
            ended, error = "disconnected", LEFT
            raise
        except UpstreamError as failure:
            ended, error = "upstream_error", str(failure)
            if not self.started:
                raise _client_error(failure) from failure
            await self._end_stream(failure)
        finally:
            await answer.aclose()
            gateway.settle(decision, answer, span, ended, error, self.body)

    async def _answer(self) -> tuple[Decision, Answer, CallSpan]:
        """Call the chosen model, and the next best ones while that fails."""
        gateway, chat = self.gateway, self.chat
        decision = self._decide()
        tried: list[str] = []
        while True:
            try:
                answer, span = await gateway.call(decision, chat, self.headers)
            except UpstreamError as failure:
                tried.append(decision.model)
                follower = self._next(decision, failure, tried)
                if follower is None:
                    gateway.metrics.request(decision.model, decision.sla, "upstream_error")
                    raise _client_error(failure) from failure
                gateway.metrics.fallback(decision.model)
                decision = follower
            else:
                return decision, answer, span

    def _next(
        self, failed: Decision, failure: UpstreamError, tried: Sequence[str]
    ) -> Decision | None:
        """Decision in place of one whose call failed; None if the failure is the client's."""
        if failed.policy == DIRECT or not failure.fallback or len(tried) == _MOST_MODELS:
            return None
        try:
            return self._decide(tried, after=failed.id)
        except (InvalidInput, BudgetExhausted):
            return None

    def _decide(self, tried: Sequence[str] = (), after: str = "") -> Decision:
        decision = self.gateway.decide(self.chat, self.caller, exclude=tried, after=after)
        self.position = len(self.gateway.store)
        return decision

    async def _pass_whole(self, decision: Decision, answer: Answer) -> None:
        self.body = body = await answer.body()
        cost = self.gateway.cost(decision, answer)
        await self.gateway.store.committed(self.position)
        headers = self._headers(decision, answer)
        headers.append((b"content-length", str(len(body)).encode()))
        headers.append((b"x-floorline-cost", f"{cost:.9g}".encode()))
        await self._start(answer.status, headers)
        await self.send({"type": "http.response.body", "body": body})

    async def _pass_stream(self, decision: Decision, answer: Answer) -> None:
        await self.gateway.store.committed(self.position)
        await self._start(answer.status, self._headers(decision, answer))
        async for chunk in answer.chunks():
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

    async def _end_stream(self, failure: UpstreamError) -> None:
        event = b"data: " + error_json(str(failure), code=_code(failure)) + b"\n\n"
        await self.send({"type": "http.response.body", "body": event})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await self.send(start)

    def _headers(self, decision: Decision, answer: Answer) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"x-floorline-decision", decision.id.encode()),
            (b"x-floorline-model", _ascii(decision.model)),
            (b"x-floorline-expected-cost", f"{decision.expected_cost:.9g}".encode()),
        ]
        if decision.policy != DIRECT:
            quality = f"{decision.expected_quality:.4f}".encode()
            headers.append((b"x-floorline-expected-quality", quality))
        return headers


def _ascii(name: str) -> bytes:
    return name.encode("ascii", "backslashreplace")


def _code(failure: UpstreamError) -> str:
    return f"upstream_{failure.kind}"


def _client_error(failure: UpstreamError) -> ApiError:
    """What a client is told when every model that could answer has failed."""
    return ApiError(
        failure.client_status,
        str(failure),
        code=_code(failure),
        retry_after=failure.retry_after,
    )


async def read_body(receive: Receive, most: int) -> bytes:
    """Read a request's whole body.

    Raises
    ------
    ApiError
        If it is longer than ``most`` bytes, or the client left.
    """
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        chunks = [message.get("body", b"")]
        size = len(chunks[0])
    else:
        chunks, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ApiError(400, "the client left before its request was whole")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > most or not message.get("more_body", False):
                break
            message = await receive()
    if size > most:
        raise ApiError(
            413, f"the body is larger than {most:,} bytes: send less", code="body_too_large"
        )
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
