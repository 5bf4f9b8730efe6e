"""The ASGI application: the routes and their endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from floorline.errors import FloorlineError
from floorline.gateway.api.bridges import BridgesApi
from floorline.gateway.api.catalog import CatalogApi
from floorline.gateway.api.chat import ChatEndpoint
from floorline.gateway.api.count_tokens import CountTokensApi
from floorline.gateway.api.explanations import ExplanationsApi
from floorline.gateway.api.feedback import FeedbackApi
from floorline.gateway.api.guard import RequestGuard, with_headers
from floorline.gateway.api.health import HealthApi
from floorline.gateway.api.judges import JudgesApi
from floorline.gateway.api.models_admin import ModelsAdminApi
from floorline.gateway.api.openapi import document
from floorline.gateway.api.paths import explain_missing, unify
from floorline.gateway.api.replicas import ReplicasApi
from floorline.gateway.api.responses import reply
from floorline.gateway.api.route import RouteApi
from floorline.gateway.dashboard.routes import dashboard_routes
from floorline.gateway.dialect_errors import dialect_of, error_response, in_dialect
from floorline.gateway.errors import ApiError, api_error, unexpected
from floorline.gateway.startup import Gateway

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"


class App:
    """The ASGI application.

    Every request is checked by the same guard. Requests for answers skip Starlette's routing and
    middleware, which would add to their latency.

    Parameters
    ----------
    gateway
        A gateway that runs; the caller starts and stops it.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._root_path = gateway.config.settings.server.root_path or ""
        self._guard = RequestGuard(lambda: gateway.config.settings)
        self._answers: dict[str, ChatEndpoint] = {
            CHAT: ChatEndpoint(gateway),
            MESSAGES: ChatEndpoint(gateway, "anthropic"),
            RESPONSES: ChatEndpoint(gateway, "responses"),
            COMPLETIONS: ChatEndpoint(gateway, path="/completions"),
            EMBEDDINGS: ChatEndpoint(gateway, path="/embeddings"),
        }
        others = [*routes(gateway), *dashboard_routes(gateway)]
        self._others = Starlette(routes=others, exception_handlers=_HANDLERS)
        # Paths are unified instead.
        self._others.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] != CHAT:
            unify(scope, self._root_path)
        verdict = self._guard.check(scope)
        if isinstance(verdict, Response):
            await in_dialect(verdict, dialect_of(scope["path"]))(scope, receive, send)
            return
        if verdict is not None:
            send = with_headers(send, verdict)
        endpoint = self._answers.get(scope["path"])
        if endpoint is not None and scope["method"] == "POST":
            await endpoint(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def routes(gateway: Gateway) -> list[Route]:
    """Return all routes of the gateway, as ``openapi.document`` describes them."""
    feedback, catalog = FeedbackApi(gateway), CatalogApi(gateway)
    decisions, models, health = RouteApi(gateway), ModelsAdminApi(gateway), HealthApi(gateway)

    judges, replicas = JudgesApi(gateway), ReplicasApi(gateway)
    bridges = BridgesApi(gateway, feedback)
    counting, explanations = CountTokensApi(gateway), ExplanationsApi(gateway)

    async def answer(request: Request) -> Response:
        # ``App`` answers POST itself; this route makes other methods a 405.
        raise NotImplementedError

    async def root(request: Request) -> Response:
        # Some clients ask for the base URL before their first request.
        return reply({"object": "floorline", "openapi": "/openapi.json"})

    async def openapi(request: Request) -> Response:
        root_path = request.scope.get("app_root_path")
        if not root_path:
            return reply(document())
        return reply({**document(), "servers": [{"url": root_path}]})

    return [
        Route("/", root, methods=["GET"]),
        Route(CHAT, answer, methods=["POST"]),
        Route(MESSAGES, answer, methods=["POST"]),
        Route(f"{MESSAGES}/count_tokens", counting.count, methods=["POST"]),
        Route(RESPONSES, answer, methods=["POST"]),
        Route(COMPLETIONS, answer, methods=["POST"]),
        Route(EMBEDDINGS, answer, methods=["POST"]),
        Route("/v1/feedback", feedback.feedback, methods=["POST"]),
        Route("/v1/bridges/{name}", bridges.take, methods=["POST"]),
        Route("/v1/outcomes", feedback.outcome, methods=["POST"]),
        Route("/v1/route", decisions.route, methods=["POST"]),
        Route("/v1/preview", explanations.preview, methods=["POST"]),
        Route("/v1/decisions/{id:path}", explanations.decision, methods=["GET"]),
        Route("/v1/models", catalog.models, methods=["GET"]),
        Route("/v1/models/{model:path}", catalog.model, methods=["GET"]),
        Route("/v1/slas", catalog.slas, methods=["GET"]),
        Route("/v1/slas/{name:path}", catalog.sla, methods=["GET"]),
        Route("/v1/judges", judges.judges, methods=["GET"]),
        Route("/v1/replicas", replicas.replicas, methods=["GET"]),
        Route("/v1/zoo/models", models.add, methods=["POST"]),
        Route("/v1/zoo/models/{name:path}", models.remove, methods=["DELETE"]),
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]


async def _floorline_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FloorlineError)
    return error_response(api_error(error), dialect_of(request.scope["path"]))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, text, headers = error.status_code, error.detail, dict(error.headers or {})
    if status == 404 and request.method == "OPTIONS" and request.scope["path"] == "*":
        # The server as a whole.
        return Response(status_code=204, headers={"Allow": "DELETE, GET, HEAD, OPTIONS, POST"})
    if status == 404:
        text = explain_missing(request.scope, document()["paths"])
    elif status == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    elif status == 405:
        headers["Allow"] = allowed = ", ".join(sorted(headers["Allow"].split(", ")))
        text = f"{request.scope['path']} does not take {request.method}: use {allowed}"
    missing = ApiError(status, text, headers=headers)
    return error_response(missing, dialect_of(request.scope["path"]))


async def _unexpected(request: Request, error: Exception) -> Response:
    client = "" if request.client is None else f" of {request.client.host}"
    failure = unexpected(f"{request.method} {request.url.path}{client}", error)
    return error_response(failure, dialect_of(request.scope["path"]))


_HANDLERS: Mapping[Any, Any] = {
    FloorlineError: _floorline_error,
    HTTPException: _http_error,
    Exception: _unexpected,
}
