"""Send requests to a provider over HTTP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from floorline._version import __version__
from floorline.errors import system_reason
from floorline.gateway.upstreams.connections import Abortable, Connector, Request, current_request
from floorline.gateway.upstreams.endpoints import (
    call_url,
    default_headers,
    path_url,
    request_headers,
)
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.pooled_post import (
    PooledAnswer,
    PostTarget,
    pooled_post,
    request_head,
)
from floorline.gateway.upstreams.proxies import proxy_of
from floorline.gateway.upstreams.settings import UpstreamSettings

_SECONDS_AFTER_END = 1.0
"""Time that a connection may stay open after the end of its stream before it is closed."""
_MAX_UNSPLIT_BODY = 2**20
"""Bytes of a body that is sent in one piece; aiohttp warns of larger ones, which block the loop."""


def with_query(url: URL, query: str) -> URL:
    """Return a URL with the query of a client's request added; its own parameters win.

    Examples
    --------
    >>> str(with_query(URL("http://host/p?api-version=1"), "beta=true&api-version=7"))
    'http://host/p?api-version=1&beta=true'
    """
    try:
        given = URL.build(query_string=query, encoded=True).query
    except ValueError:
        return url
    # The version of Azure's API is the endpoint's, whatever a client of Azure's names.
    left_out = {*url.query, "api-version"}
    added = [(name, value) for name, value in given.items() if name not in left_out]
    return url.extend_query(added) if added else url


Response = aiohttp.ClientResponse | PooledAnswer


def _closed_while_idle(response: Response) -> bool:
    """Whether a server says that it closed an unused connection (RFC 9110, 15.5.9)."""
    return response.status == 408 and response.headers.get("Connection", "").lower() == "close"


def _data(body: bytes) -> bytes | io.BytesIO:
    return body if len(body) <= _MAX_UNSPLIT_BODY else io.BytesIO(body)


class HttpReply:
    """An endpoint's answer while it arrives."""

    __slots__ = ("_content", "_ending", "_name", "_response", "headers", "status")

    def __init__(self, response: Response, name: str, ending: set[Abortable]) -> None:
        self._response = response
        self._ending = ending
        self._content = response.content
        self._name = name
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ended(self) -> bool:
        """Whether all bytes have been read."""
        return self._content.at_eof() and self._content.exception() is None

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
        self._ending: set[Abortable] = (
            connector.ending if isinstance(connector, Connector) else set()
        )
        self._name = name
        self._settings = settings
        self._url = call_url(settings)
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
        # What the headers of a call replace, unlike those of the settings.
        self._replaced = default_headers(settings)
        self._proxy = proxy_of(settings, self._url)
        if self._proxy is not None:
            self._headers.update(self._proxy.request_headers)
        self._usual_headers = self._headers.copy()
        self._usual_headers.update(self._replaced)
        # The caller applies the other timeouts, with one timer for a whole call.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=settings.timeouts.connect)
        self._options: dict[str, Any] = {
            "timeout": self._timeout,
            # A redirect would send the key to another server.
            "allow_redirects": False,
        }
        if self._proxy is not None:
            self._options["proxy"] = self._proxy.url
            self._options["proxy_headers"] = self._proxy.tunnel_headers
        self._usual_head = self._head(self._url, self._usual_headers)
        self._target: PostTarget | None = None

    async def send(
        self,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
        path: str = "",
        query: str = "",
    ) -> HttpReply:
        """Send a request; return its answer once status and headers arrived, else UpstreamError."""
        sent, url, head = self._usual_headers, self._url, self._usual_head
        if headers:
            sent = self._headers.copy()
            for key, value in {**self._replaced, **headers}.items():
                sent.setdefault(key, value)
        if path:
            url = path_url(self._settings, path)
        if query:
            url = with_query(url, query)
        if headers or path or query:
            head = self._head(url, sent)
        for fresh in (False, True):
            request = Request(fresh=fresh)
            current_request.set(request)
            try:
                response = await self._post(url, sent, head, body)
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                failure = self._failure(error)
            else:
                if not (request.reused and _closed_while_idle(response)):
                    return self._reply(response, request)
                response.close()
                failure = UpstreamError(f"model {self._name!r}: closed while idle", "reset")
            # A provider may close a kept connection at any time, also while a request is on its
            # way to it: this says nothing of the provider.
            if not request.reused or failure.kind != "reset":
                break
        # Raised outside of the except block: aiohttp's errors hold the request's headers, and so
        # the key.
        raise failure

    def _head(self, url: URL, headers: CIMultiDict[str]) -> bytes | None:
        """Head of a request that needs no session; None if it needs one."""
        return request_head(url, headers) if self._proxy is None else None

    async def _post(
        self, url: URL, headers: CIMultiDict[str], head: bytes | None, body: bytes
    ) -> Response:
        connector = self._session.connector
        if head is None or len(body) > _MAX_UNSPLIT_BODY or connector is None:
            return await self._session.post(url, data=_data(body), headers=headers, **self._options)
        target = self._target
        if target is None:
            loop = asyncio.get_running_loop()
            target = self._target = PostTarget("POST", self._url, loop=loop)
        data = b"%s%d\r\n\r\n%s" % (head, len(body), body)
        return await pooled_post(connector, target, self._timeout, data)

    def _reply(self, response: Response, request: Request) -> HttpReply:
        if request.use is not None:
            request.use.heed(response.headers.get("Keep-Alive"))
        if self._proxy is not None and response.status == 407:
            response.close()
            raise self._refused_by_proxy(407)
        return HttpReply(response, self._name, self._ending)

    def _refused_by_proxy(self, status: int) -> UpstreamError:
        assert self._proxy is not None
        fix = ": check the user and the password of proxy" if status == 407 else ""
        text = f"model {self._name!r}: the proxy {self._proxy.place} answered {status}{fix}"
        return UpstreamError(text, "connect", retryable=status >= 500)

    def _failure(self, error: Exception) -> UpstreamError:
        place = f"model {self._name!r} at {self._url.host}:{self._url.port}"
        match error:
            case aiohttp.ConnectionTimeoutError():
                seconds = f"{self._timeout.connect:g}"
                text = f"{place}: no connection within {seconds} s (timeouts.connect)"
                return UpstreamError(text, "connect", retryable=True)
            case aiohttp.ClientProxyConnectionError() if self._proxy is not None:
                why = system_reason(error.os_error)
                text = (
                    f"model {self._name!r}: no connection to the proxy {self._proxy.place} ({why})"
                )
                return UpstreamError(text, "connect", retryable=True)
            case aiohttp.ClientHttpProxyError() if self._proxy is not None:
                return self._refused_by_proxy(error.status)
            case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError():
                why = system_reason(error.os_error)
                return UpstreamError(f"{place}: no connection ({why})", "connect", retryable=True)
            case aiohttp.ClientResponseError() | HttpProcessingError():
                return UpstreamError(f"{place}: the answer is not HTTP", "invalid_response")
            case _:
                what = type(error).__name__
                text = f"{place}: the connection broke before an answer came ({what})"
                return UpstreamError(text, "reset", retryable=True)
