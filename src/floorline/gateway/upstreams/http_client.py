"""Calls of an OpenAI-compatible endpoint."""

from __future__ import annotations

import io
from collections.abc import Mapping

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from floorline._version import __version__
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.settings import Secret, UpstreamSettings

_DNS_SECONDS = 60
# aiohttp warns of larger bodies in one piece, for they keep the loop from everything else.
_ONE_PIECE = 2**20


def open_session() -> aiohttp.ClientSession:
    """Open the pool of connections that all endpoints share; call it in the running loop."""
    return aiohttp.ClientSession(
        # Each model has its own limit of calls; a second one here would only hide it.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=_DNS_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class HttpReply:
    """Answer of an endpoint."""

    __slots__ = ("_content", "_name", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, name: str) -> None:
        self._response = response
        self._content = response.content
        self._name = name
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """Return the bytes that came since the last call; UpstreamError if it broke."""
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            what = type(error).__name__
        # Raised out here, because the client's errors carry the request's headers, key included.
        text = f"model {self._name!r}: the connection broke before the answer was complete ({what})"
        raise UpstreamError(text, "reset", retryable=not self._content.total_bytes)

    def abort(self) -> None:
        """Close the connection."""
        # Closing alone would leave a reader waiting.
        self._content.set_exception(aiohttp.ClientConnectionError("given up"))
        self._response.close()


class HttpClient:
    """Sends requests to one endpoint.

    Parameters
    ----------
    session
        Pool of connections.
    name
        The zoo's name of the model, for errors.
    settings
        Where and how.
    """

    def __init__(
        self, session: aiohttp.ClientSession, name: str, settings: UpstreamSettings
    ) -> None:
        self._session = session
        self._name = name
        base = URL(settings.base_url)
        self._url = base.with_path(base.path.rstrip("/") + "/chat/completions", keep_query=True)
        # Whatever aiohttp would otherwise work out anew for each request is given.
        self._headers = CIMultiDict(
            {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "Accept-Encoding": "identity",
                "User-Agent": f"floorline/{__version__}",
            }
        )
        for key, value in settings.headers.items():
            self._headers[key] = value.reveal() if isinstance(value, Secret) else value
        if settings.api_key is not None:
            self._headers["Authorization"] = f"Bearer {settings.api_key.reveal()}"
        # All other timeouts are the caller's, with one timer for a whole call.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=settings.timeouts.connect)

    async def send(
        self, body: bytes, *, stream: bool, headers: Mapping[str, str] | None
    ) -> HttpReply:
        """Send a request and wait for the head of its answer; UpstreamError if none came."""
        sent = self._headers
        if headers:
            sent = sent.copy()
            for key, value in headers.items():
                sent.setdefault(key, value)
        try:
            response = await self._session.post(
                self._url,
                data=body if len(body) <= _ONE_PIECE else io.BytesIO(body),
                headers=sent,
                timeout=self._timeout,
                # A redirect would carry the key to somebody else.
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            fault = self._fault(error)
        else:
            return HttpReply(response, self._name)
        # Raised out here, because the client's errors carry the request's headers, key included.
        raise fault

    def _fault(self, error: Exception) -> UpstreamError:
        place = f"model {self._name!r} at {self._url.host}:{self._url.port}"
        match error:
            case aiohttp.ConnectionTimeoutError():
                seconds = f"{self._timeout.connect:g}"
                text = f"{place}: no connection within {seconds} s (Timeouts.connect)"
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
