"""What every answer of the dashboard has: headers for browsers, and errors as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from floorline.errors import FloorlineError
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.viewer import LoginNeeded, Viewer
from floorline.gateway.errors import ApiError, api_error, unexpected

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard

_Endpoint = Callable[[Request], Awaitable[Response]]

LOGIN = f"{HOME}/login"
_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # A form's request has no origin at all under "no-referrer", and would be refused for that.
    "referrer-policy": "same-origin",
}
_TITLES = {
    400: "This link is not right",
    403: "Not allowed",
    404: "Not found",
    413: "Too large",
    429: "Too many requests",
    503: "Not available at present",
}


def guarded(dashboard: Dashboard, routes: Iterable[Route]) -> list[Route]:
    """Return routes whose answers have the headers, and whose errors are pages.

    Errors of data and of scripts' requests are JSON, as everywhere else.
    """
    return [
        Route(
            route.path,
            _guard(dashboard, route.endpoint),
            methods=sorted(route.methods or {"GET"}),
        )
        for route in routes
    ]


def missing_route(dashboard: Dashboard) -> Route:
    """Return the route of all paths below the dashboard that have no page."""

    async def missing(request: Request) -> Response:
        dashboard.viewer(request)
        raise ApiError(404, f"there is no page {request.scope['path'][:200]}", code="not_found")

    return Route(f"{HOME}/{{rest:path}}", missing, methods=["GET"])


def _guard(dashboard: Dashboard, endpoint: _Endpoint) -> _Endpoint:
    async def answer(request: Request) -> Response:
        try:
            if not dashboard.gateway.config.settings.dashboard.enabled:
                text = "there is no dashboard: set dashboard.enabled in floorline.yaml"
                raise ApiError(404, text, code="not_found")
            await dashboard.find_login(request)
            response = await endpoint(request)
        except LoginNeeded:
            response = _to_login(request)
        except HTTPException:
            raise
        except ClientDisconnect:
            # The client left before this answer; it is no fault of the gateway.
            response = Response(status_code=400)
        except FloorlineError as error:
            response = _failed(dashboard, request, api_error(error))
        except Exception as error:
            failure = unexpected(f"{request.method} {request.url.path}", error)
            response = _failed(dashboard, request, failure)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        # Pages show what belongs to a login, and none is to be seen after its end.
        response.headers.setdefault("cache-control", "no-store")
        return response

    return answer


def _wants_page(request: Request) -> bool:
    """Whether the answer is shown as a page: the browser says so, or asks for HTML."""
    kind = request.headers.get("sec-fetch-dest")
    if kind in ("document", "iframe"):
        return True
    return "text/html" in request.headers.get("accept", "")


def _to_login(request: Request) -> Response:
    """Lead to the login page and back, or refuse a script's request."""
    if not _wants_page(request):
        text = "log in at /dashboard/login first, or send a key with the scope view"
        return ApiError(401, text, code="login_needed").response()
    root = request.scope.get("app_root_path", "")
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        # The browser sends no cookie with a link of another site: this page, which belongs to the
        # gateway, asks again at once.
        return HTMLResponse(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Floorline</title>'
            '<meta http-equiv="refresh" content="0"><p>One moment …</p>'
        )
    path = request.scope["path"]
    query = request.scope["query_string"].decode("latin-1")
    back = path + (f"?{query}" if query else "") if request.method == "GET" else HOME
    return RedirectResponse(f"{root}{LOGIN}?{urlencode({'next': back})}", 303)


def _failed(dashboard: Dashboard, request: Request, error: ApiError) -> Response:
    if not _wants_page(request):
        return error.response()
    try:
        viewer: Viewer | None = dashboard.viewer(request)
    except (LoginNeeded, FloorlineError):
        viewer = None
    answer = dashboard.render(
        request,
        "error.html.jinja",
        _TITLES.get(error.status, "Something went wrong"),
        error.status,
        text=error.text,
        viewer=viewer,
        navigation=() if viewer is None else dashboard.navigation(viewer),
    )
    answer.headers.update(error.headers)
    return answer
