"""Clients that ask servers at a rate and judge some answers, as cheaply as Python can.

One event loop has the clients and the provider of ``gateway_mock.py``, connections are kept, and of
an answer only the status, its end and the decision's id are read. So the machine's time goes to
what ``soak_replicas.py`` measures.
"""

# ruff: noqa: D102 - asyncio.Protocol documents its methods.
import asyncio
import collections
import random
import re
import time

from gateway_mock import Counts, Mock

FEEDBACK_SHARE = 0.2
"""Part of the answers that are judged, one second later on average."""
STREAM_SHARE = 0.1
"""Part of the requests that ask for a stream; its chunks cost more than all the rest."""
_GIVE_UP_SECONDS = 60.0

_DECISION = re.compile(rb"x-floorline-decision: (\S+)\r\n")
_LENGTH = re.compile(rb"content-length: (\d+)\r\n")
_CLOSES = b"\r\nconnection: close\r\n"
"""Header of the last answer on a connection; Floorline ends one after 1,000 requests."""
_WORDS = ["explain", "prove", "why", "does", "a", "river", "bend", "integral", "of", "the", "sky"]
_HEAD = (
    "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: {length}\r\n\r\n"
)


def request(path, body):
    """Bytes of a request."""
    return _HEAD.format(path=path, length=len(body)).encode() + body.encode()


class Connection(asyncio.Protocol):
    """A kept connection, on which one request is asked at a time."""

    def __init__(self):
        self._came = b""
        self._end = None
        self._answer = None
        self._loop = asyncio.get_running_loop()
        self.open = True

    def connection_made(self, transport):
        self._transport = transport

    def ask(self, data):
        """Send a request; a future of its answer's bytes."""
        self._came, self._end = b"", None
        self._answer = self._loop.create_future()
        self._transport.write(data)
        return self._answer

    def data_received(self, data):
        self._came += data
        if self._end is None:
            head = self._came.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._came, 0, head + 2)
            self._end = 0 if length is None else head + 4 + int(length[1])
            self.open = _CLOSES not in self._came[: head + 4]
        whole = len(self._came) >= self._end if self._end else self._came.endswith(b"0\r\n\r\n")
        if whole and not self._answer.done():
            self._answer.set_result(self._came)

    def connection_lost(self, error):
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("closed before the answer"))

    def close(self):
        self._transport.close()


class Server:
    """One of the servers, and the connections to it that are idle."""

    def __init__(self, port):
        self._port = port
        self._idle = collections.deque()

    async def ask(self, data):
        """Answer to a request, over an idle connection or a new one.

        Raises
        ------
        OSError, TimeoutError
            If there is none.
        """
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            if not connection.open:
                connection = None
        if connection is None:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        try:
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                came = await connection.ask(data)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        else:
            connection.close()
        return came

    def close(self):
        for connection in self._idle:
            connection.close()


class Load:
    """Requests at random times at a rate, to each server in turn, and feedback for some answers.

    Parameters
    ----------
    ports
        Where the servers listen.
    slas
        Names of the SLAs that are asked for.
    rate
        Requests a second.
    seed
        Of what is asked, when, and what is judged how.

    Attributes
    ----------
    asked, answered, judged : int
        Requests that were sent, good answers, and acknowledged feedback messages.
    latencies : list of float
        Seconds to the end of each good answer without streaming; the reader empties it.
    failures : Counter
        Number of requests without a good answer by what came instead.
    """

    def __init__(self, ports, slas, rate, seed):
        self._servers = [Server(port) for port in ports]
        self._slas, self._rate = slas, rate
        self._rng = random.Random(seed)
        self._open = set()
        self.asked = self.answered = self.judged = 0
        self.latencies = []
        self.failures = collections.Counter()

    async def run(self):
        """Ask until the task is cancelled; open requests go on."""
        due = time.monotonic()
        while True:
            due += self._rng.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # What a slow machine did not send is not sent at once.
            due = max(due, time.monotonic() - 1.0)
            task = asyncio.create_task(self._use(self.asked))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            self.asked += 1

    async def close(self):
        """End: open requests are given up."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        for server in self._servers:
            server.close()

    async def _use(self, number):
        server = self._servers[number % len(self._servers)]
        stream = self._rng.random() < STREAM_SHARE
        text = f"{number}: {' '.join(self._rng.choices(_WORDS, k=self._rng.randint(4, 30)))}"
        body = (
            f'{{"model":"floorline/{self._rng.choice(self._slas)}","max_tokens":400,'
            f'"stream":{"true" if stream else "false"},'
            f'"messages":[{{"role":"user","content":"{text}"}}]}}'
        )
        began = time.perf_counter()
        came = await self._good(server, request("/v1/chat/completions", body))
        if came is None:
            return
        self.answered += 1
        if not stream:
            self.latencies.append(time.perf_counter() - began)
        if self._rng.random() < FEEDBACK_SHARE:
            await asyncio.sleep(self._rng.expovariate(1.0))
            decision = _DECISION.search(came)[1].decode()
            satisfied = "true" if self._rng.random() < 0.7 else "false"
            label = f'{{"decision":"{decision}","satisfied":{satisfied}}}'
            # Any server takes it, whichever decided.
            server = self._rng.choice(self._servers)
            acknowledged = await self._good(server, request("/v1/feedback", label))
            self.judged += acknowledged is not None

    async def _good(self, server, data):
        """Answer of status 200; None for any other, which is counted."""
        try:
            came = await server.ask(data)
        except (OSError, TimeoutError) as error:
            self.failures[type(error).__name__] += 1
            return None
        if came.startswith(b"HTTP/1.1 200 "):
            return came
        self.failures[came.partition(b"\r\n")[0].decode()] += 1
        return None


async def serve_provider():
    """Start the provider on a free port; the server and its URL."""
    loop, counts = asyncio.get_running_loop(), Counts()
    server = await loop.create_server(lambda: Mock(loop, counts), "127.0.0.1", 0, backlog=512)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
