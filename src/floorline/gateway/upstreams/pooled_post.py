"""Send one POST over a connection of aiohttp's pool, without aiohttp's session.

The session makes a request, a writer, a task for the body and a response for each call, and merges
headers, cookies, redirects and proxies that calls of providers do not have. Pool, TLS, time limits
of connections and the parser of answers stay aiohttp's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

_SESSIONS_ONLY = frozenset(
    {"connection", "content-encoding", "content-length", "expect", "transfer-encoding", "upgrade"}
)
"""Headers that say how a body is sent, of which a session takes care."""


class PostTarget(aiohttp.ClientRequest):
    """What the pool needs to know of the server; calls of one endpoint share it."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """Name of the server's connections in the pool, computed once."""
        return super().connection_key


def request_head(url: URL, headers: Mapping[str, str]) -> bytes | None:
    r"""Head of a POST up to the value of ``Content-Length``; None if a session must send it.

    Raises
    ------
    ValueError
        If a header would begin another line.

    Examples
    --------
    >>> request_head(URL("http://host:81/v1/chat?a=b"), {"Accept": "*/*"})
    b'POST /v1/chat?a=b HTTP/1.1\r\nHost: host:81\r\nAccept: */*\r\nContent-Length: '
    >>> request_head(URL("http://host/"), {"Expect": "100-continue"})
    """
    names = {name.lower() for name in headers}
    if names & _SESSIONS_ONLY or url.raw_user or url.raw_password:
        return None
    lines = [f"POST {url.raw_path_qs} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {url.host_port_subcomponent}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append("Content-Length: ")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header of the call contains a line break")
    return "\r\n".join(lines).encode()


class PooledAnswer:
    """A server's answer while it arrives.

    Attributes
    ----------
    status, headers
        Of the answer.
    content
        Its body, as aiohttp's parser gives it.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(self, connection: Any, message: Any, content: aiohttp.StreamReader) -> None:
        self._connection = connection
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        # At once if the body has arrived already.
        content.on_eof(self._ended)

    def _ended(self) -> None:
        protocol = self._connection.protocol
        if protocol is not None and not protocol.upgraded:
            self._connection.release()

    def close(self) -> None:
        """Close the connection, unless the whole answer has arrived."""
        self._connection.close()


async def pooled_post(
    connector: aiohttp.BaseConnector,
    target: PostTarget,
    timeout: aiohttp.ClientTimeout,
    data: bytes,
) -> PooledAnswer:
    """Send a request; return its answer once status and headers arrived.

    Parameters
    ----------
    connector
        Pool of the connections.
    target
        Server of the URL.
    timeout
        Bounds the time until there is a connection.
    data
        Head and body.

    Raises
    ------
    aiohttp.ClientError
        If there is no connection, or it breaks before the answer.
    aiohttp.http_exceptions.HttpProcessingError
        If the answer is no HTTP.
    """
    try:
        connection = await connector.connect(target, [], timeout)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"connection timeout to {target.host}") from error
    try:
        protocol = connection.protocol
        assert protocol is not None
        protocol.set_response_params(read_until_eof=True)
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        transport.write(data)
        while True:
            message, content = await protocol.read()
            # Interim answers come before the one that counts.
            if not 100 <= message.code < 200 or message.code == 101:
                return PooledAnswer(connection, message, content)
    except BaseException:
        connection.close()
        raise
