"""Decisions: search, list, and one with its candidates and its timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from floorline.core.bounds import canonical_id, is_name
from floorline.errors import check_one_of
from floorline.events import DIRECT, Decision
from floorline.gateway.dashboard.dashboard import Dashboard
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.log_view import (
    PAGE_ROWS,
    before_of,
    browser,
    read_log,
    wanted_of,
)
from floorline.gateway.dashboard.navigation import HOME
from floorline.gateway.dashboard.tables import Table, data_table
from floorline.gateway.dashboard.viewer import Viewer
from floorline.stores.browsing import CallsOf, FoundCalls

_PATH = f"{HOME}/decisions"
_TABLE_ROWS = 1000
"""Most decisions of the table of data."""
_DISLIKED = 0.5
"""Score below which a response counts as disliked."""

_Decided = Callable[[Decision], bool]
_Became = Callable[[Decision, CallsOf], bool]


_DECLINED = "declined"


class _Kind(NamedTuple):
    """A kind of decisions that can be chosen: its name on the page, and what it must fulfil."""

    label: str
    decided: _Decided | None = None
    became: _Became | None = None


_KINDS: Mapping[str, _Kind] = {
    "": _Kind("all decisions"),
    "failed": _Kind("failed calls", became=lambda _, calls: calls.error is not None),
    "disliked": _Kind(
        "disliked answers",
        became=lambda _, calls: calls.score is not None and calls.score < _DISLIKED,
    ),
    "fallback": _Kind("in place of a failed call", decided=lambda made: bool(made.after)),
    "explored": _Kind("explored", decided=lambda made: made.explored),
    _DECLINED: _Kind("declined", decided=lambda made: made.declined),
    "direct": _Kind("model named by the client", decided=lambda made: made.policy == DIRECT),
}


class _Wish(NamedTuple):
    """What the list is limited to beside the filters of all pages."""

    kind: str = ""
    model: str = ""
    key: str = ""

    @classmethod
    def read(cls, query: QueryParams) -> _Wish:
        """Read it from the query of a URL; InvalidInput if there is no such kind."""
        kind = query.get("kind") or ""
        check_one_of("kind", kind, tuple(_KINDS))
        return cls(kind, query.get("model") or "", query.get("key") or "")

    def given(self) -> dict[str, str]:
        """Return the fields that limit the list."""
        return {name: value for name, value in self._asdict().items() if value}


_ANY = _Wish()


def _listed(
    dashboard: Dashboard,
    viewer: Viewer,
    filters: Filters,
    wish: _Wish = _ANY,
    before: int | None = None,
    most: int = PAGE_ROWS,
) -> FoundCalls:
    kind = _KINDS[wish.kind]
    wanted = wanted_of(
        dashboard,
        viewer,
        filters,
        # Declined requests have no model, by which the database finds them.
        model="" if wish.kind == _DECLINED else wish.model or None,
        key=wish.key or None,
        where=kind.decided,
    )
    return browser(dashboard).with_calls(wanted, before=before, most=most, where=kind.became)


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show a list of decisions, or those that a search finds."""
        viewer = dashboard.viewer(request)
        filters = dashboard.filters(request, viewer)
        query = request.query_params
        searched = (query.get("q") or "").strip()
        if searched:
            return await search(request, viewer, filters, searched)
        wish, before = _Wish.read(query), before_of(query)
        found = await read_log(
            dashboard, viewer, lambda: _listed(dashboard, viewer, filters, wish, before)
        )
        older = None if found.before is None else wish.given() | {"before": str(found.before)}
        return page(request, found, wish, older=older, newest=before is None)

    async def search(request: Request, viewer: Viewer, filters: Filters, searched: str) -> Response:
        """Show what an id or a name means: one decision, or a list."""

        def look() -> FoundCalls:
            wanted = wanted_of(dashboard, viewer, Filters(tenant=filters.tenant), ever=True)
            seen = browser(dashboard)
            # Ids of completions are kept in a form that every database can hold.
            made = seen.named(searched, wanted) or seen.named(canonical_id(searched), wanted)
            calls = seen.calls(made)
            return FoundCalls([(one.seq, one, calls[one.id]) for one in made], None)

        found = FoundCalls([], None)
        if is_name(canonical_id(searched)):
            found = await read_log(dashboard, viewer, look)
        if len(found.rows) == 1:
            root = request.scope.get("app_root_path", "")
            path = f"{root}{_PATH}/{found.rows[0][1].id}"
            return RedirectResponse(path + filters.query(), 303)
        return page(request, found, _Wish(), searched=searched)

    def page(
        request: Request,
        found: FoundCalls,
        wish: _Wish,
        *,
        older: dict[str, str] | None = None,
        newest: bool = True,
        searched: str = "",
    ) -> Response:
        root = request.scope.get("app_root_path", "")
        return dashboard.page(
            request,
            "decisions.html.jinja",
            "Decisions",
            found=found,
            wish=wish,
            kinds=[(name, kind.label) for name, kind in _KINDS.items()],
            models=[
                name
                for name in dashboard.gateway.router.zoo.names
                if dashboard.viewer(request).caller.may_call(name)
            ],
            older=None if older is None else urlencode(older),
            newest=newest,
            searched=searched,
            base_url=f"{request.url.scheme}://{request.url.netloc}{root}",
        )

    return [Route(_PATH, show, methods=["GET"])]


@data_table("decisions")
async def table(dashboard: Dashboard, viewer: Viewer, filters: Filters) -> Table:
    """Return the latest decisions, at most ``_TABLE_ROWS``, the latest first."""
    found = await read_log(
        dashboard, viewer, lambda: _listed(dashboard, viewer, filters, most=_TABLE_ROWS)
    )
    columns = (
        "time", "id", "sla", "floor", "model", "policy", "explored", "tenant", "key", "session",
        "after", "expected_quality", "expected_cost", "cost", "latency", "first_token",
        "input_tokens", "cached_tokens", "output_tokens", "error", "score",
    )  # fmt: skip
    return Table(columns, [_row(made, calls) for _, made, calls in found.rows])


def _row(made: Decision, calls: CallsOf) -> list[object]:
    estimates = (None, None) if made.declined else (made.expected_quality, made.expected_cost)
    return [
        made.at, made.id, made.sla, made.floor, made.model, made.policy, made.explored,
        made.tenant, made.key, made.session, made.after, *estimates, calls.cost, calls.latency,
        calls.first_token, calls.input_tokens, calls.cached_tokens, calls.output_tokens,
        calls.error, calls.score,
    ]  # fmt: skip
