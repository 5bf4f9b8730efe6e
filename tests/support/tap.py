"""A TCP proxy that keeps what passes, to see what a client has got while its answer goes on."""

import asyncio
import contextlib
import time

_CHUNK = 65536


class Tap:
    """Passes connections on to a server and keeps the bytes of both directions.

    Attributes
    ----------
    port
        The server's port on this machine.
    sent, received
        All bytes that clients sent, and that they got.
    """

    def __init__(self, port):
        self.port = port
        self.sent = bytearray()
        self.received = bytearray()
        self._server = None
        self._tasks = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await asyncio.gather(
                    self._pass(reader, far_writer, self.sent),
                    self._pass(far_reader, writer, self.received),
                )
            finally:
                far_writer.close()
                writer.close()
        self._tasks.discard(asyncio.current_task())

    @staticmethod
    async def _pass(reader, writer, kept):
        while data := await reader.read(_CHUNK):
            kept += data
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def has_received(self, text, seconds):
        """Whether clients get a text within so many seconds."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.received:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True
