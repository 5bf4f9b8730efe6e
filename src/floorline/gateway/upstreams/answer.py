"""A provider's answer, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from floorline.gateway.upstreams.client import Reply
from floorline.gateway.upstreams.completions import Findings
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage import Usage

_AFTER_DONE = 1.0
"""Seconds that a stream may stay open after ``[DONE]``; then its connection is closed."""

_DONE = b"data: [DONE]\n\n"

End = Callable[[bool | None], None]
"""Told once how a stream ended: well, through the provider's fault, or without a verdict."""


class Answer:
    """What a model's provider answered: a completion, or an error that is the client's own.

    Read it with ``body`` or pass it on with ``chunks``, once. Close it in any case, or use it as an
    asynchronous context manager: until then a stream keeps its place among the model's calls.

    Parameters
    ----------
    model
        The zoo's name of the model.
    status, headers, content_type
        As the provider sent them.
    body
        All of it; of a stream what came so far.
    found
        What the gateway reads of it.

    Attributes
    ----------
    attempts
        How many it took.
    first_byte_s, total_s
        Seconds from the call to the first byte of the body and to its end (of a stream: to its
        latest byte), failed attempts and waits included.
    streamed
        Whether it is a stream.
    """

    streamed = False

    def __init__(
        self,
        model: str,
        status: int,
        headers: Mapping[str, str],
        content_type: str,
        body: bytes,
        found: Findings,
    ) -> None:
        self.model = model
        self.status = status
        self.headers = headers
        self.content_type = content_type
        self.attempts = 1
        self.first_byte_s = self.total_s = 0.0
        self._body = body
        self._found = found

    @property
    def completion_id(self) -> str | None:
        """The provider's name of the completion."""
        return self._found.completion_id

    @property
    def usage(self) -> Usage | None:
        """Tokens as the provider counted them; None where it did not, or not yet."""
        return self._found.usage

    @property
    def output_characters(self) -> int:
        """Characters that the model wrote, as far as they came."""
        return self._found.output_characters

    @property
    def finish_reasons(self) -> list[str]:
        """Why the choices ended, in the order in which they did."""
        return self._found.finish_reasons

    @property
    def error(self) -> dict[str, Any] | None:
        """Error object within the answer, which the client gets to see like all of it."""
        return self._found.error

    async def body(self) -> bytes:
        """Return the whole body; UpstreamError as ``chunks``."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pass on the body as it comes, unchanged.

        Raises
        ------
        UpstreamError
            If it broke after the bytes already given.
        """
        if self._body:
            yield self._body

    async def aclose(self) -> None:
        """Let go of it; a stream that is not at its end is broken off, which cancels the call."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class StreamedAnswer(Answer):
    """An answer of server-sent events whose end is not there yet.

    Parameters
    ----------
    reply, reader, start
        Where the rest comes from, what reads along, and the bytes that came so far.
    settings
        Of the upstream.
    began, deadline
        When the call began and has to be over, in the loop's time.
    end
        Told how it ended.
    """

    streamed = True

    def __init__(
        self,
        model: str,
        reply: Reply,
        reader: SseReader,
        start: bytes,
        settings: UpstreamSettings,
        *,
        began: float,
        deadline: float,
        end: End,
    ) -> None:
        super().__init__(
            model, reply.status, reply.headers, "text/event-stream", start, reader.found
        )
        self._reply = reply
        self._reader = reader
        self._left = settings.max_body - len(start)
        self._max_body = settings.max_body
        self._timeouts = settings.timeouts
        self._began = began
        self._deadline = deadline
        self._end: End | None = end
        self._cut: UpstreamError | None = None
        self._loop = asyncio.get_running_loop()
        # One timer for the whole stream: it looks when it goes off how long the silence was.
        self._quiet_since: float | None = None
        due = min(deadline, self._loop.time() + self._timeouts.idle)
        self._timer = self._loop.call_at(due, self._check_time)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pass on the stream as it comes, unchanged; UpstreamError if it broke.

        A stream is whole if it ended with ``[DONE]``, or if it ended in order after all its choices
        did; then ``[DONE]`` is added.
        """
        start, self._body = self._body, b""
        if start:
            yield start
        while self._end is not None:
            data = await self._next()
            if data:
                yield data

    async def _next(self) -> bytes:
        """Next bytes for the client; ends the stream if none follow."""
        fault = None
        time = self._loop.time
        self._quiet_since = time()
        try:
            data = await self._reply.read()
        except UpstreamError as error:
            data, fault = b"", error
        except BaseException:
            self._finish(None)
            raise
        self.total_s = time() - self._began
        # A client that is slow to take what came is no silence of the provider.
        self._quiet_since = None
        if data:
            self._left -= len(data)
            if self._left < 0:
                self._finish(None)
                raise too_large(self.model, self._max_body)
            passed = self._reader.feed(data)
            if self._reader.done:
                self._deadline = min(self._deadline, time() + _AFTER_DONE)
                self._check_time()
            return passed
        rest = self._reader.close()
        if self._reader.done:
            self._finish(self.error is None)
            return rest
        if fault is None and self.error is None and self._found.complete:
            # Not all servers send it, and not all clients end without it.
            self._finish(True)
            return rest + _DONE
        self._finish(False)
        if self.error is None:
            raise self._cut or fault or ended_early(self.model)
        # The client has been told already.
        return rest

    def cut(self, why: UpstreamError) -> None:
        """Break the stream off; who reads it gets this error."""
        self._cut = why
        self._reply.abort()

    async def aclose(self) -> None:
        """Break the stream off if it is not at its end, which cancels the provider's call."""
        self._finish(None)

    def _finish(self, well: bool | None) -> None:
        end, self._end = self._end, None
        if end is not None:
            self._timer.cancel()
            if not well:
                self._reply.abort()
            end(well)

    def _check_time(self) -> None:
        self._timer.cancel()
        now, idle = self._loop.time(), self._timeouts.idle
        silent_until = (now if self._quiet_since is None else self._quiet_since) + idle
        due = min(self._deadline, silent_until)
        if now < due:
            self._timer = self._loop.call_at(due, self._check_time)
        elif now >= self._deadline:
            self.cut(late(self.model, f"not at its end within {self._timeouts.total:g} s", "total"))
        else:
            self.cut(late(self.model, f"silent for {idle:g} s", "idle"))


def late(model: str, what: str, timeout: str, *, retryable: bool = False) -> UpstreamError:
    """Error of a call that took too long."""
    return UpstreamError(
        f"model {model!r}: {what} (Timeouts.{timeout})", "timeout", retryable=retryable
    )


def too_large(model: str, max_body: int) -> UpstreamError:
    """Error of an answer that is longer than allowed."""
    text = f"model {model!r}: the answer is longer than {max_body} bytes (max_body)"
    return UpstreamError(text, "too_large")


def ended_early(model: str, *, retryable: bool = False) -> UpstreamError:
    """Error of a stream that stopped."""
    return UpstreamError(
        f"model {model!r}: the stream ended before its end", "reset", retryable=retryable
    )
