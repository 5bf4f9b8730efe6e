"""``GET /dashboard/data/NAME.json`` and ``.csv``: every table that pages and charts show."""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.errors import abbreviated, listed
from floorline.gateway.dashboard import now_tables, series_tables
from floorline.gateway.dashboard.tables import TABLES, Table, csv_of
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.viewer import Viewer

_HEADERS = {"cache-control": "no-store"}
"""Data changes all the time, and caches beside the browser must not keep what a login shows."""

assert now_tables  # The tables of these modules are registered by their import.
assert series_tables


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of all tables."""

    async def data(request: Request) -> Response:
        """Answer a request for a table."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        name, kind = request.path_params["name"], request.path_params["kind"]
        if name not in TABLES or kind not in ("json", "csv"):
            asked = abbreviated(f"{name}.{kind}")
            raise ApiError(404, f"there is no data {asked}: ask .json or .csv of {listed(TABLES)}")
        table = await read_table(name, dashboard, viewer, filters)
        if kind == "csv":
            file = f'attachment; filename="floorline-{name}.csv"'
            headers = {**_HEADERS, "content-disposition": file}
            return Response(csv_of(table), media_type="text/csv; charset=utf-8", headers=headers)
        return Response(
            _json(name, table, filters), media_type="application/json", headers=_HEADERS
        )

    return [Route("/dashboard/data/{name}.{kind}", data, methods=["GET"])]


async def read_table(name: str, dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return a table by its name, as a viewer may see it."""
    function = TABLES[name]
    if inspect.iscoroutinefunction(function):
        made: Any = await function(dashboard, viewer, filters)
    else:
        made = await asyncio.to_thread(function, dashboard, viewer, filters)
    assert isinstance(made, Table)
    return made


def _json(name: str, table: Table, filters: Filters) -> bytes:
    rows = [[_plain(value) for value in row] for row in table.rows]
    return msgspec.json.encode(
        {
            "object": "floorline.table",
            "name": name,
            "filters": filters._asdict(),
            "columns": list(table.columns),
            "rows": rows,
        }
    )


def _plain(value: Any) -> Any:
    """Return a value that JSON has: it knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
