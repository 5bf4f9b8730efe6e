"""Change log: changes of models, prices, SLAs, configuration and quality."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.core.snapshots import unpack
from floorline.errors import check_one_of
from floorline.events import SlaChange, ZooChange, decode_event
from floorline.gateway.dashboard.change_log import KINDS, Change, changes_of
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.log_view import browser, read_log, sees_all
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.tenants import split_tenant
from floorline.sla import SLA
from floorline.stores.queued import QueuedStore
from floorline.zoo import Zoo

_SHOWN = 200
"""Most changes on the page, the latest ones; the CSV has all."""
_OF_TENANTS = ("model", "price", "sla")
"""Kinds of changes that the viewer of one tenant sees. The others tell of the whole gateway."""
_LABELS = {
    "model": "models",
    "price": "prices",
    "sla": "SLAs",
    "configuration": "configuration",
    "drift": "changes of quality",
    "history": "warm starts",
    "damage": "lost events",
}


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show the latest changes."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        kind = request.query_params.get("kind") or ""
        check_one_of("kind", kind, ("", *KINDS))
        changes = await read_log(dashboard, viewer, lambda: _seen(dashboard, viewer, filters))
        chosen = [change for change in changes if kind in ("", change.kind)]
        reloader = dashboard.gateway.reloader
        of_all = sees_all(viewer)
        kinds = [name for name in KINDS if of_all or name in _OF_TENANTS]
        return dashboard.page(
            request,
            "changes.html.jinja",
            "Changes",
            changes=chosen[:_SHOWN],
            more=len(chosen) > _SHOWN,
            kind=kind,
            kinds=[("", "all changes"), *((name, _LABELS[name]) for name in kinds)],
            refused=reloader.error if reloader is not None and of_all else None,
            waiting=reloader.restart if reloader is not None and of_all else (),
            recent=dashboard.gateway.router.policy.changes().recent if of_all else (),
        )

    return [Route(f"{HOME}/changes", show, methods=["GET"])]


def _seen(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[Change]:
    """Return the changes that a viewer may see within the span of the filters; it blocks."""
    store, router = dashboard.gateway.store, dashboard.gateway.router
    zoo, slas = _beginning(store)
    since = router.clock() - filters.seconds
    found = changes_of(browser(dashboard).changes(), zoo, slas)
    return [
        change
        for change in found
        if change.at >= since and _may_see(viewer, change) and _fits(filters, change)
    ]


def _may_see(viewer: Viewer, change: Change) -> bool:
    if sees_all(viewer):
        return True
    if change.kind == "sla":
        base, tenant = split_tenant(change.name)
        own = viewer.tenant is None or tenant in ("", viewer.tenant)
        return own and viewer.caller.may_use(base)
    return change.kind in _OF_TENANTS and viewer.caller.may_call(change.name)


def _fits(filters: Filters, change: Change) -> bool:
    """Whether a change belongs to the chosen SLA and tenant, where it belongs to any."""
    if change.kind != "sla":
        return True
    own = filters.tenant is None or change.tenant in ("", filters.tenant)
    return own and filters.sla in (None, change.name)


def _beginning(store: QueuedStore) -> tuple[Zoo | None, list[SLA]]:
    """Return the models and SLAs that the log began with, if its beginning was not deleted."""
    written = store.initial_state()
    if written is None or store.first() > 0:
        return None, []
    first = unpack(written)
    zoo = decode_event(first["zoo"])
    changes = [decode_event(data) for data in first["slas"]]
    assert isinstance(zoo, ZooChange)
    return zoo.zoo, [change.sla for change in changes if isinstance(change, SlaChange)]


@data_table("changes")
async def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the changes, the latest first."""
    found = await read_log(dashboard, viewer, lambda: _seen(dashboard, viewer, filters))
    columns = ("position", "time", "kind", "name", "text", "details")
    return Table(columns, [[*change[:5], "; ".join(change.details)] for change in found])
