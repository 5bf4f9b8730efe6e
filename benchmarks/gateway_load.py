"""Load of one cell of ``gateway.py``: a closed loop of connections that check every answer.

Reads one JSON object from its input: port, path, headers, bodies, concurrency, seconds, warm_up
and stream. Prints one JSON object with counts, errors and the times of all requests. It is an
``asyncio.Protocol`` in its own process, so that it needs much less time than the servers.
"""

# ruff: noqa: D102 - asyncio.Protocol documents its methods.
import asyncio
import json
import sys
import time

import uvloop

from gateway_mock import WORDS

_CLOCK = time.perf_counter
_WORDS = [word.strip().encode() for word in WORDS]
_CLOSES = b"\r\nconnection: close\r\n"
_MAX_ERRORS = 5
"""Number of error messages that are recorded."""


class Cell:
    """State that all connections of a cell share."""

    def __init__(self, plan):
        lines = [f"POST {plan['path']} HTTP/1.1", f"host: 127.0.0.1:{plan['port']}"]
        lines += [f"{name}: {value}" for name, value in plan["headers"].items()]
        lines += ["content-type: application/json"]
        head = "\r\n".join(lines)
        self.requests = [
            f"{head}\r\ncontent-length: {len(body.encode())}\r\n\r\n{body}".encode()
            for body in plan["bodies"]
        ]
        self.port, self.stream = plan["port"], plan["stream"]
        self.times, self.first, self.errors = [], [], []
        self.failed = self.turn = self.running = 0
        self.starts = self.ends = 0.0
        self.done = asyncio.get_running_loop().create_future()

    async def connect(self):
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)

    def fail(self, text):
        self.failed += 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(text[:300])
        if self.failed > 50:
            self.ends = 0.0

    def left(self):
        self.running -= 1
        if self.running == 0 and not self.done.done():
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """Connection that sends the next request when the last answer is complete.

    A server may end it after an answer (``connection: close``), as Floorline does after 1,000
    requests; then another one takes its place.
    """

    def __init__(self, cell):
        self.cell = cell
        self.replaced = None
        self.answer = b""
        self.length = self.body_at = 0
        self.finished = False

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        cell = self.cell
        cell.turn += 1
        self.answer, self.body_at, self.first = b"", 0, 0.0
        request = cell.requests[cell.turn % len(cell.requests)]
        self.sent = _CLOCK()
        self.transport.write(request)

    def data_received(self, data):
        answer = self.answer = self.answer + data if self.answer else data
        if not self.body_at:
            end = answer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.body_at = end + 4
            self.length = _length(answer[:end])
        if len(answer) == self.body_at:
            return
        if not self.first:
            self.first = _CLOCK()
        if self.length >= 0:
            complete = len(answer) >= self.body_at + self.length
        else:
            complete = answer.endswith(b"0\r\n\r\n")
        if complete:
            self.complete(answer)

    def complete(self, answer):
        now = _CLOCK()
        cell = self.cell
        error = _error_in(answer, cell.stream)
        if error:
            cell.fail(error)
        elif cell.starts <= now <= cell.ends:
            cell.times.append(now - self.sent)
            cell.first.append(self.first - self.sent)
        if now >= cell.ends:
            self.finished = True
            self.transport.close()
        elif _CLOSES in answer[: self.body_at].lower():
            self.finished = True
            self.replaced = asyncio.create_task(cell.connect())
            self.transport.close()
        else:
            self.send()

    def connection_lost(self, error):
        if not self.finished:
            self.cell.fail(f"connection lost: {error!r} after {self.answer[:200]!r}")
        if self.replaced is None:
            self.cell.left()


def _length(head):
    """Return the length of the body; −1 if it is sent in chunks."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return -1
    return int(lower[at + 17 :].split(b"\r\n", 1)[0])


def _error_in(answer, stream):
    """Return the error of an answer (status, words, their order, end of the stream), or ""."""
    if not answer.startswith(b"HTTP/1.1 200"):
        return answer.decode(errors="replace")
    at = 0
    for word in _WORDS:
        at = answer.find(word, at) + 1
        if at == 0:
            return f"without {word!r}: " + answer.decode(errors="replace")
    if stream and answer.find(b"data: [DONE]", at) < 0:
        return "without [DONE]: " + answer.decode(errors="replace")
    return ""


async def measure(plan):
    """Run the cell; fail answers that take a minute longer than it."""
    cell = Cell(plan)
    cell.starts = _CLOCK() + plan["warm_up"]
    cell.ends = cell.starts + plan["seconds"]
    cell.running = plan["concurrency"]
    for _ in range(plan["concurrency"]):
        await cell.connect()
    try:
        await asyncio.wait_for(cell.done, plan["warm_up"] + plan["seconds"] + 60.0)
    except TimeoutError:
        cell.fail(f"{cell.running} answers did not end")
    return {
        "seconds": plan["seconds"],
        "failed": cell.failed,
        "errors": cell.errors,
        "times": cell.times,
        "first": cell.first,
        "cpu": time.process_time(),
    }


if __name__ == "__main__":
    json.dump(uvloop.run(measure(json.load(sys.stdin))), sys.stdout)
