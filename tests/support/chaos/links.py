"""Connections to the database through a proxy that cuts, holds and delays them."""

import asyncio
import contextlib

_PIECE = 65_536


class Link:
    """One process's way to the database.

    Parameters
    ----------
    socket
        Path of the database's socket.
    host
        Address at which it listens.

    Attributes
    ----------
    port : int
        Where the process connects to.
    delay : float
        Seconds by which each piece of data comes later.
    """

    def __init__(self, socket, host):
        self._socket, self._host = socket, host
        self.delay = 0.0
        self._passing = asyncio.Event()
        self._passing.set()
        self._cut = False
        self._writers = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self):
        """Break all connections, and refuse new ones until ``heal``."""
        self._cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self):
        """Let nothing through until ``heal``, and tell no one."""
        self._passing.clear()

    def heal(self):
        self._cut, self.delay = False, 0.0
        self._passing.set()

    @property
    def connections(self):
        return len(self._writers) // 2

    def close(self):
        self._server.close()
        self.cut()

    async def _serve(self, reader, writer):
        there = None
        try:
            await self._passing.wait()
            if self._cut:
                return
            there = await asyncio.open_unix_connection(self._socket)
            self._writers |= {writer, there[1]}
            await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))
        except (OSError, asyncio.CancelledError):
            pass  # The database is away, or the run ended.
        finally:
            for end in (writer, there[1] if there else writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _copy(self, source, target):
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_PIECE):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passing.wait()
                target.write(data)
                await target.drain()
        target.close()
