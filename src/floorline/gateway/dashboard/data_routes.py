"""``GET /dashboard/data/NAME.json`` and ``.csv``: every table that pages and charts show."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.errors import abbreviated, listed
from floorline.gateway.dashboard import now_tables, series_tables
from floorline.gateway.dashboard.rights import Rights
from floorline.gateway.dashboard.tables import TABLES, Table, csv_of
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.dashboard.dashboard import Dashboard
    from floorline.gateway.dashboard.filters import Filters
    from floorline.gateway.dashboard.viewer import Viewer

_HEADERS = {"cache-control": "no-store"}
"""Data changes all the time, and caches beside the browser must not keep what a login shows."""

_MOST_ANSWERS = 64
"""Most answers that are kept, of up to 100 kB each."""

assert now_tables  # The tables of these modules are registered by their import.
assert series_tables


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of all tables."""
    cache = _Cache()

    async def data(request: Request) -> Response:
        """Answer a request for a table."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        name, kind = request.path_params["name"], request.path_params["kind"]
        if name not in TABLES or kind not in _WRITERS:
            asked = abbreviated(f"{name}.{kind}")
            raise ApiError(404, f"there is no data {asked}: ask .json or .csv of {listed(TABLES)}")
        media_type, write = _WRITERS[kind]
        key = (name, kind, filters, Rights.of(viewer))

        async def make() -> bytes:
            table = await read_table(name, dashboard, viewer, filters)
            return await asyncio.to_thread(write, name, table, filters)

        body = await cache.get(key, TABLES[name].fresh_for, make)
        headers = dict(_HEADERS)
        if kind == "csv":
            headers["content-disposition"] = f'attachment; filename="floorline-{name}.csv"'
        return Response(body, media_type=media_type, headers=headers)

    return [Route("/dashboard/data/{name}.{kind}", data, methods=["GET"])]


async def read_table(name: str, dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return a table by its name, as a viewer may see it."""
    function = TABLES[name].function
    if inspect.iscoroutinefunction(function):
        made: Any = await function(dashboard, viewer, filters)
    else:
        made = await asyncio.to_thread(function, dashboard, viewer, filters)
    assert isinstance(made, Table)
    return made


class _Cache:
    """The latest answers; those who ask for one that is being made wait for it."""

    def __init__(self) -> None:
        self._made: OrderedDict[Any, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def get(
        self, key: Any, fresh_for: float, make: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> bytes:
        """Return an answer that is at most so many seconds old; ``make`` makes a new one."""
        if fresh_for <= 0.0:
            return await make()
        now = time.monotonic()
        until, task = self._made.get(key, (0.0, None))
        if task is None or now >= until or (task.done() and _failed(task)):
            task = asyncio.create_task(make())
            self._made[key] = (now + fresh_for, task)
            self._made.move_to_end(key)
            while len(self._made) > _MOST_ANSWERS:
                self._made.popitem(last=False)
        # If this client leaves, the others still get the answer.
        return await asyncio.shield(task)


def _failed(task: asyncio.Task[bytes]) -> bool:
    return task.cancelled() or task.exception() is not None


def _csv(name: str, table: Table, filters: Filters) -> bytes:
    return csv_of(table).encode()


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


_WRITERS: Mapping[str, tuple[str, Callable[[str, Table, Filters], bytes]]] = {
    "json": ("application/json", _json),
    "csv": ("text/csv; charset=utf-8", _csv),
}
"""Media type and writer of a table by the ending of its URL."""
