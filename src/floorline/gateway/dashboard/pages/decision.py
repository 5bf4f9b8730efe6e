"""One decision: its candidates, what the policy weighed, and what came of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.errors import abbreviated
from floorline.gateway.api.responses import reply
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.formatting import number
from floorline.gateway.dashboard.log_view import browser, read_log, wanted_of
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.errors import ApiError
from floorline.state.explaining import explain
from floorline.state.explanation import Explanation
from floorline.stores.decision_history import decision_history

REASONS = {
    "served": "served",
    "quality": "quality",
    "score": "score",
    "explored_instead": "another explored",
    "price": "price",
    "floor": "floor",
    "chance": "drawn by chance",
    "conversation": "conversation",
    "window": "context window",
    "capability": "capability",
    "budget": "budget",
    "key_budget": "key's budget",
    "breaker": "circuit breaker",
    "busy": "busy",
    "failed": "failed before",
    "latency": "latency",
    "sla": "not in the SLA",
    "excluded": "excluded",
    "not_asked": "not asked",
}
"""Short names of the reasons of candidates."""
_MULTIPLIERS = {
    "surplus": ("surplus over the floor", "satisfied requests"),
    "buffer": ("buffer that it keeps in hand", "satisfied requests"),
    "optimism_sds": ("optimism", "standard deviations"),
    "satisfaction_price": ("λ: price of one more satisfied request", "{unit}"),
    "budget_price": ("price of the budget", "satisfied requests per {unit}"),
    "satisfaction_weight": ("weight of quality", ""),
    "virtual_queue": ("Q: shortfall of the SLA", "satisfied requests"),
    "cost_weight": ("V: weight of cost", "per {unit}"),
    "preference": ("μ: preference for quality over cost", ""),
    "threshold": ("predicted quality from which the cheaper model serves", ""),
    "dual": ("dual variable of the floor", ""),
}
"""Plain names and units of what policies weigh by; others are shown by their own names."""


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show one decision, as a page or (``?format=json``) as JSON."""
        viewer = dashboard.viewer(request)
        id = request.path_params["id"]
        found = await read_log(dashboard, viewer, lambda: _explained(dashboard, viewer, id))
        if found is None:
            raise ApiError(
                404,
                f"there is no decision {abbreviated(id)}: search for it by its whole id; another "
                "tenant's is not shown, and events older than store.retention are deleted",
                code="decision_not_found",
            )
        if request.query_params.get("format") == "json":
            return reply(found)
        return dashboard.page(
            request,
            "decision.html.jinja",
            f"Decision {id}",
            section="Decisions",
            made=found,
            reasons=REASONS,
            multiplier_rows=[
                _multiplier(name, value, found.cost_unit)
                for name, value in found.multipliers.items()
            ],
        )

    return [Route(f"{HOME}/decisions/{{id:path}}", show, methods=["GET"])]


def _multiplier(name: str, value: float, cost_unit: str) -> tuple[str, str]:
    """Name of a multiplier, and its value with its unit."""
    label, unit = _MULTIPLIERS.get(name, (name.replace("_", " "), ""))
    return label, f"{number(value)} {unit.format(unit=cost_unit)}".strip()


def _explained(dashboard: Dashboard, viewer: Viewer, id: str) -> Explanation | None:
    """Explain a decision that a viewer may see; None if there is none. It blocks."""
    wanted = wanted_of(dashboard, viewer, Filters(), ever=True)
    found = [one for one in browser(dashboard).named(id, wanted) if one.id == id]
    if not found:
        return None
    store, unit = dashboard.gateway.store, dashboard.gateway.router.zoo.cost_unit
    may_name = viewer.caller.may_call
    return explain(found[0], decision_history(store, id), cost_unit=unit, may_name=may_name)
