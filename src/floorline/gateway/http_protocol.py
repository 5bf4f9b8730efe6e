"""One connection of a client: uvicorn's protocol, with limits on what the connection can take.

It also does what clients of HTTP need and uvicorn leaves out: it answers clients that have ended
their side of the connection (a half-close), clients of HTTP/1.0, which know no chunks, and clients
that offer another protocol beside their request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from floorline.gateway.errors import ApiError
from floorline.gateway.half_close import PROBE, PROBE_SECONDS, HalfClosed
from floorline.gateway.http_1_0 import UnchunkedCycle
from floorline.gateway.http_head import head_of, path_of

if TYPE_CHECKING:
    from floorline.gateway.http_limits import Connections

_defects = logging.getLogger("uvicorn.error.floorline")
"""Uvicorn's messages without a line for every malformed request, which would fill a disk."""
_defects.setLevel(logging.ERROR)

_BYTES_PER_SECOND = 16 * 1024
"""Rate at which a body or an answer earns more time; slower than any modem-free link."""
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


class _Refusal(NamedTuple):
    """Answer to what is no request; ``code`` also names it in the log."""

    status: int
    text: str
    code: str


class _RefusedRequest(Exception):
    """Ends the parsing of a request that is refused."""


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
        self._upgrade_offered = False
        # Requests without a whole answer: the one that is answered, and those that wait.
        self._cycles: deque[Any] = deque()
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
        self._half_closed: HalfClosed | None = None
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
        self._half_closed = None
        self._end_cycles()
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
            self._parse(data[: size - rest])
            if self._lingering or self.transport.is_closing():
                return
            if self._in_head:
                self._refuse(self._large_headers())
                return
            self._taken += rest
            data = data[size - rest :]
        self._parse(data)
        if (
            self._begun
            and not self._in_head
            and self._taken > _CHUNK_OVERHEAD_BYTES + 8 * self._body
            and not self._lingering
        ):
            text = "the framing of the body's chunks is larger than their content"
            self._refuse(_Refusal(400, f"{text}: send larger chunks", "chunk_overhead"))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Go on if the client has ended its side after whole requests; close otherwise.

        Returns
        -------
        bool
            Whether the connection stays open for the answers.
        """
        if self._lingering or self.transport.is_closing():
            return False
        answering = self._answering()
        if self._begun and not (answering and self._in_head):
            # A client that has left sees no answer; one that counted wrongly gets to know it.
            text = "the connection was ended within the request: send all bytes of Content-Length"
            self._refuse(_Refusal(400, text, "incomplete_request"), counted=False)
            return False
        if not answering or not HalfClosed.possible(self.transport):
            return False
        self._half_closed = HalfClosed(self.transport)
        self.cycle.keep_alive = False
        return True

    def _parse(self, data: bytes) -> None:
        """Feed the parser; as in uvicorn, except that an offer to upgrade loses no body."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("it cannot be parsed")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Parse a request again without its offer of another protocol, and what came after it.

        The HTTP client of Java offers HTTP/2 with every request. The parser takes what follows the
        headers for the other protocol, also the body of a request that is to be answered.
        """
        self._upgrade_offered = False
        version = self.parser.get_http_version().encode()
        headers = [pair for pair in self.headers if pair[0] != b"upgrade"]
        head = head_of(self.parser.get_method(), self.url, version, headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head + rest)

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
        if self._health_only and self.url.partition(b"?")[0] not in self._table.health_paths:
            text = "the server has as many connections as it can serve: try again later"
            self._raise(_Refusal(503, text, "too_many_connections"))
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrade_offered = True
            return
        if self.url[:1] != b"/":
            self.url = path_of(self.url)
        self._in_head = False
        self._since = self.loop.time()
        self._taken = self._body = self._trailers = 0
        self._requests += 1
        super().on_headers_complete()
        self._cycles.append(self.cycle)
        if self.scope["http_version"] == "1.0":
            self.cycle.__class__ = UnchunkedCycle
            # There are no interim answers in HTTP/1.0.
            self.cycle.waiting_for_100_continue = False
        if self._requests >= limits.keep_alive_requests or self._health_only:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._upgrade_offered:
            return
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
        self._cycles.popleft()
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
        if self._half_closed is not None and not self.transport.is_closing():
            self._check_half_closed(self._half_closed, now)
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

    def _check_half_closed(self, client: HalfClosed, now: float) -> None:
        """Close the connection of a client that has left; find out whether it has."""
        if client.has_left():
            self._table.remove(self)
            self.transport.abort()
        elif now >= client.probe_at and not self.pipeline:
            client.probe_at = now + PROBE_SECONDS
            if self.scope["http_version"] == "1.1" and not self.cycle.response_started:
                self.transport.write(PROBE)
            else:
                # The endpoint gets an empty message after the body's end. It can send a comment.
                self.cycle.message_event.set()

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

    def _end_cycles(self) -> None:
        """Let all endpoints learn that their client is gone; uvicorn tells the last one only."""
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()

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

    def _refuse(self, refusal: _Refusal, *, counted: bool = True) -> None:
        """Answer with an error, and close the connection once the client may have read it."""
        if self.transport.is_closing():
            return
        if counted:
            self._table.closed[refusal.code] += 1
        cycle = self.cycle
        answering = self._answering()
        if answering:
            # The endpoint learns that its client is gone, and sends nothing more.
            started = cycle.response_started
            self._end_cycles()
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
