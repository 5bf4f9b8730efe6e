"""Limits of HTTP that hold before and beside an endpoint: headers, times, connections.

A connection costs a descriptor and memory, also one that sends no request, sends it slowly, or does
not read its answer. ``LimitedProtocol`` bounds what one connection can take. ``Connections`` bounds
their number: at the limit a new connection replaces the oldest one that has sent no whole request,
so that idle and slow clients do not exclude others. The defaults are near those of Envoy and nginx.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from floorline.config import HttpLimitSettings
from floorline.gateway.errors import ApiError

log = logging.getLogger("floorline.gateway")
_defects = logging.getLogger("uvicorn.error.floorline")
"""Uvicorn's messages without a line for every malformed request, which would fill a disk."""
_defects.setLevel(logging.ERROR)

MOST_CONNECTIONS = 4_096
"""Default limit of connections where descriptors allow more: four times ``max_in_flight``."""
DESCRIPTORS_KEPT = 64
"""Descriptors that are no connections: store, listener, event loop, libraries, log."""
_RESERVE = 16
"""Connections above the limit, which may ask for the health of the process only."""
_HEALTH = frozenset({b"/healthz", b"/readyz"})
_BYTES_PER_SECOND = 16 * 1024
"""Rate at which a body or an answer earns more time; slower than any modem-free link."""
_SWEEP_SECONDS = 0.5
"""Pause between two looks at all connections: how exact the timeouts are."""
_LINGER_SECONDS = 2.0
"""Time in which a refused client may read the answer before its connection is closed."""
_LINGER_BYTES = 1024 * 1024
"""Bytes of a refused client that are thrown away in that time; a close would lose the answer."""
_MAX_PIPELINED = 16
"""Requests that may wait on one connection; clients of HTTP/1.1 send one at a time."""
_MAX_EXTRA_BYTES = 512 * 1024
"""Bytes that may arrive on a connection while a request is answered: two reads of the socket."""
_CHUNK_OVERHEAD_BYTES = 64 * 1024
"""Bytes of the framing of chunks (sizes, extensions, trailers) above eight times their content."""
_LOOKED_AT = 32
"""Idle connections of which one is searched that has read its answer, to be closed."""
_LOG_SECONDS = 60.0
"""Pause between two lines of the log about closed connections, however many there are."""


class _Refusal(NamedTuple):
    """Answer to what is no request; ``code`` also names it in the log."""

    status: int
    text: str
    code: str


class _RefusedRequest(Exception):
    """Ends the parsing of a request that is refused."""


def connection_limit(configured: int | None) -> int:
    """Number of clients' connections, after the limit of open files has been raised.

    Each may need a second descriptor, for the call of a provider.
    """
    files = _raise_file_limit()
    possible = max(_RESERVE, (files - DESCRIPTORS_KEPT) // 2 - _RESERVE)
    if configured is None:
        return min(MOST_CONNECTIONS, possible)
    if configured > possible:
        log.warning(
            "server.limits.max_connections is %d, but %d open files allow %d: raise the limit "
            "(ulimit -n)",
            configured,
            files,
            possible,
        )
    return min(configured, possible)


def _raise_file_limit() -> int:
    """Raise the limit of open files to the highest that the process may set, and return it."""
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return 2 * MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2**20
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


class Connections:
    """The connections of a server, and which of them may be closed for a new one.

    Parameters
    ----------
    limits
        Limits of each connection.
    most
        Largest number of connections.

    Attributes
    ----------
    closed
        How many connections were closed or refused since the start, by reason.
    """

    def __init__(self, limits: HttpLimitSettings, most: int) -> None:
        self.limits = limits
        self.most = most
        self.closed: Counter[str] = Counter()
        self._open: set[LimitedProtocol] = set()
        # In the order in which they became idle.
        self._idle: dict[LimitedProtocol, None] = {}
        self._logged = Counter[str]()

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, **given: Any) -> LimitedProtocol:
        """Make the protocol of a new connection, as ``uvicorn.Config(http=…)`` calls it."""
        return LimitedProtocol(self, **given)

    def add(self, connection: LimitedProtocol) -> bool:
        """Take up a new connection; False if it may only ask for the health of the process."""
        self._open.add(connection)
        within = True
        if len(self._open) > self.most:
            oldest = self._oldest()
            if oldest is not None:
                self.close(oldest, "replaced")
            else:
                within = False
                if len(self._open) > self.most + _RESERVE:
                    self.close(connection, "too_many_connections")
                    return False
        self._idle[connection] = None
        return within

    def _oldest(self) -> LimitedProtocol | None:
        """Return the connection to close for a new one; not one that still gets an answer."""
        first = None
        for connection in itertools.islice(self._idle, _LOOKED_AT):
            if not connection.transport.get_write_buffer_size():
                return connection
            first = first or connection
        return first

    def remove(self, connection: LimitedProtocol) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def busy(self, connection: LimitedProtocol) -> None:
        """Note that a connection has sent a whole request; it is not closed for another one."""
        self._idle.pop(connection, None)

    def idle(self, connection: LimitedProtocol) -> None:
        """Note that a connection has got its answer."""
        if connection in self._open:
            # At the end, if it is there already.
            self._idle.pop(connection, None)
            self._idle[connection] = None

    def close(self, connection: LimitedProtocol, reason: str) -> None:
        """Close a connection at once, whatever it has not sent or read."""
        self.closed[reason] += 1
        self.remove(connection)
        connection.transport.abort()

    def sweep(self, now: float) -> None:
        """Close the connections whose time is up."""
        for connection in list(self._open):
            connection.check(now)

    async def run(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            self.sweep(now)
            if now >= due and self.closed != self._logged:
                due = now + _LOG_SECONDS
                self._log()

    def _log(self) -> None:
        new = self.closed - self._logged
        self._logged = self.closed.copy()
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(new.items()))
        log.warning("connections of clients closed or refused: %s", reasons)


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol of a connection, with limits.

    Parameters
    ----------
    table
        The server's connections.
    given
        As for uvicorn's protocol.
    """

    def __init__(self, table: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.timeout_keep_alive = table.limits.keep_alive  # type: ignore[assignment]
        self.logger = _defects
        self._table = table
        self._limits = table.limits
        self._header_bytes: int = table.limits.header_bytes
        self._health_only = False
        self._requests = 0
        self.url = b""
        # The request that arrives: whether bytes of it have, whether it has begun by the parser
        # (which skips empty lines), and whether its headers are still to come.
        self._receiving = False
        self._begun = False
        self._in_head = True
        self._since = 0.0
        self._taken = 0
        self._body = 0
        self._trailers = 0
        self._extra = 0
        # The answer that waits for its client.
        self._paused_at: float | None = None
        self._paused_bytes = 0
        # The end of the connection.
        self._refusal: _Refusal | None = None
        self._lingering = False
        self._closing_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take up the connection, or refuse it."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._health_only = not self._table.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._table.remove(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, within the limits."""
        size = len(data)
        if self._lingering:
            self._taken += size
            if self._taken > _LINGER_BYTES:
                self._table.close(self, "lingering")
            return
        if not self._begun:
            if self._answering():
                self._extra += size
                if self._extra > _MAX_EXTRA_BYTES:
                    self._table.close(self, "pipelined")
                    return
            elif not self._receiving:
                self._receiving = True
                self._since = self.loop.time()
                self._taken = self._extra = 0
        self._taken += size
        if self._in_head and self._taken > self._header_bytes:
            rest = self._taken - self._header_bytes
            super().data_received(data[: size - rest])
            if self._lingering or self.transport.is_closing():
                return
            if self._in_head:
                self._refuse(self._large_headers())
                return
            self._taken += rest
            data = data[size - rest :]
        super().data_received(data)
        if (
            self._begun
            and not self._in_head
            and self._taken > _CHUNK_OVERHEAD_BYTES + 8 * self._body
            and not self._lingering
        ):
            text = "the framing of the body's chunks is larger than their content"
            self._refuse(_Refusal(400, f"{text}: send larger chunks", "chunk_overhead"))

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._table.close(self, "pipelined")
            raise _RefusedRequest
        self._begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; those after the body are dropped, because the request has been checked."""
        if not self._in_head:
            self._trailers += 1
            if self._trailers > self._limits.header_count:
                self._raise(self._many_headers())
            return
        # As in uvicorn, without another call for each header.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the size of the parts, which ``header_bytes`` bounds; start the endpoint."""
        limits = self._limits
        if len(self.url) > limits.url_bytes:
            self._raise(self._long_url())
        if len(self.headers) > limits.header_count:
            self._raise(self._many_headers())
        if self._health_only and self.url.partition(b"?")[0] not in _HEALTH:
            text = "the server has as many connections as it can serve: try again later"
            self._raise(_Refusal(503, text, "too_many_connections"))
        self._in_head = False
        self._since = self.loop.time()
        self._taken = self._body = self._trailers = 0
        self._requests += 1
        super().on_headers_complete()
        if self._requests >= limits.keep_alive_requests or self._health_only:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._begun = self._receiving = False
        self._in_head = True
        self._taken = 0
        if not self.cycle.response_complete:
            self._table.busy(self)
        else:
            # It was answered before its body ended.
            self._table.idle(self)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._begun:
            # Its body still arrives, and its time goes on.
            return
        self._since = self.loop.time()
        self._extra = 0
        self._receiving = False
        if not self.pipeline and not self.transport.is_closing():
            self._table.idle(self)

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._paused_at = self.loop.time()
        self._paused_bytes = self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._paused_at = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or breaks a limit of its parser callbacks."""
        refusal = self._refusal
        if refusal is None:
            refusal = _Refusal(400, f"this is no valid HTTP/1.1 request ({msg})", "invalid_http")
        self._refuse(refusal)

    def check(self, now: float) -> None:
        """Close the connection if its time is up."""
        limits = self._limits
        if self._lingering:
            if now - self._since > _LINGER_SECONDS:
                self._table.remove(self)
                self.transport.abort()
            return
        if self._paused_at is not None:
            allowed = limits.send_timeout + self._paused_bytes / _BYTES_PER_SECOND
            if now - self._paused_at > allowed:
                self._table.close(self, "send_timeout")
            return
        if self.transport.is_closing():
            if self._closing_at is None:
                self._closing_at = now
            elif now - self._closing_at > limits.send_timeout:
                self._table.close(self, "send_timeout")
            return
        waited = now - self._since
        if self._begun and not self._in_head:
            if not self._answering():
                # The answer needs no body; what still arrives of it is thrown away for a while.
                if waited > _LINGER_SECONDS:
                    self._table.close(self, "body_timeout")
            elif waited > limits.body_timeout + self._body / _BYTES_PER_SECOND:
                text = f"the body did not arrive within {limits.body_timeout:g} s"
                self._refuse(_Refusal(408, f"{text} (server.limits.body_timeout)", "body_timeout"))
        elif (
            waited > limits.header_timeout
            and (self._receiving or not self._requests)
            and not self._answering()
        ):
            self._late_headers()

    def _late_headers(self) -> None:
        if not self._receiving:
            # It has sent nothing; browsers open such connections ahead of their requests.
            self._table.close(self, "header_timeout")
            return
        text = f"the headers did not arrive within {self._limits.header_timeout:g} s"
        self._refuse(_Refusal(408, f"{text} (server.limits.header_timeout)", "header_timeout"))

    def _answering(self) -> bool:
        """Whether a request whose headers are complete waits for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _long_url(self) -> _Refusal:
        text = f"the URL is longer than {self._limits.url_bytes:,} bytes"
        return _Refusal(414, f"{text} (server.limits.url_bytes)", "url_too_long")

    def _large_headers(self) -> _Refusal:
        if len(self.url) > self._limits.url_bytes:
            return self._long_url()
        text = f"the headers are larger than {self._limits.header_bytes:,} bytes"
        return _Refusal(431, f"{text} (server.limits.header_bytes)", "headers_too_large")

    def _many_headers(self) -> _Refusal:
        text = f"the request has more than {self._limits.header_count:,} headers"
        return _Refusal(431, f"{text} (server.limits.header_count)", "too_many_headers")

    def _raise(self, refusal: _Refusal) -> None:
        """Refuse the request out of a callback of the parser, which cannot go on after it."""
        self._refusal = refusal
        raise _RefusedRequest

    def _refuse(self, refusal: _Refusal) -> None:
        """Answer with an error, and close the connection once the client may have read it."""
        if self.transport.is_closing():
            return
        self._table.closed[refusal.code] += 1
        cycle = self.cycle
        answering = self._answering()
        if answering:
            # The endpoint learns that its client is gone, and sends nothing more.
            started = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
            if started or self.pipeline:
                # An error in the middle of another answer would be read as a part of it.
                self._table.remove(self)
                self.transport.abort()
                return
        body = ApiError(refusal.status, refusal.text, code=refusal.code).body()
        head = (
            b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body)
        )
        self.transport.write(STATUS_LINE[refusal.status] + head + body)
        self._lingering = True
        self._taken = 0
        self._since = self.loop.time()
        self._table.idle(self)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()


def http_config(app: Any, connections: Connections, **given: Any) -> uvicorn.Config:
    """Return uvicorn's configuration of a server with limits.

    Parameters
    ----------
    app
        ASGI application.
    connections
        The server's connections.
    given
        Further fields of ``uvicorn.Config``.
    """
    return uvicorn.Config(
        app,
        http=connections.protocol,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        **given,
    )
