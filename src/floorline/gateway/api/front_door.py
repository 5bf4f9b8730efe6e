"""Answers requests while the server starts: it lives, and it is not ready."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from floorline.config import Settings
from floorline.gateway.api.paths import unify
from floorline.gateway.api.responses import reply
from floorline.gateway.dialect_errors import dialect_of, error_response
from floorline.gateway.errors import ApiError
from floorline.gateway.start import Start

_RETRY_SECONDS = 5
"""Seconds after which a client is told to send its request again."""


class FrontDoor:
    """ASGI application that answers for a server that starts, and later hands requests on.

    Parameters
    ----------
    settings
        Say who may read what the start waits for: it names the host of the database.
    start
        The start of the server.
    """

    def __init__(self, settings: Settings, start: Start) -> None:
        self._root_path = settings.server.root_path or ""
        self._open_to_all = settings.auth == "none" or settings.server.public_metrics
        self._start = start
        self._app: ASGIApp | None = None

    def open(self, app: ASGIApp) -> None:
        """Hand all further requests on to an application."""
        self._app = app

    @property
    def is_open(self) -> bool:
        """Whether requests are handed on."""
        return self._app is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is not None:
            await self._app(scope, receive, send)
            return
        unify(scope, self._root_path)
        await self._answer(scope["path"])(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path == "/healthz":
            return reply({"status": "ok"})
        waits_for = self._start.waits_for
        text = "the server starts"
        if self._start.stop.is_set():
            text = "the gateway is stopping"
        elif waits_for is not None:
            shown = waits_for if self._open_to_all else "see the log of the gateway"
            text = f"the server starts, and waits: {shown}"
        if path == "/readyz":
            return reply({"status": "not ready", "errors": [text], "warnings": []}, 503)
        return error_response(ApiError(503, text, retry_after=_RETRY_SECONDS), dialect_of(path))
