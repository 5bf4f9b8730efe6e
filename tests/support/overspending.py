"""Many calls at once against one budget, with a provider that uses all that a request allows."""

import asyncio
import collections
import json
from typing import NamedTuple

import httpx2 as httpx
import msgspec
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from tests.support.live_gateway import InThread, Live, http_server, wait_until, write_settings

PRICE = 1000.0
"""Price per million tokens of the cheaper model; the dearer one costs four times as much."""
WRITTEN, REASONING = 2.0, 1.5
"""Factors of the prices of tokens that are written to a cache for an hour, and of reasoning."""
UNLIMITED_TOKENS = 133
"""Tokens of an answer to a request that does not bound it."""


class GreedyProvider:
    """Answers with as many tokens as the request allows, and notes what it bills.

    ``failing`` is the number of calls out of ten that fail. A ``strict`` one ignores counts that
    are no whole numbers, as llama.cpp does; others read ``"100"`` as 100, as vLLM does. The
    ``dearest`` one writes every prompt to its cache for an hour, and bills answers as reasoning.
    """

    def __init__(self, *, pause=0.1, failing=0, strict=False, dearest=False):
        self.pause = pause
        self.failing = failing
        self.strict = strict
        self.dearest = dearest
        self.calls = 0
        self.billed = 0.0

    def app(self):
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request):
        chat = json.loads(await request.body())
        self.calls += 1
        await asyncio.sleep(self.pause)
        if self.calls % 10 < self.failing:
            return JSONResponse({"error": {"message": "out of order"}}, 500)
        usage, text = self._bill(chat)
        each = range(self._count(chat.get("n")) or 1)
        if chat.get("stream"):
            return StreamingResponse(
                self._events(each, text, usage), media_type="text/event-stream"
            )
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i in each
        ]
        return JSONResponse({"id": f"c-{self.calls}", "choices": choices, "usage": usage})

    def _bill(self, chat):
        asked = chat.get("max_tokens") or chat.get("max_completion_tokens")
        length = self._count(asked) or UNLIMITED_TOKENS
        # As many tokens as a tokenizer can make of the prompt: one for each byte.
        prompt = sum(len(message["content"].encode()) for message in chat["messages"])
        prompt += len(msgspec.json.encode(chat["tools"])) if "tools" in chat else 0
        output = length * (self._count(chat.get("n")) or 1)
        price = PRICE * (4 if chat["model"] == "dear" else 1)
        usage = {"prompt_tokens": prompt, "completion_tokens": output}
        written, reasoning = (WRITTEN, REASONING) if self.dearest else (1, 1)
        self.billed += (prompt * written + output * reasoning) * price / 1e6
        if self.dearest:
            usage["prompt_tokens_details"] = {
                "cache_creation_tokens": prompt,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": prompt},
            }
            usage["completion_tokens_details"] = {"reasoning_tokens": output}
        return usage, "word" * length

    def _count(self, value):
        return None if value is None or (self.strict and type(value) is not int) else int(value)

    async def _events(self, each, text, usage):
        def event(**fields):
            return b"data: " + json.dumps({"id": f"c-{self.calls}", **fields}).encode() + b"\n\n"

        for i in each:
            yield event(choices=[{"index": i, "delta": {"content": text}}])
            await asyncio.sleep(self.pause / 2)
            yield event(choices=[{"index": i, "delta": {}, "finish_reason": "stop"}])
        yield event(choices=[], usage=usage)
        yield b"data: [DONE]\n\n"


class Spent(NamedTuple):
    """Cost by the gateway's books and by the provider's bill, and the statuses of the answers."""

    books: float
    billed: float
    statuses: collections.Counter


def overspend(
    folder,
    budget,
    *,
    of="key",
    calls=60,
    failing=0,
    strict_provider=False,
    dearest=False,
    per_model=None,
    pause=0.1,
    **fields,
):
    """Send calls at once on one budget.

    ``of`` says whose budget it is and how it is spent: "key" or "sla", the key by "direct" calls to
    a model that the request names, or either by decisions that the client calls: "route" spends
    that of the SLA, "key route" that of the key.
    """
    provider = GreedyProvider(pause=pause, failing=failing, strict=strict_provider, dearest=dearest)
    served = InThread(http_server(provider.app()))
    try:
        return _overspend(folder, served.value, provider, budget, of, calls, per_model, fields)
    finally:
        served.stop()


def _overspend(folder, endpoint, provider, budget, of, calls, per_model, fields):
    models = [
        {
            "name": name,
            "endpoint": f"{endpoint}/v1",
            "input_price": price,
            "output_price": price,
            "cached_input_price": price / 10,
            "cache_write_price": price * 1.25,
            "cache_write_1h_price": price * WRITTEN if provider.dearest else None,
            "reasoning_price": price * REASONING if provider.dearest else None,
            "capabilities": ["tools"],
            # What a call is expected to cost fits into the budget; what it can cost may not.
            "typical_output_tokens": 50.0,
            "retries": 1,
            "breaker": {"failures": 1_000_000},
        }
        for name, price in (("cheap", PRICE), ("dear", 4 * PRICE))
    ]
    sla = {"name": "gold", "floor": 0.5}
    if of in ("sla", "route"):
        sla["budget"] = {"total": budget, "per_model": per_model or {}, "period": "1d"}
    text = write_settings(endpoint, models=models, slas=[sla], auth="keys")
    live = Live(text, folder)
    try:
        given = {} if of in ("sla", "route") else {"budget": budget, "period": 1e6}
        key, secret = live.gateway.store.keys.create("app", **given)
        headers = {"authorization": f"Bearer {secret}"}
        wait_until(lambda: live.http.get("/v1/models", headers=headers).status_code == 200)
        model = "cheap" if of == "direct" else "floorline/gold"
        body = {"model": model, "messages": [{"role": "user", "content": "Why?"}], **fields}
        statuses = asyncio.run(
            _send(live.url, endpoint, headers, body, calls, of.endswith("route"))
        )
        wait_until(lambda: live.gateway.admission.in_flight == 0)
        status = live.gateway.router.status("gold")
        books = status.spent if of in ("sla", "route") else budget - live.gateway.auth.left(key.id)
        return Spent(books, provider.billed, statuses)
    finally:
        live.stop()


async def _send(url, endpoint, headers, body, calls, route):
    limits = httpx.Limits(max_connections=calls)
    async with httpx.AsyncClient(timeout=60, limits=limits) as http:

        async def one():
            if route:
                return await _call_oneself(http, url, endpoint, headers, body)
            answer = await http.post(f"{url}/v1/chat/completions", json=body, headers=headers)
            return answer.status_code

        return collections.Counter(await asyncio.gather(*(one() for _ in range(calls))))


async def _call_oneself(http, url, endpoint, headers, body):
    """Ask which model serves, call it, and report what it cost."""
    routed = await http.post(f"{url}/v1/route", json=body, headers=headers)
    if routed.status_code != 200:
        return routed.status_code
    decision = routed.json()
    chat = {**body, "model": decision["model"], "stream": False}
    answer = await http.post(f"{endpoint}/v1/chat/completions", json=chat)
    outcome = {"id": decision["id"], "cost": 0.0, "error": "failed"}
    if answer.status_code == 200:
        price = PRICE * (4 if decision["model"] == "dear" else 1)
        outcome = {"id": decision["id"], "cost": sum(answer.json()["usage"].values()) * price / 1e6}
    reported = await http.post(f"{url}/v1/outcomes", json=outcome, headers=headers)
    assert reported.status_code == 200, reported.text
    return answer.status_code
