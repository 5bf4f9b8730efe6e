"""The endpoints of answers: decide, call, pass the answer on, record what it took.

``POST /v1/chat/completions``, ``/v1/messages`` and ``/v1/responses`` differ in their dialect alone.
``/v1/completions`` and ``/v1/embeddings`` take only names of models.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from floorline.config.provider import DialectName
from floorline.errors import BudgetExhausted, FloorlineError, InvalidInput
from floorline.events import DIRECT, DISCONNECTED, REFUSED, Decision
from floorline.gateway.api.body import read_body
from floorline.gateway.api.event_stream import STREAM_HEADERS, EventStream, HeaderList
from floorline.gateway.api.explained import (
    explanation_header,
    wants_explanation,
    with_explanation,
)
from floorline.gateway.api.paths import DEPLOYMENT
from floorline.gateway.api.responses import decision_headers, losses_header
from floorline.gateway.call_recorder import STREAM_ERROR, CallResult, Measured
from floorline.gateway.chat_request import ChatBody, read_chat
from floorline.gateway.continued_response import check_continued
from floorline.gateway.dialect_errors import error_body, error_event, error_response
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.errors import ApiError, api_error, unexpected
from floorline.gateway.header_text import as_header
from floorline.gateway.observability.spans import CallSpan
from floorline.gateway.request_headers import RequestHeaders
from floorline.gateway.request_views import NamedPath
from floorline.gateway.startup import Gateway
from floorline.gateway.upstreams import Answer, UpstreamError

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller

log = logging.getLogger("floorline.gateway")

_WATCH_AFTER_SECONDS = 0.05
"""Time until a request's client is watched for a disconnect; most requests end before."""
_MAX_FAILURES = 3
"""Models that fail for one request before its failure is sent to the client."""
_MAX_MODELS = 8
"""The same with the models that answer that they cannot serve it, which costs nothing and takes a
round trip each."""


_ROUTES: dict[DialectName, str] = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
}
"""What spans of requests are called, by dialect; other paths of an endpoint have names in them."""


class ChatEndpoint:
    """ASGI application of an endpoint of answers.

    It uses ASGI directly, because Starlette's request and response objects add latency.

    Parameters
    ----------
    gateway
        Serves the requests.
    dialect
        Of requests, answers and errors.
    path
        Path below the providers' endpoints, if the requests name their model; "" for answers.
    identify
        Returns who sent a request, by its headers; by default whose API key they have.
    """

    def __init__(
        self,
        gateway: Gateway,
        dialect: DialectName = "openai",
        path: NamedPath = "",
        identify: Callable[[Headers], Caller] | None = None,
    ) -> None:
        self.gateway = gateway
        self._identify = identify or (lambda headers: gateway.auth.caller(headers, "chat"))
        self.dialect: DialectName = dialect
        self.path: NamedPath = path
        self.route = f"/v1{path}" if path else _ROUTES[dialect]
        # Its import takes milliseconds, which the first request would otherwise wait.
        dialect_named(dialect)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = self.gateway
        headers = RequestHeaders(scope)
        exchange: _Exchange | None = None
        try:
            caller = self._identify(headers)
            gateway.admission.check()
            # Before a slot is taken: clients that send slowly must not hold those of others.
            with gateway.bodies.request() as memory:
                data = await read_body(
                    scope, receive, gateway.config.settings.server.max_body, memory
                )
                with gateway.admission.admit():
                    named = scope.get(DEPLOYMENT, "")
                    query = scope["query_string"].decode("latin-1")
                    chat = read_chat(data, headers, self.dialect, query, self.path, named)
                    chat = gateway.chat.names.renamed(chat)
                    chat = gateway.chat.with_items(chat, caller)
                    if chat.dialect == "responses":
                        await check_continued(chat, caller, gateway.decisions)
                    await gateway.chat.recall_session(chat, caller)
                    exchange = _Exchange(gateway, caller, chat, headers, receive, send)
                    await exchange.traced(self.route)
        except FloorlineError as error:
            failure = api_error(error)
        except Exception as error:
            if exchange is not None and exchange.started:
                raise
            failure = unexpected(f"{scope['path']} request", error)
        else:
            return
        if exchange is not None and exchange.stream_started:
            await exchange.fail(failure)
        else:
            await self._refuse(failure, exchange)(scope, receive, send)

    def _refuse(self, error: ApiError, exchange: _Exchange | None) -> Response:
        """Answer with an error, and with the headers of the last decision if there was one."""
        response = error_response(error, self.dialect)
        if exchange is not None and exchange.decision is not None:
            response.raw_headers += decision_headers(exchange.decision, exchange.attempts)
            response.raw_headers += exchange.explained_at(exchange.decision)
        return response


class _Exchange:
    """One chat request, from its decision to the last byte of its answer."""

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
        self.disconnected = False
        self.stream: EventStream | None = None
        self.announced: Decision | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.position = 0
        self.body: bytes | None = None
        # Bytes of a stream, where judges may see it.
        self.kept: list[bytes] | None = None
        self.measured: Measured | None = None
        self.decision: Decision | None = None
        self.attempts = 0
        self.explains = wants_explanation(headers)
        self.trace: Mapping[str, str] = headers
        self.status: int | None = None
        self.result: CallResult = "ok"

    async def traced(self, route: str) -> None:
        """Answer the request within a span, whose children are its calls."""
        span = self.gateway.telemetry.request(self.headers, route, self.chat.model)
        self.trace, error = span.headers, None
        try:
            await self.run()
        except BaseException as failure:
            error = type(failure).__name__
            if isinstance(failure, FloorlineError):
                self.status = api_error(failure).status
            raise
        finally:
            if error is None and self.status is None and self.disconnected:
                # It left before a model answered.
                error = "disconnected"
            error = error or (None if self.result == "ok" else self.result)
            span.end(status=self.status, attempts=self.attempts, error=error)

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        # Watching takes a task of its own, which a request that ends at once need not pay for.
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_WATCH_AFTER_SECONDS, self._watch, task)
        if self.chat.stream:
            every = self.gateway.config.settings.server.stream_keepalive or None
            self.stream = EventStream(
                self.send, every, self._headers_so_far, error_event(self.chat.dialect)
            )
        try:
            try:
                await self._serve()
            finally:
                timer.cancel()
                if self.watcher is not None:
                    self.watcher.cancel()
        except asyncio.CancelledError:
            if self.stream is not None:
                self.stream.cancel()
            if not self.disconnected:
                raise
            task.uncancel()
        except BaseException:
            # Before the error: it is an event if the status is sent by then.
            await self._stop_comments()
            raise
        await self._stop_comments()

    async def _stop_comments(self) -> None:
        if self.stream is not None:
            await self.stream.stop()

    def _watch(self, task: asyncio.Task[None]) -> None:
        self.watcher = asyncio.create_task(self._cancel_on_disconnect(task))

    async def _cancel_on_disconnect(self, task: asyncio.Task[None]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            # The client has ended its side of the connection: it waits for its answer, or has left.
            if self.stream is not None:
                self.stream.probe()
        self.disconnected = True
        task.cancel()

    async def _serve(self) -> None:
        decision, answer, span = await self._answer()
        gateway = self.gateway
        result: CallResult = "ok" if answer.status < 400 else "client_error"
        error = "" if answer.status < 400 else f"{REFUSED}{answer.status}"
        try:
            if answer.streamed:
                await self._pass_stream(decision, answer)
            else:
                await self._pass_whole(decision, answer)
            if answer.error is not None:
                result, error = "upstream_error", f"model {decision.model!r}: {STREAM_ERROR}"
        except asyncio.CancelledError:
            # A stream whose end the client has seen is no call that was broken off.
            if self.disconnected:
                await answer.read_on(self.chat.limits.answers)
            if not answer.complete:
                result, error = "disconnected", DISCONNECTED
            raise
        except UpstreamError as failure:
            result, error = "upstream_error", str(failure)
            if not self.started:
                raise
            await self.fail(api_error(failure))
        finally:
            self.result, self.status = result, answer.status
            try:
                await answer.aclose()
            finally:
                recorder = gateway.recorder
                measured = self.measured or recorder.measure(decision, self.chat, answer)
                recorder.answered(decision, answer, measured, span, result, error, self.body)
                gateway.chat.keep_items(decision, answer)
                if result == "ok":
                    self._show_judges(decision, answer)

    def _show_judges(self, decision: Decision, answer: Answer) -> None:
        """Hand the whole answer over to the judges, whose faults are none of the client's."""
        try:
            if self.kept is not None:
                self.gateway.judging.saw(decision, self.chat, b"".join(self.kept), streamed=True)
            elif self.body is not None and self.gateway.judging.wanted:
                self.gateway.judging.saw(decision, self.chat, self.body, streamed=answer.streamed)
        except Exception:
            log.exception("judges cannot see the answer of decision %r", decision.id)

    async def _answer(self) -> tuple[Decision, Answer, CallSpan]:
        """Call the chosen model, and other models while the calls fail."""
        gateway, chat = self.gateway, self.chat
        decision = self._decide()
        tried: list[str] = []
        unable: list[str] = []
        failures = 0
        while True:
            self.decision = decision
            try:
                answer, span = await gateway.chat.call(decision, chat, self.headers, self.trace)
            except UpstreamError as failure:
                self.attempts += failure.attempts
                tried.append(decision.model)
                unable += gateway.chat.candidates.too_small(decision, failure)
                failures += not failure.model_cannot
                more = failures < _MAX_FAILURES and len(tried) < _MAX_MODELS
                replacement = self._decide_again(decision, failure, [*tried, *unable], more)
                if replacement is None:
                    own = failure.answer is not None
                    result: CallResult = "client_error" if own else "upstream_error"
                    gateway.metrics.request(decision.model, decision.sla, result)
                    raise
                gateway.metrics.fallback(decision.model)
                decision = replacement
            else:
                self.attempts += answer.attempts
                if answer.status < 400:
                    gateway.aliases.note(decision, self.headers)
                return decision, answer, span

    def _decide_again(
        self, failed: Decision, failure: UpstreamError, excluded: Sequence[str], more: bool
    ) -> Decision | None:
        """Decide in place of a failed call; None if the client gets the failure."""
        if failed.policy == DIRECT or not failure.fallback or not more:
            return None
        try:
            return self._decide(excluded, after=failed.id)
        except (ApiError, InvalidInput, BudgetExhausted):
            return None

    def _decide(self, excluded: Sequence[str] = (), after: str = "") -> Decision:
        decision = self.gateway.chat.decide(self.chat, self.caller, exclude=excluded, after=after)
        self.position = len(self.gateway.store)
        return decision

    async def _pass_whole(self, decision: Decision, answer: Answer) -> None:
        self.body = body = await answer.body()
        measured = self.gateway.recorder.measure(decision, self.chat, answer)
        self.measured = measured
        await self.gateway.store.committed(self.position)
        self.gateway.recorder.note_completion(decision, answer)
        body = await self._explained(decision, answer, body)
        await self._stop_comments()
        if self.stream_started:
            # A provider's error, after a comment: the status of a stream has been sent.
            await self.fail(body)
            return
        headers = [(b"content-type", answer.content_type.encode())]
        headers += decision_headers(decision, self.attempts)
        headers += self.explained_at(decision)
        headers += answer.headers()
        headers += losses_header(answer.losses)
        headers.append((b"content-length", str(len(body)).encode()))
        headers.append((b"x-floorline-cost", f"{measured.cost:.9g}".encode()))
        self.started = True
        start: Message = {"type": "http.response.start", "status": answer.status}
        await self.send({**start, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def _pass_stream(self, decision: Decision, answer: Answer) -> None:
        stream = self.stream
        assert stream is not None
        await self.gateway.store.committed(self.position)
        headers = [*STREAM_HEADERS, *decision_headers(decision, self.attempts), *answer.headers()]
        headers += [*losses_header(answer.losses), *self.explained_at(decision)]
        self.started = True
        if not await stream.start(headers) and decision is not self.announced:
            # The headers named the model that failed meanwhile.
            names = decision.id.encode(), as_header(decision.model)
            await stream.comment(b"floorline decision=%s model=%s" % names)
        recorder = self.gateway.recorder
        noted, more = False, True
        if self.gateway.judging.wanted:
            self.kept = []
        # What is longer is judged by none, and need not be kept.
        room = int(self.gateway.config.settings.judging.max_response)
        async for chunk in answer.chunks():
            if self.kept is not None and room >= 0:
                self.kept.append(chunk)
                room -= len(chunk)
            # Before the client sees the id, so that no older answer gets its feedback.
            noted = noted or recorder.note_completion(decision, answer)
            more = answer.running
            await stream.pass_on(chunk, more=more)
        if more:
            await stream.end()

    async def _explained(self, decision: Decision, answer: Answer, body: bytes) -> bytes:
        """Body of a whole answer, with its explanation if the request asks for that.

        The log has the decision by then; the outcome comes after the answer.
        """
        if not self.explains or answer.status >= 400 or self.stream_started:
            return body
        found = await self.gateway.explanations.of(decision, self.caller)
        return with_explanation(body, found)

    def explained_at(self, decision: Decision) -> HeaderList:
        """Return the header with the address of a decision's explanation, if it is asked for."""
        if not self.explains:
            return []
        root_path = self.gateway.config.settings.server.root_path or ""
        return [explanation_header(decision, root_path)]

    async def _headers_so_far(self) -> HeaderList:
        """Headers of a stream that begins with a comment, before any model has answered."""
        decision = self.decision
        assert decision is not None
        await self.gateway.store.committed(self.position)
        self.announced = decision
        return [*STREAM_HEADERS, *decision_headers(decision), *self.explained_at(decision)]

    @property
    def stream_started(self) -> bool:
        """Whether the status of a stream has been sent, so that an error has to be an event."""
        return self.stream is not None and self.stream.started

    async def fail(self, error: ApiError | bytes) -> None:
        """End a stream that has begun with an error."""
        assert self.stream is not None
        if isinstance(error, ApiError):
            error = error_body(error, self.chat.dialect)
        await self.stream.end(error)
