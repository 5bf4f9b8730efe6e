"""Tell a client that has ended its side of a connection from one that has left.

Both look alike at first: the end of what the client sends. A client that has ended its side only
(``shutdown(SHUT_WR)``, as ``nc -N`` does) waits for its answer; the call of one that has left is to
be cancelled. The operating system of a client that has left answers the next byte with a reset.
Therefore a byte is needed that means nothing: an interim answer (``100 Continue``), which clients
of HTTP/1.1 skip (RFC 9110, 15.2), or a comment within a stream of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket

PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Bytes before an answer that mean nothing to a client of HTTP/1.1."""
PROBE_SECONDS = 5.0
"""Pause between two probes: in that time the call of a client that has left is cancelled."""
_IDLE_SECONDS = 5
"""Pause between two of the system's own probes, to which a client that is gone gives no answer."""


class HalfClosed:
    """A connection whose client has ended its side.

    Parameters
    ----------
    transport
        The connection.

    Attributes
    ----------
    probe_at
        Time of the event loop at which the client is to be probed.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.probe_at = 0.0
        found = transport.get_extra_info("socket")
        self._poll = select.poll()
        # No event is asked for: a reset and the end of both sides are always told.
        self._poll.register(found.fileno(), 0)
        # Systems forget a connection that was closed after about a minute, and then answer the
        # system's own probes with a reset: a bound for clients that cannot be probed otherwise.
        with contextlib.suppress(OSError, AttributeError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _IDLE_SECONDS)

    @staticmethod
    def possible(transport: asyncio.Transport) -> bool:
        """Whether the sides of a connection end separately; those of TLS end together."""
        return hasattr(select, "poll") and transport.get_extra_info("sslcontext") is None

    def has_left(self) -> bool:
        """Whether the client has closed the connection, as far as the system knows."""
        return bool(self._poll.poll(0))
