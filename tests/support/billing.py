"""A provider that sends its counts in every known shape, and the bill of each of its answers.

The bill follows from the true counts alone; what the gateway books follows from what it could read
of the answer. Both must be equal to the cent.
"""

import asyncio
import contextlib
import json
import random
from fractions import Fraction
from typing import NamedTuple

import aiohttp

from floorline.events import Outcome
from tests.support.faulty_provider import FaultyProvider
from tests.support.live_gateway import InThread, Live, wait_until, write_settings
from tests.support.streams import leave_after
from tests.support.usage_shapes import (
    BATCH_FACTOR,
    CALL_PRICE,
    IMAGE_PRICE,
    PRICES,
    PRIORITY_FACTOR,
    SHAPES,
    Counts,
)

_CLIENTS = 12
_HALF_A_CENT = Fraction(1, 200)
_IMAGE = "data:image/png;base64,iVBORw0KGgo="

PLACES = ("after the choices", "with the last choice", "with every chunk", "in two parts")
ODD = {
    "": "",
    "minus infinity": '"logprobs_sum": -Infinity',
    "a lone surrogate": r'"note": "\ud83e"',
    "an empty error": '"error": ""',
    "an error of null": '"error": {"message": null}',
    "depth": '"deep": ' + "[" * 2_000 + "]" * 2_000,
}
BEFORE = ("", ": keepalive\n\n", 'data: {"type": "ping"}\n\n', "\ufeff", "event: message\n")
ENDINGS = ("done", "done, then late", "done, then never", "done, then a reset", "no done", "cut")
CLIENTS = ("reads to the end", "leaves after the end", "leaves after the last choice")


class Case(NamedTuple):
    """One answer: its true counts, and how it is sent and received."""

    number: int
    counts: Counts
    shape: str
    stream: bool
    place: str
    odd: str
    before: str
    ending: str
    client: str
    asks: bool
    crlf: bool

    @property
    def bill(self):
        """What the provider bills, exactly."""
        return SHAPES[self.shape].bill(self.counts)

    @property
    def about(self):
        return {"id": f"bill-{self.number}", "object": "chat.completion", "model": "m"}

    @property
    def words(self):
        """Text of the visible part of the answer, four characters to a token."""
        return ["abc "] * (self.counts.output - self.counts.reasoning)

    def whole(self):
        """Body of the answer."""
        usage = SHAPES[self.shape].write(self.counts)
        message = {"role": "assistant", "content": "".join(self.words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", **usage.of_choice}
        return self._json({"choices": [choice], **usage.fields})

    def events(self):
        """Events of the stream; those after the last choice are in a list of their own."""
        usage, words = SHAPES[self.shape].write(self.counts), self.words
        half = len(words) // 2
        chunks = [{"role": "assistant", "content": ""}]
        chunks += [{"content": "".join(part)} for part in (words[:half], words[half:]) if part]
        parts = [{"index": 0, "delta": delta, "finish_reason": None} for delta in chunks]
        last = {"index": 0, "delta": {}, "finish_reason": "stop", **usage.of_choice}
        sent = [{"choices": [part]} for part in parts]
        end, after = {"choices": [last]}, []
        fields = usage.fields
        if self.place == "with the last choice" or usage.of_choice:
            end |= fields
        elif self.place == "with every chunk":
            sent = [one | _so_far(fields) for one in sent]
            end |= fields
            after = [{"choices": [], **fields}]
        elif self.place == "in two parts" and self.shape.startswith("Anthropic,"):
            # As Anthropic does now: the counts at the end repeat those at the start, without parts.
            start, rest = dict(fields["usage"]), dict(fields["usage"])
            start["output_tokens"] = 1
            rest.pop("cache_creation", None)
            rest.pop("service_tier", None)
            sent[0] |= {"usage": start}
            after = [{"choices": [], "usage": rest}]
        elif self.place == "in two parts" and self.shape == "Anthropic":
            start, rest = dict(fields["usage"]), dict(fields["usage"])
            start["output_tokens"], rest = 0, {"output_tokens": rest["output_tokens"]}
            sent[0] |= {"usage": start}
            after = [{"choices": [], "usage": rest}]
        else:
            after = [{"choices": [], **fields}]
        begun = [self._event(one) for one in [*sent, end]]
        return [self.before.encode(), *begun], [self._event(one) for one in after]

    def _json(self, fields):
        text = json.dumps({**self.about, **fields})
        odd = ODD[self.odd]
        return (f"{text[:-1]}, {odd}}}" if odd else text).encode()

    def _event(self, fields):
        end = b"\r\n\r\n" if self.crlf else b"\n\n"
        return b"data: " + self._json(fields) + end


def _so_far(fields):
    """A usage of which the answer has hardly begun."""
    usage = fields.get("usage")
    if isinstance(usage, dict) and {"prompt_tokens", "completion_tokens"} <= usage.keys():
        return {"usage": {"prompt_tokens": usage["prompt_tokens"], "completion_tokens": 1}}
    return {"usage": None}


def cases(count, seed=7):
    """Draw answers: all shapes in turn, everything else at random."""
    rng, names = random.Random(seed), list(SHAPES)
    for number in range(count):
        prompt, visible = rng.randint(40, 400), rng.randint(2, 300)
        cached = rng.choice([0, prompt // 2])
        written = rng.choice([0, prompt // 4])
        reasoning = rng.choice([0, 0, rng.randint(1, 900)])
        shape = names[number % len(names)]
        told = SHAPES[shape].told
        counts = Counts(
            prompt,
            visible + reasoning,
            cached,
            written,
            rng.choice([0, written // 3]),
            reasoning,
            rng.choice([0, prompt // 8]) if "heard" in told else 0,
            rng.choice([0, visible // 2]) if "spoken" in told else 0,
            rng.choice([0, 0, 2]),
        )
        stream = rng.random() < 0.7
        ending = rng.choice(ENDINGS)
        client = rng.choice(CLIENTS)
        if client == "leaves after the end" and not ending.startswith("done"):
            client = CLIENTS[0]
        yield Case(
            number,
            counts,
            shape,
            stream,
            rng.choice(PLACES),
            rng.choice(list(ODD)),
            rng.choice(BEFORE),
            ending,
            client if stream else CLIENTS[0],
            rng.random() < 0.5,
            rng.random() < 0.2,
        )


class BillingProvider(FaultyProvider):
    """Answers the request of user n with case n."""

    def __init__(self, given):
        super().__init__()
        self.cases = {str(case.number): case for case in given}

    async def _sound(self, connection):
        self.requests.clear()
        case = self.cases[connection.request["body"]["user"]]
        if case.stream:
            await self._stream(connection, case)
        else:
            body = case.whole()
            await connection.head(Content_Length=len(body))
            await connection.write(body)

    async def _stream(self, connection, case):
        begun, after = case.events()
        await connection.head(200, "text/event-stream", Transfer_Encoding="chunked")
        for piece in begun:
            if piece:
                await connection.piece(piece)
        if case.client == "leaves after the last choice":
            # The usage comes when the client has left.
            await asyncio.sleep(0.05)
        if case.ending.startswith("done"):
            after = [*after, b"data: [DONE]\n\n"]
        if after:
            await connection.piece(b"".join(after))
        if case.ending == "done, then late":
            await asyncio.sleep(0.2)
        if case.ending == "done, then never":
            await connection.gone()
        elif case.ending == "done, then a reset":
            with contextlib.suppress(OSError):
                # The client may have closed it before.
                connection.reset()
        elif case.ending == "cut":
            connection.close()
        else:
            await connection.piece(b"")


class Booked(NamedTuple):
    """A case, and the cost that the gateway booked; None if it booked none."""

    case: Case
    cost: float | None
    estimated: bool
    error: str | None
    billed: bool = False

    @property
    def difference(self):
        return float(abs(Fraction(self.cost or 0.0) - self.case.bill))

    @property
    def equal(self):
        """Whether the booked cost is the bill, to the cent."""
        return self.cost is not None and abs(Fraction(self.cost) - self.case.bill) < _HALF_A_CENT


async def _ask(url, case, session):
    # Four characters to a token of the prompt.
    content = "Why " * case.counts.prompt
    parts = [{"type": "image_url", "image_url": {"url": _IMAGE}}] * case.counts.images
    if case.counts.heard or case.counts.spoken:
        parts += [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    if parts:
        content = [{"type": "text", "text": content}, *parts]
    body = {
        "model": "floorline/gold",
        "messages": [{"role": "user", "content": content}],
        "user": str(case.number),
    }
    if case.stream:
        body["stream"] = True
        if case.asks:
            body["stream_options"] = {"include_usage": True}
    if case.client == "reads to the end":
        with contextlib.suppress(aiohttp.ClientError):
            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                await answer.read()
    else:
        mark = b"[DONE]" if case.client == "leaves after the end" else b'"finish_reason": "stop"'
        await leave_after(url, mark, body)


async def _ask_all(url, given):
    waiting = iter(given)

    async def client():
        for case in waiting:
            await _ask(url, case, session)

    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        await asyncio.gather(*(client() for _ in range(_CLIENTS)))


def book(given, folder):
    """Let a gateway serve all cases; return what it booked for each."""
    given = list(given)
    provider = InThread(BillingProvider(given))
    model = {
        "name": "m",
        "endpoint": provider.value.base_url,
        **PRICES,
        "image_price": float(IMAGE_PRICE),
        "call_price": float(CALL_PRICE),
        "batch_factor": float(BATCH_FACTOR),
        "priority_factor": float(PRIORITY_FACTOR),
        "capabilities": ["vision", "audio"],
        "retries": 0,
        "breaker": {"failures": 1_000_000},
    }
    live = Live(write_settings("http://127.0.0.1:1", models=[model]), folder)
    try:
        asyncio.run(_ask_all(live.url, given))
        wait_until(lambda: live.gateway.admission.in_flight == 0)
        live.call(live.gateway.store.flush)
        outcomes = [one for one in live.gateway.store.read() if isinstance(one, Outcome)]
    finally:
        live.stop()
        provider.stop()
    found = {outcome.completion: outcome for outcome in outcomes}
    booked = []
    for case in given:
        one = found.get(f"bill-{case.number}")
        booked.append(
            Booked(case, None, False, "no outcome")
            if one is None
            else Booked(case, one.cost, one.estimated, one.error, one.billed)
        )
    return booked
