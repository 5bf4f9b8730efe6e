"""Budgets: what SLAs and keys may spend, have spent and have left, and how long that lasts."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.log_view import read_log, sees_all
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.tenants import split_tenant

_SHOWN = 100
"""Most budgets of SLAs, and of keys, on the page: those that are used most. The CSV has all."""
_LEAST_ELAPSED = 0.02
"""Share of a period from which its pace is shown: half an hour of a day. Before, one dear call
would look like a budget that ends at once."""


class BudgetRow(NamedTuple):
    """One amount that bounds costs.

    Attributes
    ----------
    owner, name
        ``"sla"`` or ``"key"``, and its name, or that of the key.
    id
        Id of the key; "" for an SLA.
    tenant
        Tenant that it belongs to; "" for none.
    model
        Model that it bounds; "" for all.
    amount, spent, reserved
        The largest cost per period, the costs in this period, and what open calls can still cost;
        ``spent`` and ``reserved`` are None where others' costs would show.
    began, ends
        Unix times in seconds of the period; None if the budget is never renewed.
    declined
        Requests under the SLA that no model served in the span of the filters, mostly because no
        call fitted into its budget; None for a key, and where others' requests would show.
    """

    owner: str
    name: str
    id: str
    tenant: str
    model: str
    amount: float
    spent: float | None
    reserved: float | None
    began: float | None
    ends: float | None
    declined: int | None = None

    @property
    def left(self) -> float | None:
        """Cost that further calls may cause; None where it would show others' costs."""
        if self.spent is None or self.reserved is None:
            return None
        return self.amount - self.spent - self.reserved

    @property
    def used_share(self) -> float:
        """Share of the amount that is spent or reserved; 0 where it would show others' costs."""
        used = (self.spent or 0.0) + (self.reserved or 0.0)
        return used / self.amount if self.amount else 1.0

    def lasts_until(self, now: float) -> float | None:
        """Return when the budget ends at its present pace; None if it lasts or that is unknown."""
        if self.spent is None or self.began is None or self.ends is None or self.spent <= 0.0:
            return None
        elapsed = now - self.began
        if elapsed < _LEAST_ELAPSED * (self.ends - self.began):
            return None
        end = self.began + elapsed * self.amount / self.spent
        return end if end < self.ends else None


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show the budgets of SLAs and of keys."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)

        def read() -> tuple[list[BudgetRow], list[BudgetRow]]:
            return sla_rows(dashboard, viewer, filters), key_rows(dashboard, viewer, filters)

        slas, keys = await read_log(dashboard, viewer, read)
        return dashboard.page(
            request,
            "budgets.html.jinja",
            "Budgets",
            slas=_most_used(slas),
            keys=_most_used(keys),
            more=max(len(slas), len(keys)) > _SHOWN,
            now=dashboard.gateway.router.clock(),
        )

    return [Route(f"{HOME}/budgets", show, methods=["GET"])]


def _most_used(rows: list[BudgetRow]) -> list[BudgetRow]:
    """Return rows as they are, or the most used ones of many."""
    if len(rows) <= _SHOWN:
        return rows
    return sorted(rows, key=lambda row: -row.used_share)[:_SHOWN]


def sla_rows(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[BudgetRow]:
    """Return the budgets of the SLAs that a viewer may see."""
    router, now = dashboard.gateway.router, dashboard.gateway.router.clock()
    rows = []
    counts = dashboard.history.by_sla(filters.seconds)
    for name in dashboard.sla_names(viewer):
        _, tenant = split_tenant(name)
        if filters.sla not in (None, name):
            continue
        if filters.tenant is not None and tenant not in ("", filters.tenant):
            continue
        status = router.budget_status(name, at=now)
        # What is spent under an SLA that all share shows what other tenants spend.
        shown = viewer.tenant is None or tenant == viewer.tenant
        declined = counts[name].declined if name in counts else 0
        for line in status.lines:
            if line.model and not viewer.caller.may_call(line.model):
                continue
            rows.append(
                BudgetRow(
                    "sla",
                    name,
                    "",
                    tenant,
                    line.model,
                    line.amount,
                    line.spent if shown else None,
                    line.reserved if shown else None,
                    status.began,
                    status.ends,
                    declined if shown else None,
                )
            )
    return rows


def key_rows(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> list[BudgetRow]:
    """Return the budgets of the valid keys that a viewer may see; it reads the keys and blocks."""
    tenant = filters.tenant if viewer.tenant is None else viewer.tenant
    spending = dashboard.gateway.auth.spending()
    rows = []
    for key in dashboard.gateway.store.keys.list():
        found = spending.get(key.id)
        if viewer.tenant is None and not sees_all(viewer) and key.id != viewer.caller.key:
            continue
        if found is not None and tenant in (None, key.tenant):
            rows.append(BudgetRow("key", key.name, key.id, key.tenant, "", *found))
    return rows


@data_table("budgets")
async def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return all budgets: those of SLAs, then those of keys."""

    def read() -> list[BudgetRow]:
        rows = sla_rows(dashboard, viewer, filters)
        # A key's budget is for the requests under all SLAs.
        return rows if filters.sla else rows + key_rows(dashboard, viewer, filters)

    rows = await read_log(dashboard, viewer, read)
    now = dashboard.gateway.router.clock()
    columns = (*BudgetRow._fields, "left", "lasts_until")
    return Table(columns, [[*row, row.left, row.lasts_until(now)] for row in rows])
