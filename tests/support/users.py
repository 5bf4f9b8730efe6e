"""Users of a gateway who keep book of what it told them, to hold against its log."""

import asyncio
import random
from collections import Counter

import aiohttp
import msgspec

from floorline.events import Decision, Feedback

GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)
_WORDS = ["explain", "prove", "why", "does", "a", "river", "bend", "integral", "of", "the", "sky"]


class Book:
    """What users were told.

    Attributes
    ----------
    answered
        Decisions of which an answer came, at least its head.
    sent
        Scores sent for each decision, in their order.
    acknowledged
        For each decision, how many of them were out when the latest acknowledgement came.
    statuses
        Number of answers by status.
    broken
        Number of requests without a whole answer.
    """

    def __init__(self):
        self.answered = set()
        self.sent = {}
        self.acknowledged = {}
        self.acknowledgements = 0
        self.statuses = Counter()
        self.broken = 0

    def lost(self, events):
        """What the log does not say though users were told so: decisions, and feedback."""
        decisions = {event.id for event in events if isinstance(event, Decision)}
        scores = {}
        for event in events:
            if isinstance(event, Feedback):
                scores.setdefault(event.decision, []).append(event.score)
        feedback = []
        for decision, count in self.acknowledged.items():
            # What was sent after the acknowledged one may have been logged too.
            if not set(scores.get(decision, ())[-1:]) & set(self.sent[decision][count - 1 :]):
                feedback.append(decision)
        return self.answered - decisions, feedback


class Users:
    """Concurrent users, each sending one request after the other.

    Parameters
    ----------
    url
        The gateway.
    book
        Written by all of them.
    seed
        Of what they ask and think.
    """

    def __init__(self, url, book, seed):
        self.url = url
        self.book = book
        self.seed = seed
        self.enough = False

    async def run(self, number):
        """Let so many users work until there is ``enough`` or the gateway is gone."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self.url, connector=connector) as session:
            await asyncio.gather(*(self._use(session, n) for n in range(number)))

    async def _use(self, session, number):
        rng = random.Random(f"{self.seed}/{number}")
        mine = []
        while not self.enough:
            try:
                decision = await self._ask(session, rng)
                if decision is not None:
                    mine.append(decision)
                    await self._judge(session, rng.choice([decision, rng.choice(mine)]), rng)
            except GONE:
                self.book.broken += 1
                return

    async def _ask(self, session, rng):
        body = {
            "model": rng.choice(["floorline/gold", "floorline/silver"]),
            "messages": [{"role": "user", "content": " ".join(rng.choices(_WORDS, k=8))}],
            "stream": rng.random() < 0.5,
        }
        async with session.post("/v1/chat/completions", json=body) as answer:
            self.book.statuses[answer.status] += 1
            decision = answer.headers.get("x-floorline-decision")
            if answer.status == 200:
                self.book.answered.add(decision)
            data = await answer.read()
            if body["stream"] and answer.status == 200:
                assert data.endswith(b"data: [DONE]\n\n"), data[-200:]
            return decision if answer.status == 200 else None

    async def _judge(self, session, decision, rng):
        sent = self.book.sent.setdefault(decision, [])
        sent.append(round(rng.random(), 6))
        count = len(sent)
        feedback = {"id": decision, "score": sent[-1]}
        async with session.post("/v1/feedback", json=feedback) as answer:
            self.book.statuses[answer.status] += 1
            receipt = msgspec.json.decode(await answer.read())
            if answer.status == 200:
                assert receipt["decision"] == decision
                self.book.acknowledged[decision] = count
                self.book.acknowledgements += 1
