"""A real HTTP proxy: it opens tunnels (CONNECT) and forwards plain requests."""

import asyncio
import base64
import contextlib

from yarl import URL


class HttpProxy:
    """The proxy; an asynchronous context manager.

    Parameters
    ----------
    user, password
        What clients must send; None for a proxy that takes everyone.
    context
        TLS of the proxy itself; None for a proxy at http://.
    hosts
        Addresses of the names that it knows: it resolves names itself, as proxies do.

    Attributes
    ----------
    requests
        First line and headers (names in lower case) of every request so far.
    """

    def __init__(self, user=None, password="", context=None, hosts=None):
        self.requests = []
        self._context = context
        self._hosts = hosts or {}
        self._wanted = None
        if user is not None:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._wanted = f"Basic {token}"
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        start = "http://127.0.0.1" if self._context is None else "https://localhost"
        self.url = f"{start}:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Transports close in the next turns of the loop.
        await asyncio.sleep(0.01)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # One of the two ends left.
        finally:
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        self.requests.append((head[0], headers))
        if self._wanted is not None and headers.get("proxy-authorization") != self._wanted:
            writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        method, target, _ = head[0].split()
        url = URL(f"//{target}") if method == "CONNECT" else URL(target)
        try:
            host = self._hosts.get(url.host, url.host)
            there = await asyncio.open_connection(host, url.port)
        except OSError:
            writer.write(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            kept = [line for line in head[1:-2] if not line.lower().startswith("proxy-")]
            first = f"{method} {url.raw_path_qs} HTTP/1.1"
            there[1].write("\r\n".join([first, *kept, "", ""]).encode())
        try:
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        finally:
            there[1].close()


async def _copy(source, target):
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()
