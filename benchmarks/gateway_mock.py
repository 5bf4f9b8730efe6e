"""A provider that answers at once: the upstream of all gateways in ``gateway.py``.

``python benchmarks/gateway_mock.py PORT`` serves on loopback until it is stopped. Every POST is a
chat completion. With ``"stream": true`` it answers 20 chunks, each in a separate write, without
delay between them, and one more with the usage if requested. ``GET /stats`` returns the numbers of
open connections and of requests.

It is an ``asyncio.Protocol`` instead of an application server, because it must be much faster than
the gateways.
"""

# ruff: noqa: D102 - asyncio.Protocol documents its methods.
import asyncio
import json
import re
import sys

import httptools
import uvloop

CHUNKS = 20
WORDS = [f"word{n:02d} " for n in range(CHUNKS)]
"""Contents of the chunks of a stream; an answer without streaming contains all of them."""
ANSWER = "".join(WORDS)

_STREAM = re.compile(rb'"stream"\s*:\s*true')
_USAGE_TOO = re.compile(rb'"include_usage"\s*:\s*true')
_ID = "chatcmpl-############"
_MARK = b"############"
_ABOUT = {"id": _ID, "created": 1700000000, "model": "mock", "system_fingerprint": "fp_mock"}
_USAGE = {"prompt_tokens": 60, "completion_tokens": CHUNKS, "total_tokens": 60 + CHUNKS}


def _whole():
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": ANSWER},
        "logprobs": None,
        "finish_reason": "stop",
    }
    body = _ABOUT | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return _response("application/json", json.dumps(body, separators=(",", ":")).encode())


def _chunks():
    deltas = [{"content": word} for word in WORDS]
    deltas[0]["role"] = "assistant"
    for n, delta in enumerate(deltas):
        reason = "stop" if n == CHUNKS - 1 else None
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield _chunk(choices=[choice])


def _chunk(**fields):
    body = _ABOUT | {"object": "chat.completion.chunk"} | fields
    return _framed(json.dumps(body, separators=(",", ":")).encode())


def _framed(data):
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def _response(kind, body):
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


_WHOLE = _whole()
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_END = _framed(b"[DONE]") + b"0\r\n\r\n"
_EVENTS = [*_chunks(), _END]
_EVENTS_AND_USAGE = [*_EVENTS[:-1], _chunk(choices=[], usage=_USAGE), _END]


class Counts:
    """Counts of connections and requests."""

    def __init__(self):
        self.open = self.accepted = self.requests = self.streams = 0


class Mock(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop, counts):
        self.loop, self.counts = loop, counts
        self.parser = httptools.HttpRequestParser(self)
        self.body = []

    def connection_made(self, transport):
        self.transport = transport
        self.counts.open += 1
        self.counts.accepted += 1

    def connection_lost(self, error):
        self.counts.open -= 1

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, data):
        self.body.append(data)

    def on_message_complete(self):
        body = b"".join(self.body)
        self.body.clear()
        if self.parser.get_method() == b"GET":
            stats = json.dumps(vars(self.counts)).encode()
            self.transport.write(_response("application/json", stats))
            return
        self.counts.requests += 1
        name = b"%012x" % self.counts.requests
        if _STREAM.search(body):
            self.counts.streams += 1
            self.transport.write(_STREAM_HEAD)
            self._next(iter(_EVENTS_AND_USAGE if _USAGE_TOO.search(body) else _EVENTS), name)
        else:
            self.transport.write(_WHOLE.replace(_MARK, name))

    def _next(self, events, name):
        event = next(events, None)
        if event is not None and not self.transport.is_closing():
            self.transport.write(event.replace(_MARK, name))
            # Each chunk is sent in its own turn of the loop; otherwise one write would send all.
            self.loop.call_soon(self._next, events, name)


async def serve(port):
    loop = asyncio.get_running_loop()
    counts = Counts()
    server = await loop.create_server(lambda: Mock(loop, counts), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
