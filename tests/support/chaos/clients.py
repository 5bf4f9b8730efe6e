"""Clients behind the balancer, and their journal of what they were told."""

import asyncio
import collections
import contextlib
import json
import random
import time
from typing import NamedTuple

import aiohttp

GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)
_WORDS = ["explain", "prove", "why", "does", "a", "river", "bend", "integral", "of", "the", "sky"]
_SLAS = ["gold", "silver", "metered"]
_CLIENT_SECONDS = 60.0
"""Time after which a client gives up."""
_LATEST = 200
"""Decisions that a client may still judge."""
NOT_HERE = "on the disk of the server that answered"
"""In the answer to feedback whose decision is not in the log yet: it can be sent again."""
_AGAIN_SECONDS = 60.0
"""Time within which such feedback must be taken, after everything came to rest."""


class Failure(NamedTuple):
    """A request without a good answer.

    Attributes
    ----------
    path, sla
        What was asked for, and under which SLA; "" for feedback.
    began, ended
        When, in seconds since the clients began.
    status, code
        Status of the answer and code in it; 0 and the error's name if there was none.
    """

    path: str
    sla: str
    began: float
    ended: float
    status: int
    code: str


class Journal:
    """What clients were told, also written to a file line by line.

    Attributes
    ----------
    answered
        Model that answered, by decision.
    whole
        Decisions whose answer came to its end.
    sent
        Scores by decision, in their order.
    acknowledged
        Pairs of decision and score that a server acknowledged.
    statuses
        Number of answers by path and status.
    deferred
        Pairs of decision and score of feedback that is to be sent again.
    failures
        Requests without a good answer.
    latencies
        Seconds to the end of each good chat answer.
    """

    def __init__(self, path):
        self._file = path.open("w")
        self.answered = {}
        self.whole = set()
        self.sent = collections.defaultdict(list)
        self.acknowledged = []
        self.statuses = collections.Counter()
        self.deferred = []
        self.failures = []
        self.latencies = []

    def write(self, kind, **fields):
        self._file.write(json.dumps({"kind": kind, **fields}) + "\n")

    def close(self):
        self._file.close()


class Clients:
    """Clients that ask at a rate, judge what they got, and sometimes judge it again.

    Parameters
    ----------
    url
        The balancer.
    journal
        Written by all of them.
    seed
        Of what they ask and how they judge.
    rate
        Requests a second of all together.
    """

    def __init__(self, url, journal, seed, rate):
        self.url, self.journal = url, journal
        self._rng = random.Random(f"{seed}/clients")
        self._rate = rate
        self.began = time.monotonic()
        self._known = collections.deque(maxlen=_LATEST)
        self._open = set()
        self._number = 0
        self._session = None

    def now(self):
        """Seconds since the clients began."""
        return time.monotonic() - self.began

    def begin(self):
        """Count the seconds from now."""
        self.began = time.monotonic()

    async def run(self):
        """Ask until the task is cancelled; open requests go on."""
        timeout = aiohttp.ClientTimeout(total=_CLIENT_SECONDS)
        # A connection for each request, so that the balancer chooses for each.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(self.url, connector=connector, timeout=timeout)
        due = time.monotonic()
        while True:
            due += self._rng.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # What a slow machine did not send is not sent at once.
            due = max(due, time.monotonic() - 1.0)
            task = asyncio.create_task(self._use(random.Random(self._rng.random())))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def finish(self):
        """Wait for the open requests."""
        if self._open:
            await asyncio.wait(self._open)

    async def close(self):
        """Wait for the open requests, and close the connections."""
        await self.finish()
        if self._session is not None:
            await self._session.close()

    async def _use(self, rng):
        decision = await self._ask(rng)
        if decision is None:
            return
        self._known.append(decision)
        if rng.random() < 0.8:
            await asyncio.sleep(rng.expovariate(1.0))
            await self._judge(decision, rng)
        if rng.random() < 0.1:
            await self._judge(rng.choice(self._known), rng)

    async def _ask(self, rng):
        self._number += 1
        stream = rng.random() < 0.5
        text = f"{self._number}: {' '.join(rng.choices(_WORDS, k=rng.randint(4, 30)))}"
        sla = rng.choice(_SLAS)
        body = {
            "model": f"floorline/{sla}",
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
            "max_tokens": 400,
        }
        decision, began = None, self.now()
        path = "/v1/chat/completions"
        with self._failing(path, sla, began):
            async with self._session.post(path, json=body) as answer:
                self.journal.statuses[path, answer.status] += 1
                if answer.status != 200:
                    self._refused(path, sla, began, answer.status, await answer.read())
                    return None
                decision = answer.headers["x-floorline-decision"]
                model = answer.headers["x-floorline-model"]
                self.journal.answered[decision] = model
                data = await answer.read()
                ended = data.endswith(b"data: [DONE]\n\n") if stream else b'"choices"' in data
                if ended:
                    self.journal.whole.add(decision)
                    self.journal.latencies.append(self.now() - began)
                else:
                    self._refused(path, sla, began, 0, data[-300:])
                self.journal.write("answer", at=began, decision=decision, model=model, whole=ended)
        return decision

    async def _judge(self, decision, rng):
        # No two labels of a decision have one score, so that each can be told in the log.
        sent = self.journal.sent[decision]
        score = round(rng.random() * 0.999, 6) + len(sent) * 1e-9
        sent.append(score)
        await self._send(decision, score)

    async def _send(self, decision, score):
        path, began = "/v1/feedback", self.now()
        with self._failing(path, "", began):
            body = {"decision": decision, "score": score}
            async with self._session.post(path, json=body) as answer:
                self.journal.statuses[path, answer.status] += 1
                data = await answer.read()
                if answer.status != 200:
                    self._refused(path, "", began, answer.status, data)
                    if NOT_HERE in data.decode():
                        self.journal.deferred.append((decision, score))
                    return
                assert json.loads(data)["decision"] == decision
                self.journal.acknowledged.append((decision, score))
                self.journal.write("acknowledged", at=began, decision=decision, score=score)

    async def send_again(self):
        """Send the feedback whose decisions were not in the log; return what is not taken."""
        left, deadline = self.journal.deferred, time.monotonic() + _AGAIN_SECONDS
        while left and time.monotonic() < deadline:
            self.journal.deferred = []
            known = len(self.journal.failures)
            for decision, score in left:
                await self._send(decision, score)
            if len(self.journal.failures) > known + len(self.journal.deferred):
                return self.journal.failures[known:]
            left = self.journal.deferred
        return left

    @contextlib.contextmanager
    def _failing(self, path, sla, began):
        try:
            yield
        except GONE as error:
            self._fail(Failure(path, sla, began, self.now(), 0, type(error).__name__))

    def _refused(self, path, sla, began, status, data):
        try:
            error = json.loads(data)["error"]
            code = f"{error['code']}: {error['message']}"
        except (ValueError, KeyError, TypeError):
            code = data.decode(errors="replace")
        self._fail(Failure(path, sla, began, self.now(), status, code))

    def _fail(self, failure):
        self.journal.failures.append(failure)
        self.journal.write("failure", **failure._asdict())
