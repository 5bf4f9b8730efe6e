"""A provider whose models answer well or badly, and whose judge says which."""

import hashlib
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


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
    """

    def __init__(self, quality, says=None):
        self.quality = quality
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
        if model == "judge":
            self.judged.append(asked)
            text = self.says(question)
        else:
            self.asked.append(asked)
            good = is_good(model, question, self.quality)
            text = f"An answer. [{'good' if good else 'bad'}]"
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
