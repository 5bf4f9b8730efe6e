"""Mutated requests to every endpoint, with a key that may do everything."""

import asyncio
import contextlib
import copy
import json
import random
from collections import Counter

BIG = "1" + "0" * 400
RAW = [
    BIG,
    "-" + BIG,
    "1e400",
    "NaN",
    "-Infinity",
    str(2**53),
    str(2**63),
    str(2**64),
    str(-(2**63) - 1),
    "1e308",
    "5e-324",
    "-0.0",
    '"\\ud800"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\uffff\\u202e"',
    "[" * 2000,
    "[" * 300 + "]" * 300,
    '{"a":' * 300 + "1" + "}" * 300,
    "null",
    "true",
    '""',
    "[]",
    "{}",
    "[{}]",
    "[[[]]]",
    "0",
    "-1",
    "1.5",
    '"${HOME}"',
    '"' + "x" * 300 + '"',
    '"' + "x" * 9000 + '"',
    "[" + "1," * 3000 + "1]",
]
"""JSON, or nearly, that is put in place of values."""
TEXTS = ["Why is the sky blue?", "2 + 2", "é" * 50, "\u202ehello", "x" * 3000, "", " ", "🙂" * 20]
SLAS = ["floorline/gold", "floorline/silver", "floorline/auto"]
BAD_HTTP = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"POST /v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    b"GET /v1/slas HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /v1/slas HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"GET " + b"/" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    b"GET /v1/slas HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
]
PATHS = [
    "/v1/models", "/v1/models/sim-nano", "/v1/models/%00", "/v1/models/%ff%fe", "/v1/slas",
    "/v1/slas/gold", "/v1/slas/gold@x", "/v1/slas/%ed%a0%80", "/healthz", "/readyz", "/metrics",
    "/openapi.json", "/v1/nothing", "//", "/v1/zoo/models", "/%2e%2e/etc/passwd", "/v1/slas/?a=%",
]  # fmt: skip


class Fuzzing:
    """What came of it.

    Attributes
    ----------
    statuses
        Answers by status; 0 where the gateway closed the connection.
    reached
        Requests that passed the checks of HTTP and JSON and were handled by their endpoint.
    upstream
        Answers that say that a provider failed, which mutated models make it do.
    failures
        Requests that were answered by another 5xx, or not at all.
    """

    def __init__(self):
        self.requests = 0
        self.reached = 0
        self.upstream = 0
        self.statuses = Counter()
        self.failures = []


class Requests:
    """A seeded source of requests.

    Parameters
    ----------
    seed
        Of all choices.
    provider
        Base URL of a provider for models that are added.
    """

    def __init__(self, seed, provider):
        self._rng = random.Random(seed)
        self._provider = provider
        self.completions = ["chatcmpl-1"]
        self.decisions = ["d-1"]

    def next(self):
        """Make a request: its name, method, path, headers and body."""
        rng = self._rng
        name = rng.choices(
            ["chat", "route", "feedback", "batch", "outcome", "add", "remove", "get"],
            [30, 20, 15, 5, 15, 8, 3, 6],
        )[0]
        if name == "get":
            method = rng.choices(
                ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"], [9, 1, 1, 1, 1, 1]
            )[0]
            return name, method, rng.choice(PATHS), self._headers(), b""
        if name == "remove":
            return name, "DELETE", f"/v1/zoo/models/fz-{rng.randrange(12)}", {}, b""
        body = getattr(self, f"_{name}")()
        path = {
            "chat": "/v1/chat/completions",
            "route": "/v1/route",
            "add": "/v1/zoo/models",
            "outcome": "/v1/outcomes",
        }.get(name, "/v1/feedback")
        headers = self._headers() if name in ("chat", "route") else {}
        return name, "POST", path, headers, self._written(body)

    def _chat(self):
        rng = self._rng
        body = {
            "model": rng.choice([*SLAS, *SLAS, "sim-nano", "fz-1"]),
            "messages": [
                {"role": rng.choice(["system", "user", "assistant"]), "content": rng.choice(TEXTS)}
                for _ in range(rng.randint(1, 3))
            ],
        }
        body["messages"].append({"role": "user", "content": rng.choice(TEXTS)})
        options = {
            "stream": rng.random() < 0.3,
            "stream_options": {"include_usage": True},
            "max_tokens": rng.choice([1, 100, 4000]),
            "max_completion_tokens": 50,
            "temperature": rng.random(),
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "response_format": {"type": "json_object"},
            "n": 1,
            "user": "someone",
            "floorline": {
                "floor": rng.random(),
                "session": f"s-{rng.randrange(50)}",
                "exclude": [rng.choice(["sim-nano", "sim-titan"])],
            },
        }
        for field in rng.sample(sorted(options), rng.randint(0, 4)):
            body[field] = options[field]
        return body

    def _route(self):
        return self._chat() | {"model": self._rng.choice(SLAS)}

    def _feedback(self):
        rng = self._rng
        body = {"id": rng.choice([*self.completions[-50:], *self.decisions[-50:]])}
        body |= rng.choice([{"satisfied": rng.random() < 0.7}, {"score": rng.random()}])
        if rng.random() < 0.3:
            body |= {"source": "judge", "idempotency": f"k-{rng.randrange(500)}"}
        return body

    def _batch(self):
        return {"feedback": [self._feedback() for _ in range(self._rng.randint(1, 5))]}

    def _outcome(self):
        rng = self._rng
        return {
            "id": rng.choice(self.decisions[-50:]),
            "cost": rng.random() / 100,
            "input_tokens": rng.randrange(1000),
            "output_tokens": rng.randrange(1000),
            "latency": rng.random() * 3,
            **({"error": "it failed"} if rng.random() < 0.1 else {}),
            **({"completion": f"c-{rng.randrange(10**6)}"} if rng.random() < 0.3 else {}),
        }

    def _add(self):
        rng = self._rng
        return {
            "name": f"fz-{rng.randrange(12)}",
            "model": "sim-nano",
            "endpoint": f"{self._provider}/v1",
            "input_price": rng.random(),
            "output_price": rng.random(),
            "capabilities": ["tools", "json"],
            "timeouts": {"total": "60s"},
            "breaker": {"failures": 5},
        }

    def _headers(self):
        rng = self._rng
        headers = {}
        if rng.random() < 0.15:
            headers["X-Floorline-Floor"] = rng.choice(["0.9", "nan", "-1", "1e400", "", "\xff"])
        if rng.random() < 0.1:
            headers["X-Floorline-Session"] = rng.choice(["s-1", "s" * 300, "\xff\xfe", "a\tb"])
        if rng.random() < 0.1:
            headers["X-Floorline-Exclude"] = rng.choice(["sim-nano", "," * 300, "nobody,sim-titan"])
        if rng.random() < 0.05:
            headers["traceparent"] = rng.choice(["00-" + "1" * 32 + "-" + "1" * 16 + "-01", "x"])
        return headers

    def _written(self, body):
        """Write a body, in most cases with one mutation."""
        rng = self._rng
        how = rng.random()
        if how < 0.45:
            return json.dumps(body).encode()
        if how < 0.85:
            return self._mutated(body)
        text = json.dumps(body).encode()
        at = rng.randrange(len(text))
        return rng.choice(
            [
                text[:at],
                text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :],
                text[:at] + text[at:] * 2,
                b"\xef\xbb\xbf" + text,
                text.decode().encode("utf-16"),
                text[:-1] + b", " + text[1:],
                rng.choice(RAW).encode(),
                text + b" " * 5000,
            ]
        )

    def _mutated(self, body):
        rng = self._rng
        body = copy.deepcopy(body)
        place, key = body, rng.choice(list(body))
        while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
            place = place[key]
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        how = rng.random()
        if how < 0.75:
            place[key] = "\0RAW"
        elif how < 0.85 and isinstance(place, dict):
            del place[key]
        elif isinstance(place, dict):
            place[rng.choice(["extra", "seed", "\0", "a" * 300])] = "\0RAW"
        return json.dumps(body).replace('"\\u0000RAW"', rng.choice(RAW)).encode()


async def fuzz(url, secret, provider, number, *, seed=0, clients=8, patience=30.0):
    """Send so many requests; what came of it."""
    found = Fuzzing()
    host, _, port = url.removeprefix("http://").partition(":")
    left = iter(range(number))

    async def client(which):
        requests = Requests(f"{seed}-{which}", provider)
        rng = random.Random(f"http-{seed}-{which}")
        connection = None
        for _ in left:
            found.requests += 1
            if rng.random() < 0.02:
                await _send_bad(host, int(port), rng.choice(BAD_HTTP), found, patience)
                continue
            name, method, path, headers, body = requests.next()
            if connection is None:
                connection = await asyncio.open_connection(host, int(port), limit=2**24)
            lines = [
                f"{method} {path} HTTP/1.1",
                "Host: localhost",
                f"Authorization: Bearer {secret}",
            ]
            lines += [f"{key}: {value}" for key, value in headers.items()]
            if body or method in ("POST", "PUT"):
                lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
            data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
            try:
                connection[1].write(data)
                status, answered, text = await asyncio.wait_for(
                    _answer(connection[0], head=method == "HEAD"), patience
                )
            except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
                found.failures.append((name, type(error).__name__, data[:2000]))
                status, answered, text = 0, {}, b""
            found.statuses[status] += 1
            _judge(found, name, data, status, text)
            if status == 200:
                _remember(requests, name, answered, text)
            if status == 0 or answered.get("connection") == "close":
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    await asyncio.gather(*[client(which) for which in range(clients)])
    return found


def _judge(found, name, data, status, text):
    code = None
    if status >= 400:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            code = json.loads(text)["error"]["code"]
    if status >= 500:
        if str(code).startswith("upstream_"):
            found.upstream += 1
        else:
            found.failures.append((name, status, data[:2000], text[:500]))
    found.reached += (
        status > 0 and status not in (401, 403, 405, 408, 413, 414, 415, 431)
        and code not in ("invalid_body", "invalid_http") and not (status == 404 and name == "get")
    )  # fmt: skip


def _remember(requests, name, headers, text):
    if name == "chat" and "x-floorline-decision" in headers:
        requests.decisions.append(headers["x-floorline-decision"])
        with contextlib.suppress(ValueError, KeyError):
            requests.completions.append(json.loads(text)["id"])
    elif name == "route":
        requests.decisions.append(json.loads(text)["id"])


async def _send_bad(host, port, data, found, patience):
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        writer.write_eof()
        status, _, text = await asyncio.wait_for(_answer(reader), patience)
    except (asyncio.IncompleteReadError, ConnectionError):
        # Some of it is no request, and is answered by closing.
        status, text = 0, b""
    finally:
        writer.close()
    found.statuses[status] += 1
    _judge(found, "bad http", data, status, text)


async def _answer(reader, *, head=False):
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    if head or status in (204, 304):
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        text = b""
        while size := int(await reader.readline(), 16):
            text += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return status, headers, text
    return status, headers, await reader.readexactly(int(headers.get("content-length", 0)))
