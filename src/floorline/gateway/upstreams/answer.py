"""A provider's answer, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from floorline.gateway.upstreams.client import Reply
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.event_reader import EventReader
from floorline.gateway.upstreams.findings import Findings
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.usage import Usage

_SECONDS_AFTER_ERROR = 1.0
"""Time in which a stream may go on after an error before its connection is closed."""
_SECONDS_FOR_USAGE = 1.0
"""Time in which the usage may follow the end of all choices, if the client has left."""

_PASSED_HEADERS = tuple(
    (name, name.encode())
    for name in (
        "x-request-id",
        "request-id",
        "x-amzn-requestid",
        "apim-request-id",
        "x-ms-request-id",
        "x-correlation-id",
        "x-goog-request-id",
        "x-generation-id",
        "x-trace-id",
        "cf-ray",
    )
)
"""Headers that clients get: the names that a provider's support asks for. All others stay here,
such as cookies, limits of the gateway's account and the type of a page."""
_MAX_HEADER = 128
"""Characters of the longest header value that is passed on."""

OnEnd = Callable[[bool | None], None]
"""Called once at the end of a stream.

The argument is True if it was complete, False if the provider failed, and None if neither is
known, as when the client disconnected.
"""


class Answer:
    """A provider's answer: a completion, or an error that is the client's own.

    Read it once, with ``body`` or ``chunks``. Close it in any case, or use it as an asynchronous
    context manager: until then a stream counts as one of the model's calls.

    Parameters
    ----------
    model
        The zoo's name of the model.
    status, headers
        As the provider sent them.
    body
        The whole body; for a stream its first bytes.
    found
        What the gateway reads from the body.

    Attributes
    ----------
    attempts
        Number of attempts that the call took.
    first_byte_s, total_s
        Seconds from the call to the first and to the last byte of the body so far, with failed
        attempts and the waits between them.
    streamed, content_type
        Whether it is a stream; the type of its body, which does not depend on the provider.
    own_id
        Id that the client gets in place of the provider's; "" if it gets the provider's.
    complete
        True if the answer is over and was complete, False if it failed; else None.
    losses
        Names of what the translation of the request left out.
    written
        Returns the answer that a translation wrote in OpenAI's responses, as an object, empty
        before its end; None for all other answers.
    """

    streamed = False
    content_type = "application/json"
    own_id = ""
    complete: bool | None = None
    losses: Sequence[str] = ()
    written: Callable[[], Mapping[str, Any]] | None = None

    def __init__(
        self,
        model: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        found: Findings,
    ) -> None:
        self.model = model
        self.status = status
        self._headers = headers
        self.attempts = 1
        self.first_byte_s = self.total_s = 0.0
        self._body = body
        self._found = found

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the provider's headers that the client gets: few, short and in ASCII."""
        return passed_headers(self._headers)

    @property
    def completion_id(self) -> str | None:
        """The provider's id of the completion, in the form of ``bounds.canonical_id``."""
        return self._found.completion_id

    @property
    def usage(self) -> Usage | None:
        """Tokens as the provider counted them; None if it has not sent a count."""
        return self._found.usage

    @property
    def output_characters(self) -> int:
        """Number of characters that the model wrote so far."""
        return self._found.output_characters

    @property
    def finish_reasons(self) -> list[str]:
        """Why the choices ended, in the order of their ends."""
        return self._found.finish_reasons

    @property
    def error(self) -> dict[str, Any] | None:
        """Error object within the answer; it is passed on to the client, too."""
        return self._found.error

    @property
    def start(self) -> bytes:
        """The whole body of an answer that is no stream; the first bytes of one that is."""
        return self._body

    def turn_into_stream(self, events: bytes) -> None:
        """Turn a whole answer into a stream of these events, for a client that asked for one."""
        self._body = events
        self.streamed, self.content_type = True, StreamedAnswer.content_type

    async def body(self) -> bytes:
        """Return the whole body; errors as for ``chunks``."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the body as they arrive, unchanged.

        Raises
        ------
        UpstreamError
            If the connection broke after the bytes that were yielded.
        """
        if self._body:
            yield self._body

    @property
    def running(self) -> bool:
        """Whether bytes may follow: until the answer is over, whatever its connection does then."""
        return False

    async def read_on(self, answers: int) -> None:
        """Read the usage that may follow the end of all choices, after the client has left.

        Parameters
        ----------
        answers
            Number of choices that the request asks for; a stream in which fewer have ended is
            not read on.
        """

    async def aclose(self) -> None:
        """Close the answer; an unfinished stream is aborted, which cancels the provider's call."""

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
    """An answer of server-sent events that has begun.

    Parameters
    ----------
    model
        The zoo's name of the model.
    reply, reader, start
        Source of the further bytes, parser of the events, and the first bytes.
    settings
        Settings of the model's calls.
    redactor
        Masks the model's secrets in an error within the stream.
    began, deadline
        When the call began and when it must have ended, in the event loop's time.
    on_end
        Called once at the end.
    """

    streamed = True
    content_type = "text/event-stream"

    def __init__(
        self,
        model: str,
        reply: Reply,
        reader: EventReader,
        start: bytes,
        settings: UpstreamSettings,
        redactor: Redactor,
        *,
        began: float,
        deadline: float,
        on_end: OnEnd,
    ) -> None:
        super().__init__(model, reply.status, reply.headers, start, reader.found)
        self._reply = reply
        self._reader = reader
        self._redactor = redactor
        self._left = settings.max_answer - len(start)
        self._max_answer = settings.max_answer
        self._timeouts = settings.timeouts
        self._began = began
        self._deadline = deadline
        self._on_end: OnEnd | None = on_end
        self._abort_reason: UpstreamError | None = None
        self._loop = asyncio.get_running_loop()
        # One timer for the whole stream, which checks the time of silence when it fires: a timer
        # for each read would cost more than the read.
        self._quiet_since: float | None = None
        due = min(deadline, self._loop.time() + self._timeouts.idle)
        self._timer = self._loop.call_at(due, self._check_time)

    @property
    def running(self) -> bool:
        """Whether bytes may follow."""
        return self._on_end is not None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the stream as they arrive, unchanged; UpstreamError if it broke.

        A stream is over and complete at the event that ends it, whatever its connection does then,
        or when its connection ends after all its choices did; that event is added then.
        """
        start, self._body = self._body, b""
        if self._reader.done:
            self._finish(self.error is None)
        if start:
            yield start
        while self._on_end is not None:
            data = await self._next()
            if data:
                yield data

    async def read_on(self, answers: int) -> None:
        """Read on for at most a second, if all choices have ended."""
        if self._reader.done:
            self._finish(self.error is None)
        if not self.running or self.error is not None or self._found.ended < answers:
            return
        try:
            async with asyncio.timeout(_SECONDS_FOR_USAGE):
                async for _ in self.chunks():
                    pass
        except (TimeoutError, UpstreamError):
            pass
        if self._found.complete and self.error is None:
            self._finish(True)

    async def _next(self) -> bytes:
        """Next bytes for the client; ends the stream at its last bytes."""
        failure = None
        time = self._loop.time
        self._quiet_since = time()
        try:
            data = await self._reply.read()
        except UpstreamError as error:
            data, failure = b"", error
        except BaseException:
            # ``read_on`` reads what may follow the end of all choices.
            if not self._found.complete:
                self._finish(None)
            raise
        self.total_s = time() - self._began
        # The time in which a slow client takes the bytes is no silence of the provider.
        self._quiet_since = None
        if data:
            self._left -= len(data)
            if self._left < 0:
                self._finish(None)
                raise too_large(self.model, self._max_answer)
            passed = self._reader.feed(data)
            if self._found.error is not None:
                passed = self._redactor.body(passed)
                self._deadline = min(self._deadline, time() + _SECONDS_AFTER_ERROR)
                self._check_time()
            if self._reader.done:
                self._finish(self.error is None)
            return passed
        gap = b"\n\n" if self._reader.pending else b""
        rest = self._redactor.body(self._reader.close())
        if self.error is None and self._found.complete:
            # Some servers do not send the last event, and some clients wait for it.
            self._finish(True)
            return rest + gap + self._reader.ending()
        self._finish(False)
        if self.error is None:
            raise self._abort_reason or failure or ended_early(self.model)
        # The client has the provider's error already.
        return rest

    def abort(self, reason: UpstreamError) -> None:
        """End the stream now; its reader gets this error."""
        self._abort_reason = reason
        self._reply.abort()

    async def aclose(self) -> None:
        """Abort the stream if it is not over, which cancels the provider's call."""
        self._finish(self.error is None if self._reader.done else None)

    def _finish(self, complete: bool | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._timer.cancel()
            self.complete = complete
            if complete:
                self._reply.release()
            else:
                self._reply.abort()
            on_end(complete)

    def _check_time(self) -> None:
        self._timer.cancel()
        now, idle = self._loop.time(), self._timeouts.idle
        silent_until = (now if self._quiet_since is None else self._quiet_since) + idle
        due = min(self._deadline, silent_until)
        if now < due:
            self._timer = self._loop.call_at(due, self._check_time)
        elif now >= self._deadline:
            self.abort(timed_out(self.model, f"no end within {self._timeouts.total:g} s", "total"))
        else:
            self.abort(timed_out(self.model, f"no chunk for {idle:g} s", "idle"))


def passed_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a provider's answer that the client gets: few, short and in ASCII."""
    found = []
    for name, encoded in _PASSED_HEADERS:
        value = headers.get(name)
        if value and len(value) <= _MAX_HEADER and value.isascii() and value.isprintable():
            found.append((encoded, value.encode()))
    return found


def timed_out(model: str, what: str, timeout: str, *, retryable: bool = False) -> UpstreamError:
    """Error of a call that took too long; ``timeout`` names the field of ``timeouts``."""
    return UpstreamError(
        f"model {model!r}: {what} (timeouts.{timeout})", "timeout", retryable=retryable
    )


def too_large(model: str, max_answer: int) -> UpstreamError:
    """Error of an answer that is larger than allowed, in bytes."""
    text = f"model {model!r}: the answer is larger than {max_answer} bytes (max_answer)"
    return UpstreamError(text, "too_large")


def ended_early(model: str, *, retryable: bool = False) -> UpstreamError:
    """Error of a stream that ended before it was complete."""
    return UpstreamError(
        f"model {model!r}: the stream ended before it was complete", "reset", retryable=retryable
    )
