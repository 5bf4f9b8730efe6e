"""The ASGI application: which path does what."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from floorline.errors import FloorlineError
from floorline.gateway.api.catalog import CatalogApi
from floorline.gateway.api.chat import ChatEndpoint
from floorline.gateway.api.feedback import FeedbackApi
from floorline.gateway.api.models_admin import ZooApi
from floorline.gateway.api.openapi import document
from floorline.gateway.api.responses import reply
from floorline.gateway.api.route import RouteApi
from floorline.gateway.errors import ApiError, api_error, unexpected
from floorline.gateway.service import Gateway

CHAT = "/v1/chat/completions"


class App:
    """The ASGI application: the endpoint on every request's path first, then all the others.

    Parameters
    ----------
    gateway
        Started and stopped by somebody else.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._chat = ChatEndpoint(gateway)
        self._others = _others(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == CHAT and scope["method"] == "POST":
            await self._chat(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def _others(gateway: Gateway) -> Starlette:
    feedback, promises = FeedbackApi(gateway), CatalogApi(gateway)
    routing, zoo = RouteApi(gateway), ZooApi(gateway)

    async def chat(request: Request) -> Response:
        # So that other methods than POST are told so.
        raise NotImplementedError

    async def healthz(request: Request) -> Response:
        return reply({"status": "ok"})

    async def readyz(request: Request) -> Response:
        problems = gateway.readiness_errors()
        status = "ready" if not problems else "not ready"
        body = {"status": status, "problems": problems, "notes": gateway.warnings()}
        return reply(body, 200 if not problems else 503)

    async def metrics(request: Request) -> Response:
        text, kind = gateway.metrics.render(request.headers.get("accept", ""))
        return Response(text, media_type=kind)

    async def openapi(request: Request) -> Response:
        return reply(document())

    routes = [
        Route(CHAT, chat, methods=["POST"]),
        Route("/v1/feedback", feedback.feedback, methods=["POST"]),
        Route("/v1/outcomes", feedback.outcome, methods=["POST"]),
        Route("/v1/route", routing.route, methods=["POST"]),
        Route("/v1/models", promises.models, methods=["GET"]),
        Route("/v1/models/{model:path}", promises.model, methods=["GET"]),
        Route("/v1/slas", promises.slas, methods=["GET"]),
        Route("/v1/slas/{name}", promises.sla, methods=["GET"]),
        Route("/v1/zoo/models", zoo.add, methods=["POST"]),
        Route("/v1/zoo/models/{name:path}", zoo.remove, methods=["DELETE"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={
            FloorlineError: _floorline_error,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )


async def _floorline_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FloorlineError)
    return api_error(error).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts: Mapping[int, str] = {
        404: f"there is nothing at {request.url.path}: see /openapi.json",
        405: f"{request.method} is not for {request.url.path}: see /openapi.json",
    }
    text = texts.get(error.status_code, error.detail)
    return ApiError(error.status_code, text, headers=dict(error.headers or {})).response()


async def _unexpected(request: Request, error: Exception) -> Response:
    return unexpected(f"{request.method} {request.url.path}", error).response()
