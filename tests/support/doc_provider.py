"""A provider on loopback that has every model that a page names."""

import itertools

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_TEXT = "CRDTs are data types whose replicas can be merged in any order."


class DocProvider:
    """Answers chat requests of OpenAI's dialect with a fixed text.

    Parameters
    ----------
    models
        Names that its list of models has.
    """

    def __init__(self, models):
        self.models = models
        self._numbers = itertools.count(1)

    def app(self):
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/models", self._list),
                Route("/v1/chat/completions", self._answer, methods=["POST"]),
            ]
        )

    async def _list(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name} for name in self.models]})

    async def _answer(self, request: Request) -> Response:
        asked = await request.json()
        return JSONResponse(
            {
                "id": f"chatcmpl-{next(self._numbers)}",
                "object": "chat.completion",
                "model": asked["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": _TEXT},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 9, "completion_tokens": 14, "total_tokens": 23},
            }
        )
