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
from typing import Any

import uvicorn

from floorline.config import HttpLimitSettings
from floorline.gateway.http_protocol import LimitedProtocol

log = logging.getLogger("floorline.gateway")

MOST_CONNECTIONS = 4_096
"""Default limit of connections where descriptors allow more: four times ``max_in_flight``."""
DESCRIPTORS_KEPT = 64
"""Descriptors that are no connections: store, listener, event loop, libraries, log."""
_RESERVE = 16
"""Connections above the limit, which may ask for the health of the process only."""
_HEALTH = frozenset({b"/healthz", b"/readyz"})
_SWEEP_SECONDS = 0.5
"""Pause between two looks at all connections: how exact the timeouts are."""
_LOOKED_AT = 32
"""Idle connections of which one is searched that has read its answer, to be closed."""
_LOG_SECONDS = 60.0
"""Pause between two lines of the log about closed connections, however many there are."""


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
    root_path
        Path below which a proxy may serve the gateway; "" for none.

    Attributes
    ----------
    closed
        How many connections were closed or refused since the start, by reason.
    health_paths
        Paths that connections above the limit may ask for.
    """

    def __init__(self, limits: HttpLimitSettings, most: int, root_path: str = "") -> None:
        self.limits = limits
        self.most = most
        self.health_paths = _HEALTH | {root_path.encode() + path for path in _HEALTH}
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
