"""A real server that answers chat completions as told, mostly wrongly.

Each request takes the next fault of the plan, and a sound answer once the plan is used up. A fault
is a function of the connection, so that a test can also bring its own.
"""

import asyncio
import contextlib
import json
import struct
from socket import SO_LINGER, SOL_SOCKET

TEXT = ["Grüße", " aus", " dem", " Modell", " 🦉"]
CREATED = 1_700_000_000
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 9,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 8},
}


def completion(*, usage=USAGE):
    """Body of a sound answer."""
    message = {"role": "assistant", "content": "".join(TEXT)}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "their-model",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return json.dumps(body | ({"usage": usage} if usage else {}), ensure_ascii=False).encode()


def events(*, usage=None, done=True):
    """Events of a sound stream, one for each word."""
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
        for word in TEXT
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        chunks.append({"choices": [], "usage": usage})
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED}
    base["model"] = "their-model"
    made = [event(base | c) for c in chunks]
    return [*made, b"data: [DONE]\n\n"] if done else made


def event(value):
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


class Connection:
    """One client's connection, and the request that is to be answered."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.request = None

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()
        # What is written apart shall arrive apart.
        await asyncio.sleep(0.002)

    async def head(self, status=200, kind="application/json", **headers):
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def piece(self, data):
        """Write a piece of a chunked body; an empty one ends it."""
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def gone(self):
        """Wait until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1024):
                pass

    def reset(self):
        """Break the connection off without saying goodbye."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
        self.writer.transport.abort()

    def close(self):
        self.writer.close()


def whole(body=None, status=200, kind="application/json", **headers):
    """Answer with a body; a sound completion if none is given."""
    body = completion() if body is None else body

    async def answer(connection):
        await connection.head(status, kind, Content_Length=len(body), **headers)
        await connection.write(body)

    return answer


def error(status, message="no luck today", **headers):
    body = json.dumps({"error": {"message": message, "type": "some_error"}}).encode()
    return whole(body, status, **headers)


def refusal(status, body, **headers):
    """Answer with an error's body."""
    return whole(json.dumps(body).encode(), status, **headers)


def stream(pieces=None, kind="text/event-stream", then=None):
    """Stream pieces, then end the body or let ``then`` happen."""

    async def answer(connection):
        await connection.head(200, kind, Transfer_Encoding="chunked")
        for piece in events() if pieces is None else pieces:
            await connection.piece(piece)
        if then is None:
            await connection.piece(b"")
        else:
            await then(connection)

    return answer


async def hang(connection):
    """Say nothing (more) until the client leaves."""
    await connection.gone()


async def reset(connection):
    connection.reset()


async def close(connection):
    connection.close()


async def not_http(connection):
    await connection.write(b"220 smtp.example.org ESMTP ready\r\n\r\n")
    connection.close()


async def close_after_answer(connection):
    """Answer well, then close the connection although it was to be kept."""
    await whole()(connection)
    connection.close()


def cut_short(body=None, keep=30):
    """Announce a whole body and close the connection within it."""
    body = completion() if body is None else body

    async def answer(connection):
        await connection.head(200, Content_Length=len(body))
        await connection.write(body[:keep])
        connection.close()

    return answer


def endless(piece=b" " * 65536, kind="application/json"):
    """Never stop sending."""

    async def answer(connection):
        await connection.head(200, kind, Transfer_Encoding="chunked")
        with contextlib.suppress(ConnectionError):
            while not connection.writer.is_closing():
                await connection.piece(piece)

    return answer


def drip(body=None, size=7):
    """Send a body in crumbs."""
    body = completion() if body is None else body

    async def answer(connection):
        await connection.head(200, Content_Length=len(body))
        for start in range(0, len(body), size):
            await connection.write(body[start : start + size])

    return answer


class FaultyProvider:
    """The server; an asynchronous context manager.

    Attributes
    ----------
    requests
        Head (names in lower case) and body of every request so far.
    accepted, open
        Connections so far, and those that are open now.
    by_model
        What requests for some models meet if the plan is used up, by the provider's names.
    """

    def __init__(self):
        self.requests = []
        self.accepted = 0
        self.open = 0
        self.by_model = {}
        self._plan = []
        self._tasks = set()
        self._waiting = set()
        self._busy = set()
        self._last = set()

    def plan(self, *faults):
        self._plan.extend(faults)

    def hang_up(self):
        """Close connections that wait for a request, others after their answers.

        Called from another thread.

        A fault that breaks a connection is a failure of the provider only over a new one.
        """

        async def close():
            # A client may have all of an answer before its end is written.
            self._last |= self._busy
            for writer in list(self._waiting):
                writer.close()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(60)

    async def __aenter__(self):
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, condition, seconds=60.0):
        """Wait for something to become true of the server."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                await asyncio.sleep(0.005)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        connection = Connection(reader, writer)
        try:
            while not writer.is_closing() and writer not in self._last:
                self._busy.discard(writer)
                self._waiting.add(writer)
                connection.request = await self._request(reader)
                self._waiting.discard(writer)
                self._busy.add(writer)
                self.requests.append(connection.request)
                usual = self.by_model.get(connection.request["body"].get("model"), self._sound)
                await (self._plan.pop(0) if self._plan else usual)(connection)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client left, or the server stops.
        finally:
            self.open -= 1
            for writers in (self._waiting, self._busy, self._last):
                writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in fields.items()}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return {"line": head[0], "headers": headers, "body": json.loads(body or b"{}")}

    async def _sound(self, connection):
        asked = connection.request["body"]
        options = asked.get("stream_options") or {}
        if asked.get("stream"):
            usage = USAGE if options.get("include_usage") else None
            await stream(events(usage=usage))(connection)
        else:
            await whole()(connection)
