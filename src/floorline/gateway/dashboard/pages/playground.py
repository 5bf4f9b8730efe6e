"""Playground: send a prompt, and see who would answer at another floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from floorline.gateway.api.chat import ChatEndpoint
from floorline.gateway.api.explanations import ExplanationsApi, needs_sla
from floorline.gateway.api.feedback import FeedbackApi
from floorline.gateway.api.responses import reply
from floorline.gateway.auth import Caller
from floorline.gateway.chat_request import ROUTED, read_chat
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.errors import ApiError
from floorline.gateway.explanations import Preview
from floorline.gateway.tenants import split_tenant

PLAYGROUND = f"{HOME}/playground"
SOURCE = "playground"
"""Source of the labels that the page sends, which tells them from those of users."""
_EXAMPLE = "Explain CRDTs in two sentences."
"""Prompt for which the page says who would answer before another one is written."""

GRID = [*(step / 10 for step in range(5)), *((50 + 2 * step) / 100 for step in range(26))]
"""Floors of which the page says who would answer: few where hardly any SLA has one. The gateway
needs about 10 ms for all of them."""


class FloorRange(NamedTuple):
    """Floors at which the same model would answer.

    Attributes
    ----------
    high
        Floor up to which it would; the next range begins there.
    model
        The model; "" if the request would be declined.
    quality, cost
        Its expected quality and the expected cost of a call; None if declined.
    """

    high: float
    model: str
    quality: float | None
    cost: float | None


def ranges_of(previews: Sequence[Preview]) -> list[FloorRange]:
    """Join neighbouring floors, in ascending order, at which the same model would answer."""
    found: list[FloorRange] = []
    for place, one in enumerate(previews):
        high = previews[place + 1].floor if place + 1 < len(previews) else 1.0
        if found and found[-1].model == one.model:
            found[-1] = found[-1]._replace(high=high)
        else:
            found.append(FloorRange(high, one.model, one.expected_quality, one.expected_cost))
    return found


class Target(NamedTuple):
    """What a prompt can be sent to.

    Attributes
    ----------
    model
        The request's ``model``: an SLA as ``floorline/NAME``, or a model.
    floor
        Floor of the SLA; None for a model.
    """

    model: str
    floor: float | None


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""
    feedback_api = FeedbackApi(dashboard.gateway)
    explanations_api = ExplanationsApi(dashboard.gateway)

    async def show(request: Request) -> Response:
        return page(request)

    async def show_preview(request: Request) -> Response:
        """Show who would answer a prompt at each floor, where the browser runs no scripts."""
        fields = await dashboard.form(request)
        prompt, model = fields.get("prompt", ""), fields.get("model", "")
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        gateway = dashboard.gateway
        caller = gateway.auth.caller_of_login(dashboard.viewer(request).caller.key, "view")
        chat = read_chat(msgspec.json.encode({**body, "floorline": {"floors": GRID}}), {})
        if chat.sla is None:
            raise needs_sla(gateway, chat, caller)
        found = gateway.explanations.previews(gateway.chat.preview(chat, caller), caller)
        return page(request, prompt, model, ranges_of(found))

    def page(
        request: Request, prompt: str = "", model: str = "", ranges: Sequence[FloorRange] = ()
    ) -> Response:
        viewer = dashboard.viewer(request)
        refusal = _refusal(dashboard, viewer, "chat")
        return dashboard.page(
            request,
            "playground.html.jinja",
            "Playground",
            targets=_targets(dashboard, viewer.caller),
            refusal=refusal,
            may_rate=refusal is None and _refusal(dashboard, viewer, "feedback") is None,
            source=SOURCE,
            example=_EXAMPLE,
            grid=GRID,
            prompt=prompt,
            chosen=model,
            ranges=ranges,
        )

    async def send(request: Request) -> Response:
        """Answer a chat request as the API does, for the key that the viewer logged in with."""
        caller = _caller(dashboard, request, "chat")
        return _Passed(ChatEndpoint(dashboard.gateway, identify=lambda headers: caller))

    async def feedback(request: Request) -> Response:
        """Take feedback as the API does, for the key that the viewer logged in with."""
        return await feedback_api.take(request, _caller(dashboard, request, "feedback"))

    async def preview(request: Request) -> Response:
        """Say who would answer at several floors; every viewer may ask, because nothing is sent."""
        viewer = dashboard.check_script(request)
        caller = dashboard.gateway.auth.caller_of_login(viewer.caller.key, "view")
        return await explanations_api.preview_for(request, caller)

    async def explanation(request: Request) -> Response:
        """Explain a decision, as ``GET /v1/decisions/ID`` does for a key."""
        caller = dashboard.viewer(request).caller
        found = await dashboard.gateway.explanations.find(request.path_params["id"], caller)
        return reply(found)

    return [
        Route(PLAYGROUND, show, methods=["GET"]),
        Route(PLAYGROUND, show_preview, methods=["POST"]),
        Route(f"{PLAYGROUND}/preview", preview, methods=["POST"]),
        Route(f"{PLAYGROUND}/decisions/{{id}}", explanation, methods=["GET"]),
        Route(f"{PLAYGROUND}/send", send, methods=["POST"]),
        Route(f"{PLAYGROUND}/feedback", feedback, methods=["POST"]),
    ]


def _targets(dashboard: Dashboard, caller: Caller) -> list[Target]:
    """Return the SLAs and then the models that a caller may name."""
    router = dashboard.gateway.router
    slas = [
        Target(f"{ROUTED}{name}", sla.floor)
        for name, sla in router.slas.items()
        if not split_tenant(name)[1] and caller.may_use(name)
    ]
    return slas + [Target(name, None) for name in router.zoo.names if caller.may_call(name)]


def _refusal(dashboard: Dashboard, viewer: Viewer, scope: str) -> str | None:
    """Say why a viewer may not send to models, or rate answers; None if they may."""
    if dashboard.gateway.auth.open:
        if dashboard.gateway.config.settings.dashboard.playground:
            return None
        return (
            "Without API keys this page sends nothing: set dashboard.playground: true in "
            "floorline.yaml, or use auth: keys."
        )
    if scope in viewer.caller.scopes:
        return None
    return (
        f"The key that you are logged in with lacks the scope {scope}: log in with one that has it."
    )


def _caller(dashboard: Dashboard, request: Request, scope: str) -> Caller:
    """Return whose request a script of the page sends.

    Raises
    ------
    LoginNeeded
        If the viewer has to log in first.
    ApiError
        If the request is not of the viewer's login, or they may not send it.
    """
    viewer = dashboard.check_script(request)
    refusal = _refusal(dashboard, viewer, scope)
    if refusal is not None:
        raise ApiError(403, refusal, code="playground_refused")
    return dashboard.gateway.auth.caller_of_login(viewer.caller.key, scope)


class _Passed(Response):
    """The answer of an ASGI application, with the headers that this response is given."""

    def __init__(self, app: ChatEndpoint) -> None:
        self._app = app
        self.raw_headers = []
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                more = [pair for pair in self.raw_headers if pair[0] not in names]
                message = {**message, "headers": [*given, *more]}
            await send(message)

        await self._app(scope, receive, with_headers)
