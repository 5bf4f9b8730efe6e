"""The stand-in for providers: answers of four simulated models on the loopback address.

Whether an answer would satisfy its user is drawn once for each prompt and model, so that simulated
users judge the answer that they were given. The model ``relay`` can be made to fail.
"""

import asyncio
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from floorline.datasets.simulated import SimulatedModel, SimulatedZoo
from floorline.demo.fake_provider import FakeProvider

ZOO = SimulatedZoo(
    9000,
    seed=4,
    models=[
        SimulatedModel("swift", 0.1, 0.4, 0.3, first_token=0.15, tokens_per_second=210),
        SimulatedModel("relay", 0.25, 1.0, 0.9, first_token=0.2, tokens_per_second=150),
        SimulatedModel("steady", 0.8, 3.2, 1.6, first_token=0.3, tokens_per_second=110),
        SimulatedModel("summit", 4.0, 16.0, 2.6, first_token=0.6, tokens_per_second=50),
    ],
)
"""Models from the cheapest to the dearest; their prices are in USD per million tokens."""
DRAWN = FakeProvider(ZOO)
"""What a model answers to a prompt: ``DRAWN.answer(prompt, model)``."""
CACHED_SHARE = 0.75
"""Part of the prompt of a later turn that the provider reads from its cache."""
_SECONDS = 0.02
"""Real seconds per simulated second."""
_PIECES = 8
"""Number of pieces of a streamed answer."""


class ScriptedProvider:
    """Serves the zoo in OpenAI's dialect.

    Attributes
    ----------
    failing
        Names of the models whose calls fail with status 503.
    """

    def __init__(self):
        self.failing = set()
        self.calls = 0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": m.name} for m in ZOO.models]})

    async def _complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if body["model"] in self.failing:
            return JSONResponse({"error": {"message": "The server is overloaded"}}, 503)
        self.calls += 1
        drawn = DRAWN.answer(str(body["messages"][-1]["content"]), body["model"])
        turns = len(body["messages"])
        prompt = drawn.tokens_in * turns
        written = min(drawn.tokens_out, body.get("max_tokens") or drawn.tokens_out)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": int(CACHED_SHARE * prompt * (turns > 1))},
        }
        about = {"id": f"chatcmpl-{self.calls}", "created": 0, "model": body["model"]}
        text = f"This answer is simulated: {body['model']} wrote {written} tokens."
        pause = drawn.latency * _SECONDS
        if body.get("stream"):
            chunks = _chunks(about, text, usage)
            return StreamingResponse(_events(chunks, pause), media_type="text/event-stream")
        await asyncio.sleep(pause)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(
            about | {"object": "chat.completion", "choices": [choice], "usage": usage}
        )


def _chunks(about, text, usage):
    about = about | {"object": "chat.completion.chunk"}
    size = len(text) // _PIECES + 1
    for start in range(0, len(text), size):
        delta = {"role": "assistant", "content": text[start : start + size]}
        yield about | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield about | {"choices": [], "usage": usage}


async def _events(chunks, pause):
    for chunk in chunks:
        await asyncio.sleep(pause / _PIECES)
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"
