"""Slow, idle and huge clients of a gateway's process, and how an honest client fares meanwhile."""

import http.client
import json
import signal
import socket
import time
from collections import Counter
from typing import NamedTuple

CHAT = json.dumps(
    {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
).encode()
POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(CHAT) + CHAT
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Found(NamedTuple):
    """What came out of an attack.

    Attributes
    ----------
    name
        What was done.
    answers
        How many attacking connections got which status; "closed" without one, "held" if they were
        still open.
    memory
        Resident set before, and its peak, in MiB.
    health_s, chat_s
        Longest time of an honest request while the attack lasted, over a new connection.
    """

    name: str
    answers: Counter
    memory: tuple
    health_s: float
    chat_s: float


class Attack:
    """Attacking connections to a gateway's process.

    Parameters
    ----------
    serving
        The process.
    name
        What is done.
    """

    def __init__(self, serving, name):
        self.serving = serving
        self.name = name
        self.before = serving.memory()
        serving.forget_peak()
        self.held = []
        self.sent = 0
        self.health_s = self.chat_s = 0.0

    def open(self, data=b"", *, receive_buffer=None):
        """Open a connection, send something on it, and keep it."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(5)
        connection.connect(("127.0.0.1", self.serving.port))
        self.held.append(connection)
        self.say(connection, data)
        return connection

    def say(self, connection, data):
        """Send something; whether the gateway took all of it."""
        try:
            connection.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return True

    def honest(self):
        """Ask for health and for a chat over new connections; both must be answered."""
        self.health_s = max(self.health_s, self._time(HEALTH))
        self.chat_s = max(self.chat_s, self._time(WHOLE))

    def _time(self, data):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.serving.port), timeout=60) as connection:
            connection.sendall(data)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            answer.read()
            assert answer.status == 200, (self.name, answer.status)
        return time.monotonic() - begun

    def end(self):
        """Close what is open and return what was found."""
        most = self.serving.peak()
        answers = Counter(_answer(connection) for connection in self.held)
        for connection in self.held:
            connection.close()
        return Found(self.name, answers, (self.before, most), self.health_s, self.chat_s)


def _answer(connection):
    connection.settimeout(0.01)
    try:
        data = connection.recv(65536)
    except TimeoutError:
        return "held"
    except OSError:
        return "closed"
    return int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else "closed"


def idle_connections(serving, number):
    """Open connections that send nothing, or never finish their request."""
    attack = Attack(serving, f"{number:,} idle connections, a part of a request on each third")
    for one in range(number):
        attack.open((b"", b"POST /v1/chat", POST + b"Content-Length: 100\r\n\r\n{")[one % 3])
        if one % max(1, number // 5) == number // 10:
            attack.honest()
    attack.honest()
    return attack.end()


def burst(serving, number):
    """Let more connections wait than the process may open files, to be accepted at once."""
    attack = Attack(serving, f"{number:,} connections accepted at once")
    serving.signal(signal.SIGSTOP)
    try:
        for _ in range(number):
            attack.open()
    finally:
        serving.signal(signal.SIGCONT)
    for _ in range(3):
        attack.honest()
    return attack.end()


def slow_bodies(serving, number):
    """Send the first byte of a body and no more."""
    attack = Attack(serving, f"{number:,} bodies of which one byte comes")
    for _ in range(number):
        attack.open(POST + b"Content-Length: 5000\r\n\r\n{")
    for _ in range(3):
        time.sleep(0.2)
        attack.honest()
    return attack.end()


def huge_headers(serving, megabytes):
    """Send headers without an end on one connection, as long as the gateway takes them."""
    attack = Attack(serving, f"{megabytes:,} MB of headers on one connection")
    connection = attack.open(POST)
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    block = line * (1_000_000 // len(line))
    for _ in range(megabytes):
        if not attack.say(connection, block):
            break
    attack.honest()
    return attack.end()


def huge_bodies(serving, number, megabytes):
    """Send bodies far above the limit, which do not say their length, on many connections."""
    attack = Attack(serving, f"{number} bodies of {megabytes} MB at once")
    block = b"%x\r\n%s\r\n" % (1_000_000, b" " * 1_000_000)
    going = [attack.open(POST + b"Transfer-Encoding: chunked\r\n\r\n") for _ in range(number)]
    for _ in range(megabytes):
        going = [connection for connection in going if attack.say(connection, block)]
    attack.honest()
    return attack.end()


def trickled_headers(serving, number, seconds):
    """Send a header every tenth of a second on each connection."""
    attack = Attack(serving, f"{number:,} connections that send a header line at a time")
    going = [attack.open(POST) for _ in range(number)]
    deadline = time.monotonic() + seconds
    while going and time.monotonic() < deadline:
        going = [connection for connection in going if attack.say(connection, b"X: y\r\n")]
        attack.honest()
        time.sleep(0.1)
    return attack.end()


def clients_that_do_not_read(serving, number):
    """Ask for streams and read nothing of them."""
    attack = Attack(serving, f"{number:,} clients that do not read their streams")
    body = CHAT[:-1] + b', "stream": true}'
    for _ in range(number):
        attack.open(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body, receive_buffer=2048)
    for _ in range(3):
        time.sleep(0.2)
        attack.honest()
    return attack.end()


def pipelines(serving, number):
    """Send requests without waiting for their answers."""
    attack = Attack(serving, f"{number:,} requests on one connection without waiting")
    attack.open(HEALTH * number)
    attack.honest()
    return attack.end()


def chunk_extensions(serving, megabytes):
    """Send a chunk of one byte whose extension does not end."""
    attack = Attack(serving, f"{megabytes} MB of a chunk's extension")
    connection = attack.open(POST + b"Transfer-Encoding: chunked\r\n\r\n1;")
    for _ in range(megabytes):
        if not attack.say(connection, b"e" * 1_000_000):
            break
    attack.honest()
    return attack.end()


def all_attacks(serving, scale=1.0):
    """Run all attacks, one after another; ``scale`` 1 is the size of the reported attack."""

    def size(number):
        return max(1, round(number * scale))

    yield idle_connections(serving, size(1000))
    yield burst(serving, size(1000))
    yield slow_bodies(serving, max(25, size(200)))
    yield huge_headers(serving, size(202))
    yield huge_bodies(serving, size(20), size(50))
    yield trickled_headers(serving, size(200), 12 * scale)
    # Fewer than max_in_flight: each is a request that waits for its client.
    yield clients_that_do_not_read(serving, size(10))
    yield pipelines(serving, size(50_000))
    yield chunk_extensions(serving, size(50))
