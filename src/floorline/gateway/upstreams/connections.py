"""Connections to providers: pools that keep them for a time, and check their addresses."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import socket
from collections.abc import Coroutine
from contextvars import ContextVar
from time import monotonic
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import ResolveResult

from floorline.config.addresses import forbidden_address, is_loopback, names_loopback

_DNS_CACHE_SECONDS = 60
_TIMEOUT = re.compile(r"(?:^|[\s,;])timeout\s*=\s*(\d{1,6})\b", re.IGNORECASE)
_MARGIN_SECONDS = 1.0
"""Time by which a connection is given up before the provider says that it closes it: a request
that is on its way then would meet a closed connection."""
_USE = "floorline_use"


class Abortable(Protocol):
    """An answer that can be cut off."""

    def abort(self) -> None:
        """Close its connection."""
        ...


class Use:
    """How one connection is used.

    Attributes
    ----------
    keep
        Seconds for which it is kept unused.
    since
        When its latest answer ended.
    """

    __slots__ = ("keep", "since")

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self.since = monotonic()

    def ended(self) -> None:
        """Note the end of an answer."""
        self.since = monotonic()

    def expired(self) -> bool:
        """Whether the provider may have closed it."""
        return monotonic() - self.since > self.keep

    def heed(self, header: str | None) -> None:
        """Keep the connection no longer than its provider says.

        Parameters
        ----------
        header
            The provider's ``Keep-Alive``, as in ``timeout=5, max=100``.
        """
        match = _TIMEOUT.search(header) if header else None
        if match is not None:
            self.keep = min(self.keep, max(0.0, float(match[1]) - _MARGIN_SECONDS))


class Request:
    """Connects one request to its connection.

    Attributes
    ----------
    fresh
        Whether it must not use a kept connection.
    reused
        Whether it uses one.
    use
        The use of its connection, once it has one.
    """

    __slots__ = ("fresh", "reused", "use")

    def __init__(self, *, fresh: bool = False) -> None:
        self.fresh = fresh
        self.reused = False
        self.use: Use | None = None


current_request: ContextVar[Request | None] = ContextVar("current_request", default=None)
"""The request for which the present task asks for a connection.

aiohttp has no way to learn by an error whether a connection had been used before: its tracing
costs each request some 20 µs.
"""


class Connector(aiohttp.TCPConnector):
    """A pool of connections to providers.

    Parameters
    ----------
    keep_alive
        Seconds for which an unused connection is kept.
    options
        Of aiohttp's connector.

    Attributes
    ----------
    ending
        Answers that are over although their connections have not ended them yet.
    """

    def __init__(self, keep_alive: float, **options: Any) -> None:
        super().__init__(keepalive_timeout=keep_alive, **options)
        self.ending: set[Abortable] = set()
        self._keep = keep_alive

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        """Return a kept connection that its provider has not closed yet, or a new one."""
        request = current_request.get()
        fresh = request is not None and request.fresh
        while True:
            connection = await super().connect(req, traces, timeout)
            # Kept with the connection, which a table beside it would have to outlive.
            about = vars(connection.protocol)
            use = about.get(_USE)
            reused = use is not None
            if use is None:
                use = about[_USE] = Use(self._keep)
            elif fresh or use.expired():
                # The next one that is kept may be as old.
                connection.close()
                continue
            connection.add_callback(use.ended)
            if request is not None:
                request.use, request.reused = use, reused
            return connection

    def close(self, *, abort_ssl: bool = False) -> Coroutine[Any, Any, None]:
        """Close all connections."""
        for reply in list(self.ending):
            reply.abort()
        return super().close(abort_ssl=abort_ssl)


def open_session(keep_alive: float, *, check_addresses: bool = False) -> aiohttp.ClientSession:
    """Open a connection pool that endpoints share; call it in the running event loop.

    Parameters
    ----------
    keep_alive
        Seconds for which an unused connection is kept.
    check_addresses
        Whether connections are opened only to addresses at which a model of the run time may be.
        The address is checked that is connected to, after names were resolved.
    """
    # No limit here, because each model has a limit on its calls.
    connector = Connector(
        keep_alive,
        limit=0,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
        resolver=_CheckingResolver() if check_addresses else None,
        socket_factory=_checked_socket if check_addresses else None,
    )
    # Proxies of the environment are used by a model's own setting only.
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


class Sessions:
    """The connection pools of all models: one for each time that connections are kept."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[float, bool], aiohttp.ClientSession] = {}

    def session(self, keep_alive: float, *, check_addresses: bool) -> aiohttp.ClientSession:
        """Return the pool of a model; arguments as for ``open_session``.

        No connection to an address that was not checked is in a pool of checked ones.
        """
        key = (keep_alive, check_addresses)
        if key not in self._sessions:
            self._sessions[key] = open_session(keep_alive, check_addresses=check_addresses)
        return self._sessions[key]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))


class _Refused(OSError):
    """An address that is not connected to; its text says why."""


class _CheckingResolver(aiohttp.ThreadedResolver):
    """Resolves names, but none to this machine: only ``localhost`` and addresses mean it."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if not names_loopback(host.lower().removesuffix(".")):
            for result in found:
                if is_loopback(ipaddress.ip_address(result["host"].partition("%")[0])):
                    raise _Refused(errno.EACCES, "its name resolves to this machine")
        return found


def _checked_socket(about: tuple[Any, ...]) -> socket.socket:
    """Make a socket for an address, if a model of the run time may be there."""
    family, kind, protocol, _, address = about
    why = forbidden_address(ipaddress.ip_address(str(address[0]).partition("%")[0]))
    if why is not None:
        raise _Refused(errno.EACCES, f"its address {address[0]} {why}")
    return socket.socket(family, kind, protocol)
