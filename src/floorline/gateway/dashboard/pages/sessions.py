"""Sessions: the latest conversations, and the turns of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.core.bounds import is_name
from floorline.errors import InvalidInput
from floorline.events import Decision, Owner
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.log_view import browser, read_log, wanted_of
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.stores.browsing import CallsOf, Found

_DECISIONS = 2000
"""Latest turns that are grouped into conversations: about a tenth of a second."""
_SHOWN = 100
"""Most conversations on the page, those of the latest turns."""
_TURNS = 200
"""Most turns of one conversation, the latest ones."""


class SessionRow(NamedTuple):
    """A conversation, as far as its turns were read.

    Attributes
    ----------
    name, tenant, key
        Its name, and its owner: the tenant, or the id of the API key where there is none.
    turns
        Number of turns; a turn whose call failed, and the one in its place, count as one.
    models
        Models that served, in the order of their first turn.
    switches
        Number of turns that another model served than the turn before.
    cost
        Real cost of its calls so far in the zoo's cost unit; None before the first outcome.
    cached
        Share of its input tokens that providers read from their cache; None if unknown.
    score
        Mean score of its labelled answers from 0 to 1; None without labels.
    first, last
        Unix times of the first and the last turn in seconds.
    """

    name: str
    tenant: str
    key: str
    turns: int
    models: tuple[str, ...]
    switches: int
    cost: float | None
    cached: float | None
    score: float | None
    first: float
    last: float


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of these pages."""

    async def show(request: Request) -> Response:
        """Show the latest conversations."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        found, rows = await read_log(dashboard, viewer, lambda: _latest(dashboard, viewer, filters))
        # A single request that no client named is no conversation yet.
        rows = [row for row in rows if row.turns > 1 or not row.name.startswith("~")]
        return dashboard.page(
            request,
            "sessions.html.jinja",
            "Sessions",
            found=found,
            rows=rows[:_SHOWN],
            shown=_SHOWN,
            decisions=_DECISIONS,
        )

    async def turns(request: Request) -> Response:
        """Show the turns of one conversation."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        name, key = request.query_params.get("name", ""), request.query_params.get("key")
        if not name or not is_name(name):
            raise InvalidInput("name", name[:40], "give the name of a conversation")

        def read() -> tuple[list[Decision], dict[str, CallsOf]]:
            wanted = wanted_of(
                dashboard, viewer, Filters(tenant=filters.tenant), key=key or None, ever=True
            )
            made = browser(dashboard).session(name, wanted, _TURNS)
            return made, browser(dashboard).calls(made)

        made, calls = await read_log(dashboard, viewer, read)
        return dashboard.page(
            request,
            "session.html.jinja",
            "Conversation",
            section="Sessions",
            name=name,
            rows=[(one.seq, one, calls[one.id]) for one in made],
            summary=_row_of(made, calls) if made else None,
            several=len({one.owner for one in made}) > 1,
            most=_TURNS,
        )

    path = f"{HOME}/sessions"
    return [Route(path, show, methods=["GET"]), Route(f"{path}/turns", turns, methods=["GET"])]


def _latest(
    dashboard: Dashboard, viewer: Viewer, filters: Filters
) -> tuple[Found, list[SessionRow]]:
    """Group the latest turns into conversations, that of the latest turn first."""
    wanted = wanted_of(dashboard, viewer, filters, where=lambda made: bool(made.session))
    found = browser(dashboard).decisions(wanted, most=_DECISIONS)
    made = [one for _, one in found.decisions]
    calls = browser(dashboard).calls(made)
    groups: dict[tuple[Owner, str], list[Decision]] = {}
    for one in made:
        groups.setdefault((one.owner, one.session), []).append(one)
    return found, [_row_of(turns[::-1], calls) for turns in groups.values()]


def _row_of(turns: Sequence[Decision], calls: dict[str, CallsOf]) -> SessionRow:
    """Sum up the turns of one conversation, the earliest first."""
    became = [calls[one.id] for one in turns]
    costs = [one.cost for one in became if one.cost is not None]
    scores = [one.score for one in became if one.score is not None]
    told = [one for one in became if one.cached_tokens is not None and one.input_tokens]
    given = sum(one.input_tokens or 0 for one in told)
    served = [one.model for one in turns if one.model]
    last = turns[-1]
    return SessionRow(
        name=last.session,
        tenant=last.owner.tenant,
        key=last.owner.key,
        turns=sum(not one.after for one in turns) or len(turns),
        models=tuple(dict.fromkeys(served)),
        switches=sum(a != b for a, b in pairwise(served)),
        cost=math.fsum(costs) if costs else None,
        cached=sum(one.cached_tokens or 0 for one in told) / given if given else None,
        score=sum(scores) / len(scores) if scores else None,
        first=turns[0].at,
        last=last.at,
    )


@data_table("sessions")
async def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the conversations of the latest turns, that of the latest one first."""
    _, rows = await read_log(dashboard, viewer, lambda: _latest(dashboard, viewer, filters))
    written = [row._replace(models=(" ".join(row.models),)) for row in rows]
    return Table(SessionRow._fields, [[*row[:4], row.models[0], *row[5:]] for row in written])
