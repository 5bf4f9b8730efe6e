"""A provider of numbered streams, and clients that hold every byte of them against the number."""

import asyncio
import json
import time

import aiohttp

from tests.support.faulty_provider import FaultyProvider, event


def numbered(nonce, pieces):
    """Events of the stream that answers one request; no two requests get the same."""
    about = {"id": f"chatcmpl-{nonce}", "object": "chat.completion.chunk"}
    words = [
        event(about | {"choices": [{"index": 0, "delta": {"content": f"{nonce}/{n} "}}]})
        for n in range(pieces)
    ]
    end = about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*words, event(end), b"data: [DONE]\n\n"]


def broken_off(sent, then):
    """Begin a stream, then let ``then`` happen; None ends it as HTTP would have it."""

    async def answer(connection):
        await connection.head(200, "text/event-stream", Transfer_Encoding="chunked")
        for piece in sent:
            await connection.piece(piece)
        await (connection.piece(b"") if then is None else then(connection))

    return answer


async def without_end(connection):
    """Comment on and on."""
    while True:
        await connection.piece(b": " + b"x" * 65536 + b"\n\n")


async def leave_after(url, mark, body, *, reset=False):
    """Send a chat request, read until some bytes arrive, and leave; return what came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    data = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    came = b""
    async with asyncio.timeout(60):
        while mark not in came:
            part = await reader.read(65536)
            came += part
            if not part or not came.startswith(b"HTTP/1.1 200"):
                break
    if reset:
        writer.transport.abort()
    else:
        writer.close()
    return came


class NumberedProvider(FaultyProvider):
    """Streams ``pieces`` events, ``pause`` seconds apart, made of the request's ``user``.

    While ``held`` is true, streams wait before their last event.
    """

    def __init__(self, pieces=20, pause=0.05):
        super().__init__()
        self.pieces = pieces
        self.pause = pause
        self.held = False

    async def _sound(self, connection):
        # Not kept: there are thousands.
        self.requests.clear()
        nonce = connection.request["body"]["user"]
        await connection.head(200, "text/event-stream", Transfer_Encoding="chunked")
        *pieces, last = numbered(nonce, self.pieces)
        for piece in pieces:
            await connection.piece(piece)
            await asyncio.sleep(self.pause)
        while self.held:
            await asyncio.sleep(0.01)
        await connection.piece(last)
        await connection.piece(b"")


class Streaming:
    """What clients saw: whole streams, damaged or refused ones, bytes; most at one time."""

    def __init__(self):
        self.whole = 0
        self.damaged = []
        self.bytes = 0
        self.now = 0
        self.most = 0


async def stream_once(session, nonce, pieces, found):
    """Read one stream and compare it with what the provider sent."""
    body = {
        "model": "floorline/gold",
        "messages": [{"role": "user", "content": f"Tell me of {nonce}"}],
        "stream": True,
        "user": nonce,
    }
    found.now += 1
    found.most = max(found.most, found.now)
    try:
        async with session.post("/v1/chat/completions", json=body) as answer:
            data = await answer.read()
    except (aiohttp.ClientError, ConnectionError) as error:
        data = repr(error).encode()
    found.now -= 1
    if data == b"".join(numbered(nonce, pieces)):
        found.whole += 1
        found.bytes += len(data)
    else:
        found.damaged.append((nonce, data[-300:]))


async def stream_for(url, seconds, *, clients, pieces, least=1):
    """Let so many clients read one stream after the other, each at least ``least`` of them."""
    found = Streaming()
    until = time.monotonic() + seconds
    timeout = aiohttp.ClientTimeout(total=300)
    connector = aiohttp.TCPConnector(limit=0)

    async def client(number):
        step = 0
        while step < least or time.monotonic() < until:
            await stream_once(session, f"{number}.{step}", pieces, found)
            step += 1

    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(client(number) for number in range(clients)))
    return found
