"""Send a stream of events to a client, with comments while there are none.

A model may think for minutes, and load balancers close connections that are silent for one. A
comment (a line that begins with a colon) is no event: clients ignore it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Send

from floorline.errors import FloorlineError
from floorline.gateway.dialect_errors import openai_error_event

HeaderList = list[tuple[bytes, bytes]]

STREAM_HEADERS: HeaderList = [
    (b"content-type", b"text/event-stream"),
    # Caches must not repeat a stream; nginx and others that know its header must not hold it back.
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
"""Headers of every stream."""

_KEEPALIVE = b": keepalive\n\n"
_BOM = b"\xef\xbb\xbf"
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r")


class EventStream:
    """The answer to one streamed request.

    Parameters
    ----------
    send
        ASGI's send function of the request.
    every
        Seconds of silence after which a comment is sent; None for never.
    headers_so_far
        Returns the headers of an answer that has to begin before any model has answered, once what
        they say is durable.
    error_event
        Writes the body of an error as an event of the client's dialect.

    Attributes
    ----------
    started
        Whether status and headers have been sent.
    """

    def __init__(
        self,
        send: Send,
        every: float | None,
        headers_so_far: Callable[[], Awaitable[HeaderList]],
        error_event: Callable[[bytes], bytes] = openai_error_event,
    ) -> None:
        self._error_event = error_event
        self.started = False
        self._send = send
        self._every = every
        self._headers_so_far = headers_so_far
        self._ended = self._closed = False
        self._passed = False
        self._sending = False
        # The last bytes of the last event; a stream begins between two events.
        self._last = b"\n\n"
        self._commenting: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if every is not None:
            self._timer = self._loop.call_later(every, self._check)

    async def start(self, headers: HeaderList) -> bool:
        """Send status and headers; return False if that has happened already."""
        await self._settle()
        if self.started:
            return False
        await self._begin(headers)
        return True

    async def comment(self, text: bytes) -> None:
        """Send a comment."""
        await self._settle()
        await self._pass(b": " + text + b"\n\n")

    async def pass_on(self, data: bytes, *, more: bool = True) -> None:
        """Send bytes of the stream, which may end within an event; without ``more`` the last."""
        if self._commenting is not None:
            await self._settle()
            if not self._passed:
                # A mark of the byte order is none behind a comment.
                data = data.removeprefix(_BOM)
        self._passed = True
        self._sending = True
        self._ended = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._sending = False
        self._last = data[-4:] if len(data) > 3 else (self._last + data)[-4:]
        self._sent_at = self._loop.time()

    async def end(self, error: bytes | None = None) -> None:
        """End the stream, after the body of an error if one is given."""
        await self._settle()
        if self._ended:
            return
        self._ended = True
        last = b""
        if error is not None:
            # Within an event the client would read the error as a part of it.
            last = b"" if self._between_events() else b"\n\n"
            last += self._error_event(error)
        await self._send({"type": "http.response.body", "body": last})

    def probe(self) -> None:
        """Send a comment soon, so that a client that has left is noticed."""
        if self._commenting is None or self._commenting.done():
            self._try_comment()

    async def stop(self) -> None:
        """Send no more comments; one that is being sent is sent whole."""
        self._stop()
        await self._settle()

    def cancel(self) -> None:
        """Send no more comments, and none to its end: the client has left."""
        self._stop()
        if self._commenting is not None:
            self._commenting.cancel()

    def _stop(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        assert self._every is not None
        now = self._loop.time()
        due = self._sent_at + self._every
        # A timer may fire a little early, by the clock's resolution.
        if now >= due - 0.01:
            self._try_comment()
            due = now + self._every
        self._timer = self._loop.call_at(due, self._check)

    def _try_comment(self) -> None:
        # A client that does not read needs no comment, and an event is not to be cut in two.
        quiet = not (self._closed or self._ended or self._sending)
        if quiet and self._between_events():
            self._commenting = asyncio.create_task(self._keep_alive())

    def _between_events(self) -> bool:
        return self._last.endswith(_EVENT_ENDS)

    async def _keep_alive(self) -> None:
        try:
            if not self.started:
                await self._begin(await self._headers_so_far())
            await self._pass(_KEEPALIVE)
        except FloorlineError:
            # The request itself fails for the same reason.
            return

    async def _begin(self, headers: HeaderList) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _pass(self, comment: bytes) -> None:
        await self._send({"type": "http.response.body", "body": comment, "more_body": True})
        self._sent_at = self._loop.time()

    async def _settle(self) -> None:
        """Wait for a comment that is being sent."""
        if self._commenting is not None and not self._commenting.done():
            # Not the task itself, whose cancellation would be this one's.
            await asyncio.wait((self._commenting,))
