"""Keys and tenants: what each API key may do, and how much it and its tenant use."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.log_view import browser, read_log, sees_all
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.key_budget import KeySpending
from floorline.gateway.tenants import split_tenant
from floorline.state.time_buckets import OTHERS, Totals
from floorline.stores.browsing import KeyUse
from floorline.stores.keys import ApiKey

_MAX_TENANTS = 100
"""Most tenants on the page, those of the highest spend. The CSV has all."""
_MAX_KEYS = 500
"""Most keys whose use is counted, the newest ones: about a millisecond each."""


class KeyRow(NamedTuple):
    """A key, what its budget has left, and how much it was used.

    The budget is None where there is none, the use where there was no time to count it.
    """

    key: ApiKey
    spending: KeySpending | None
    use: KeyUse | None


class TenantRow(NamedTuple):
    """A tenant: its valid keys, its own SLAs, and its traffic in the span of the filters.

    Attributes
    ----------
    name
        Name of the tenant.
    keys
        Number of its valid keys.
    slas
        Names of its own SLAs.
    requests
        Number of requests; one whose call failed, and the one in its place, count as one.
    spend
        Cost of its calls and labels in the zoo's cost unit.
    labels, satisfaction
        Number of labels, and their mean score from 0 to 1; None without any.
    """

    name: str
    keys: int
    slas: tuple[str, ...]
    requests: int
    spend: float
    labels: int
    satisfaction: float | None


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show keys and tenants."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)

        def read() -> tuple[list[KeyRow], list[TenantRow]]:
            keys = key_rows(dashboard, viewer, filters)
            return keys, tenant_rows(dashboard, viewer, filters, keys)

        keys, tenants = await read_log(dashboard, viewer, read)
        return dashboard.page(
            request,
            "keys.html.jinja",
            "Keys",
            keys=keys,
            tenants=tenants[:_MAX_TENANTS],
            more_tenants=len(tenants) > _MAX_TENANTS,
            open_to_all=dashboard.gateway.auth.open,
            most=_MAX_KEYS,
        )

    return [Route(f"{HOME}/keys", show, methods=["GET"])]


def key_rows(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[KeyRow]:
    """Return the keys that a viewer may see, valid ones first; it reads the store, so it blocks."""
    tenant = filters.tenant if viewer.tenant is None else viewer.tenant
    gateway = dashboard.gateway
    keys = [key for key in gateway.store.keys.list() if tenant in (None, key.tenant)]
    if viewer.tenant is None and not sees_all(viewer):
        keys = [key for key in keys if key.id == viewer.caller.key]
    keys = sorted(keys, key=lambda key: (key.revoked is not None, -key.created))[:_MAX_KEYS]
    since = gateway.router.clock() - filters.seconds
    uses = browser(dashboard).uses([key.id for key in keys], since)
    spending = gateway.auth.spending()
    return [KeyRow(key, spending.get(key.id), uses.get(key.id)) for key in keys]


def tenant_rows(
    dashboard: Dashboard, viewer: Viewer, filters: Filters, keys: list[KeyRow]
) -> list[TenantRow]:
    """Return the tenants that a viewer may see: those with keys, own SLAs or requests."""
    if viewer.tenant is None and not sees_all(viewer):
        return []
    slas: dict[str, list[str]] = {}
    for name in dashboard.gateway.router.slas:
        slas.setdefault(split_tenant(name)[1], []).append(name)
    valid = Counter(row.key.tenant for row in keys if row.key.revoked is None)
    counts = dashboard.history.by_tenant(filters.seconds, filters.sla)
    # Beyond a bound the history has one name for the others, which is no tenant's.
    names = {row.key.tenant for row in keys} | slas.keys() | counts.keys() - {OTHERS}
    only = filters.tenant if viewer.tenant is None else viewer.tenant
    rows = []
    for name in names - {""}:
        if only in (None, name):
            totals = counts.get(name) or Totals()
            own = tuple(slas.get(name, ()))
            about = (totals.requests, totals.spend, totals.labels, totals.satisfaction)
            rows.append(TenantRow(name, valid[name], own, *about))
    return sorted(rows, key=lambda row: (-row.spend, row.name))


@data_table("keys")
async def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the keys without their secrets."""
    columns = (
        "id", "name", "tenant", "scopes", "slas", "models", "rate", "feedback_rate", "budget",
        "period", "spent", "reserved", "decisions", "last_used", "created", "revoked",
    )  # fmt: skip
    rows = []
    found = await read_log(dashboard, viewer, lambda: key_rows(dashboard, viewer, filters))
    for key, spending, use in found:
        lists = [key.slas, key.models]
        rows.append(
            [
                key.id,
                key.name,
                key.tenant,
                " ".join(key.scopes),
                *(None if names is None else " ".join(names) for names in lists),
                key.rate,
                key.feedback_rate,
                key.budget,
                key.period,
                None if spending is None else spending.spent,
                None if spending is None else spending.reserved,
                None if use is None else use.decisions,
                None if use is None else use.last,
                key.created,
                key.revoked,
            ]
        )
    return Table(columns, rows)


@data_table("tenants")
async def tenants(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the tenants with their traffic in the span of the filters."""
    found = await read_log(
        dashboard,
        viewer,
        lambda: tenant_rows(dashboard, viewer, filters, key_rows(dashboard, viewer, filters)),
    )
    rows = [[*row[:2], " ".join(row.slas), *row[3:]] for row in found]
    return Table(TenantRow._fields, rows)
