"""Login and logout."""

from __future__ import annotations

import contextlib
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from floorline.errors import StoreUnavailable
from floorline.gateway.auth import Caller
from floorline.gateway.dashboard.dashboard import LOGIN_COOKIE, Dashboard
from floorline.gateway.dashboard.forms import CSRF_FIELD, check_csrf, read_form
from floorline.gateway.dashboard.guarded import LOGIN
from floorline.gateway.dashboard.logins import MOST_SECONDS, digest_of
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.viewer import LoginNeeded
from floorline.gateway.errors import ApiError

_FORM_COOKIE = "floorline_login_form"
"""Cookie with the token of the login form: there is no login yet that could have one."""
_FORM_SECONDS = 3_600
"""Time for which a login form can be sent."""
_MOST_KEY_CHARACTERS = 200
"""Longest key that is looked at; those of Floorline have 55 characters."""


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""
    page = LoginPage(dashboard)
    return [
        Route(LOGIN, page.show, methods=["GET"]),
        Route(LOGIN, page.log_in, methods=["POST"]),
        Route(f"{HOME}/logout", page.log_out, methods=["POST"]),
    ]


class LoginPage:
    """The login form, and what it and the button "Log out" send."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    async def show(self, request: Request) -> Response:
        """Show the form, or redirect a viewer who is logged in or needs no login."""
        back = _way_back(request.query_params.get("next"))
        try:
            self._dashboard.viewer(request)
        except LoginNeeded:
            return self._form(request, back)
        return _lead(request, back)

    async def log_in(self, request: Request) -> Response:
        """Log in with a key, and lead to the page that was asked for."""
        if self._dashboard.gateway.auth.open:
            return _lead(request, HOME)
        form = await read_form(request)
        back = _way_back(form.get("next"))
        wait = self._dashboard.login_limits.take(request.client.host if request.client else "")
        if wait > 0.0:
            text = f"too many attempts to log in: wait {wait:.0f} s, and try again"
            raise ApiError(429, text, code="rate_limit_exceeded", retry_after=wait)
        token = request.cookies.get(_FORM_COOKIE)
        if not token:
            text = "the form was open too long, or the browser keeps no cookies: send it again"
            return self._form(request, back, text, 403)
        check_csrf(form.get(CSRF_FIELD), token)
        secret = form.get("key", "").strip()[:_MOST_KEY_CHARACTERS]
        key = self._dashboard.gateway.auth.key_of(secret)
        if key is None:
            text = "this is no valid key: check that it is complete and was not revoked"
            return self._form(request, back, text, 401)
        if not Caller.of(key).scopes & {"view", "admin"}:
            text = (
                f"the key {key.name!r} may not look at the dashboard: use one with the scope view "
                "or admin ('floorline keys create NAME --scope view')"
            )
            return self._form(request, back, text, 403)
        before = request.cookies.get(LOGIN_COOKIE)
        if before:
            # One that stays, because the store cannot be written, ends when it is not used.
            with contextlib.suppress(StoreUnavailable):
                await self._dashboard.logins.end(digest_of(before))
        answer = _lead(request, back)
        began = await self._dashboard.logins.begin(key.id)
        _set_cookie(request, answer, LOGIN_COOKIE, began, int(MOST_SECONDS))
        _set_cookie(request, answer, _FORM_COOKIE, "", 0)
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the login, and lead to the login form."""
        if self._dashboard.gateway.auth.open:
            raise ApiError(404, "without keys there is no login to end", code="not_found")
        viewer = self._dashboard.viewer(request)
        form = await read_form(request)
        check_csrf(form.get(CSRF_FIELD), viewer.csrf)
        await self._dashboard.logins.end(viewer.login)
        answer = _lead(request, LOGIN)
        _set_cookie(request, answer, LOGIN_COOKIE, "", 0)
        return answer

    def _form(self, request: Request, back: str, problem: str = "", status: int = 200) -> Response:
        token = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(32)
        answer = self._dashboard.render(
            request, "login.html.jinja", "Log in", status, back=back, problem=problem, token=token
        )
        _set_cookie(request, answer, _FORM_COOKIE, token, _FORM_SECONDS)
        return answer


def _way_back(given: str | None) -> str:
    """Return the page to show after the login: only one of the dashboard is followed.

    Examples
    --------
    >>> _way_back("/dashboard/models?since=1h"), _way_back("https://example.com/dashboard")
    ('/dashboard/models?since=1h', '/dashboard')
    >>> _way_back("/dashboard/../v1/models"), _way_back("//example.com"), _way_back(None)
    ('/dashboard', '/dashboard', '/dashboard')
    """
    if not given or not given.isprintable() or "\\" in given or ".." in given:
        return HOME
    parts = urlsplit(given)
    own = not parts.scheme and not parts.netloc and parts.path.startswith(f"{HOME}/")
    return given if own or (given == HOME or given.startswith(f"{HOME}?")) else HOME


def _lead(request: Request, path: str) -> Response:
    return RedirectResponse(f"{request.scope.get('app_root_path', '')}{path}", 303)


def _set_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path=f"{request.scope.get('app_root_path', '')}{HOME}",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
