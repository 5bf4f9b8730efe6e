"""A provider whose models answer well or badly, and whose judge says which."""

import hashlib
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from floorline.events import Judgement
from tests.support.live_gateway import wait_until

QUALITY = {"small": 0.6, "large": 1.0}
JUDGE = {"name": "strict", "model": "judge", "rate": 1.0, "boost": 1, "budget": {"total": 10}}

_ENDLESS_TOKENS = 20_000
"""Length of an answer without a bound, in tokens: several times what the gateway reserves."""


def is_good(model, question, quality):
    """Whether a model's answer to a question is good; the same each time."""
    digest = hashlib.blake2b(f"{model}\n{question}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64 < quality[model]


class JudgingProvider:
    """Answers chat requests of OpenAI's dialect; the model ``judge`` grades what it is shown.

    Parameters
    ----------
    quality
        Share of the questions that each model answers well, by name.
    says
        Returns the reply of the judge to the user's text that it is shown.

    Attributes
    ----------
    refuses : dict of str to tuple of str
        Fields that a model refuses with the status 400, by its name.
    endless : bool
        Whether answers of other models are as long as the request allows, and
        ``_ENDLESS_TOKENS`` long without a bound.
    """

    def __init__(self, quality, says=None):
        self.quality = quality
        self.refuses, self.endless = {}, False
        self.says = self.grade if says is None else says
        self.judged, self.asked = [], []

    def app(self):
        """Return the ASGI application."""
        route = Route("/v1/chat/completions", self._answer, methods=["POST"])
        return Starlette(routes=[route])

    @staticmethod
    def grade(shown):
        """Grade as the mark in the answer says."""
        return json.dumps({"reason": "it says so", "score": float("[good]" in shown)})

    async def _answer(self, request: Request) -> Response:
        asked = await request.json()
        model, question = asked["model"], asked["messages"][-1]["content"]
        for name in self.refuses.get(model, ()):
            if name in asked:
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                error = {"message": text, "type": "invalid_request_error", "param": name}
                return JSONResponse({"error": error}, 400)
        if model == "judge":
            self.judged.append(asked)
            text = self.says(question)
        else:
            self.asked.append(asked)
            good = is_good(model, question, self.quality)
            text = f"An answer. [{'good' if good else 'bad'}]"
            if self.endless:
                bounds = (asked.get(name) for name in ("max_tokens", "max_completion_tokens"))
                most = next((bound for bound in bounds if bound is not None), _ENDLESS_TOKENS)
                text = text.ljust(4 * most - 4, "!")
        if asked.get("stream"):
            return StreamingResponse(self._stream(model, text), media_type="text/event-stream")
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        # Four characters a token, as the gateway takes to be possible.
        read, wrote = len(json.dumps(asked["messages"])) // 4, len(text) // 4 + 1
        usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
        about = {"id": "c", "object": "chat.completion", "model": model}
        return JSONResponse({**about, "choices": [choice], "usage": usage})

    async def _stream(self, model, text):
        about = {"id": "c", "object": "chat.completion.chunk", "model": model}
        for piece in [text[:4], text[4:]]:
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            yield f"data: {json.dumps({**about, 'choices': [choice]})}\n\n"
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield f"data: {json.dumps({**about, 'choices': [choice]})}\n\n"
        yield "data: [DONE]\n\n"


def rest(live):
    """Wait until no request runs and nothing is being judged."""
    wait_until(lambda: live.gateway.admission.in_flight == 0)
    live.call(live.gateway.judging.idle)


def log_of(live):
    return live.call(lambda: list(live.gateway.router.log.read()))


def judgements(live):
    return [event for event in log_of(live) if isinstance(event, Judgement)]


def judged_configuration(endpoint, *, max_output_tokens=None, more=(), **changed):
    """Text of a configuration of the models of ``JudgingProvider`` and of more ones.

    ``changed`` has further sections.
    """
    models = [
        {
            "name": name,
            "endpoint": endpoint,
            "input_price": price,
            "output_price": price,
            "capabilities": ["json", "tools"],
            "retries": 0,
            "max_output_tokens": max_output_tokens,
        }
        for name, price in (("small", 1.0), ("large", 10.0), ("judge", 5.0))
    ]
    settings = {
        "models": [*models, *more],
        "slas": [{"name": "gold", "floor": 0.8, "models": ["small", "large"]}],
        "auth": "none",
        "store": {"url": "sqlite:///log.db"},
        **changed,
    }
    return json.dumps(settings)
