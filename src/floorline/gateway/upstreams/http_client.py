"""Send requests to an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import errno
import io
import ipaddress
import socket
from collections.abc import Coroutine, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from multidict import CIMultiDict
from yarl import URL

from floorline._version import __version__
from floorline.config.addresses import forbidden_address, is_loopback, names_loopback
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.settings import UpstreamSettings

_DNS_CACHE_SECONDS = 60
_SECONDS_AFTER_END = 1.0
"""Time that a connection may stay open after the end of its stream before it is closed."""
_MAX_UNSPLIT_BODY = 2**20
"""Bytes of a body that is sent in one piece; aiohttp warns of larger ones, which block the loop."""


def open_session(*, check_addresses: bool = False) -> aiohttp.ClientSession:
    """Open a connection pool that endpoints share; call it in the running event loop.

    Parameters
    ----------
    check_addresses
        Whether connections are opened only to addresses at which a model of the run time may be.
        The address is checked that is connected to, after names were resolved.
    """
    # No limit here, because each model has a limit on its calls.
    connector = Connector(
        limit=0,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
        resolver=_CheckingResolver() if check_addresses else None,
        socket_factory=_checked_socket if check_addresses else None,
    )
    # Without proxies of the environment, which would connect in place of this process.
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )


class Connector(aiohttp.TCPConnector):
    """Connections to providers.

    Attributes
    ----------
    ending
        Answers that are over although their connections have not ended them yet.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ending: set[HttpReply] = set()

    def close(self, *, abort_ssl: bool = False) -> Coroutine[Any, Any, None]:
        """Close all connections."""
        for reply in list(self.ending):
            reply.abort()
        return super().close(abort_ssl=abort_ssl)


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


def endpoint_url(settings: UpstreamSettings, path: str) -> URL:
    """Return the URL of a path below the endpoint, with the endpoint's query."""
    base = URL(settings.endpoint or "")
    return base.with_path(base.path.rstrip("/") + path, keep_query=True)


def request_headers(settings: UpstreamSettings) -> dict[str, str]:
    """Return the settings' headers, with the key as a bearer token; they hold secrets."""
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    if settings.key is not None:
        headers["Authorization"] = f"Bearer {settings.key.get_secret_value()}"
    return headers


class HttpReply:
    """An endpoint's answer while it arrives."""

    __slots__ = ("_content", "_ending", "_name", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, name: str, ending: set[HttpReply]) -> None:
        self._response = response
        self._ending = ending
        self._content = response.content
        self._name = name
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """Return the bytes that arrived since the last call; UpstreamError if it broke."""
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            what = type(error).__name__
        # aiohttp forgets what arrived before the connection broke, if it was not read yet.
        left = self._content._read_nowait(-1)
        if left:
            return left
        # Raised outside of the except block: aiohttp's errors hold the request's headers, and so
        # the key.
        text = f"model {self._name!r}: the connection broke before the answer was complete ({what})"
        raise UpstreamError(text, "reset", retryable=not self._content.total_bytes)

    def release(self) -> None:
        """Let the connection be used again; close it if it does not end the answer within 1 s."""
        if self._content.is_eof():
            return
        timer = asyncio.get_running_loop().call_later(_SECONDS_AFTER_END, self.abort)

        def ended() -> None:
            timer.cancel()
            self._ending.discard(self)

        self._ending.add(self)
        self._content.on_eof(ended)

    def abort(self) -> None:
        """Close the connection."""
        self._ending.discard(self)
        # Closing the response does not wake a task that reads from it.
        self._content.set_exception(aiohttp.ClientConnectionError("aborted"))
        self._response.close()


class HttpClient:
    """Sends requests to one endpoint.

    Parameters
    ----------
    session
        Connection pool.
    name
        The zoo's name of the model, for errors.
    settings
        Endpoint, key, headers and timeouts.
    """

    def __init__(
        self, session: aiohttp.ClientSession, name: str, settings: UpstreamSettings
    ) -> None:
        self._session = session
        connector = session.connector
        self._ending = connector.ending if isinstance(connector, Connector) else set()
        self._name = name
        self._url = endpoint_url(settings, "/chat/completions")
        # All headers are given, so that aiohttp does not compute them for each request.
        self._headers = CIMultiDict(
            {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "Accept-Encoding": "identity",
                "User-Agent": f"floorline/{__version__}",
            }
        )
        self._headers.update(request_headers(settings))
        # The caller applies the other timeouts, with one timer for a whole call.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=settings.timeouts.connect)

    async def send(
        self, body: bytes, *, stream: bool, headers: Mapping[str, str] | None
    ) -> HttpReply:
        """Send a request; return its answer once status and headers arrived, else UpstreamError."""
        sent = self._headers
        if headers:
            sent = sent.copy()
            for key, value in headers.items():
                sent.setdefault(key, value)
        try:
            response = await self._session.post(
                self._url,
                data=body if len(body) <= _MAX_UNSPLIT_BODY else io.BytesIO(body),
                headers=sent,
                timeout=self._timeout,
                # A redirect would send the key to another server.
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            failure = self._failure(error)
        else:
            return HttpReply(response, self._name, self._ending)
        # Raised outside of the except block: aiohttp's errors hold the request's headers, and so
        # the key.
        raise failure

    def _failure(self, error: Exception) -> UpstreamError:
        place = f"model {self._name!r} at {self._url.host}:{self._url.port}"
        match error:
            case aiohttp.ConnectionTimeoutError():
                seconds = f"{self._timeout.connect:g}"
                text = f"{place}: no connection within {seconds} s (timeouts.connect)"
                return UpstreamError(text, "connect", retryable=True)
            case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError():
                why = error.os_error.strerror or type(error.os_error).__name__
                return UpstreamError(f"{place}: no connection ({why})", "connect", retryable=True)
            case aiohttp.ClientResponseError():
                return UpstreamError(f"{place}: the answer is not HTTP", "invalid_response")
            case _:
                what = type(error).__name__
                text = f"{place}: the connection broke before an answer came ({what})"
                return UpstreamError(text, "reset", retryable=True)
