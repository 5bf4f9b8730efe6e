"""What-if: estimated satisfaction and cost of another policy on the logged requests."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.errors import InvalidInput, check_one_of
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import SPANS, Filters
from floorline.gateway.dashboard.log_view import sees_all
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.dashboard.whatif_runs import ALWAYS, MAX_EVENTS, SECONDS, Asked
from floorline.sla import check_floor
from floorline.whatif.recent_log import Answer

_WAIT_SECONDS = 20.0
"""How long a page waits for its estimate; most take less. Then it says how to look again."""
_POLICIES = {
    "primal_dual": "primal_dual: Floorline's own",
    "sla_router": "sla_router: SLARouter",
    "mess_plus": "mess_plus: MESS+",
    "carrot": "carrot: CARROT",
    "routellm": "routellm: two models and a threshold",
    "static_mix": "static_mix: the cheapest mix by the means known now",
    "cheapest": "cheapest: always the cheapest model",
    "random": "random: every model equally often",
}
"""Policies that need neither a history nor a trained network, with what they are."""


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show the form, and the estimate that it asks for."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        choices = _choices(dashboard, viewer)
        policy = request.query_params.get("policy") or ""
        floor = request.query_params.get("floor") or ""
        asked, answer = None, None
        if policy:
            check_one_of("policy", policy, [name for name, _ in choices])
            asked = _asked(viewer, filters, policy, floor)
            run = dashboard.whatif.start(asked, _means(dashboard, viewer))
            done, _ = await asyncio.wait([run.task], timeout=_WAIT_SECONDS)
            answer = run.task.result() if done else None
        return dashboard.page(
            request,
            "whatif.html.jinja",
            "What-if",
            choices=choices,
            policy=policy or choices[0][0],
            floor=floor,
            asked=asked,
            answer=answer,
            zipped=zip,
            most_events=MAX_EVENTS,
            most_seconds=SECONDS,
        )

    return [Route(f"{HOME}/whatif", show, methods=["GET"])]


def _choices(dashboard: Dashboard, viewer: Viewer) -> list[tuple[str, str]]:
    """Policies that a viewer can choose, and what they are."""
    found = list(_POLICIES.items())
    if not _means(dashboard, viewer):
        found = [pair for pair in found if pair[0] != "static_mix"]
    zoo = dashboard.gateway.router.zoo
    models = [name for name in zoo.names if viewer.caller.may_call(name)]
    return [*found, *((f"{ALWAYS}{name}", f"always {name}") for name in models)]


def _means(dashboard: Dashboard, viewer: Viewer) -> dict[str, float]:
    """Mean quality of each model as the policy knows it now.

    Empty for a viewer who does not see all requests: the labels of all of them are in it.
    """
    known = dashboard.gateway.router.policy.model_estimates()
    if known is None or not sees_all(viewer):
        return {}
    return dict(zip(known.models, known.mean.tolist(), strict=True))


def _asked(viewer: Viewer, filters: Filters, policy: str, floor: str) -> Asked:
    level = None
    if floor:
        try:
            level = check_floor("floor", float(floor))
        except ValueError:
            raise InvalidInput("floor", floor[:40], "give a number from 0 to 1") from None
    tenant = filters.tenant if viewer.tenant is None else viewer.tenant
    return Asked(policy, filters.sla, level, tenant, SPANS[filters.since])


@data_table("whatif")
def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the latest estimates that anyone asked for and the viewer may see."""
    columns = (
        "policy", "sla", "floor", "tenant", "span", "events", "requests", "labels",
        "effective_labels", "estimate", "satisfaction", "satisfaction_lower", "satisfaction_upper",
        "cost", "cost_lower", "cost_upper", "logged_satisfaction", "logged_cost", "problem",
    )  # fmt: skip
    tenant = filters.tenant if viewer.tenant is None else viewer.tenant
    rows: list[list[object]] = []
    for asked, answer in dashboard.whatif.answers():
        if tenant not in (None, asked.tenant) or filters.sla not in (None, asked.sla):
            continue
        rows += _rows(asked, answer)
    return Table(columns, rows)


def _rows(asked: Asked, answer: Answer) -> list[list[object]]:
    about: list[object] = [
        asked.policy, asked.sla, asked.floor, asked.tenant, asked.span, answer.events,
    ]  # fmt: skip
    result = answer.result
    if result is None:
        return [[*about, *[None] * 12, answer.problem]]
    counts = [result.requests, result.labels, result.effective_labels]
    if not result.satisfaction:
        bounds = [None, *result.satisfaction_bounds, None, *result.cost_bounds]
        return [[*about, *counts, "bounds", *bounds, *result.logged, answer.problem]]
    return [
        [*about, *counts, quality.kind, *quality[1:4], *cost[1:4], *result.logged, ""]
        for quality, cost in zip(result.satisfaction, result.cost, strict=True)
    ]
