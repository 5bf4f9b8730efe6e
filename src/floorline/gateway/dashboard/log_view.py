"""What pages read of the log: only what their viewer may see."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.events import Decision
from floorline.gateway.dashboard.filters import Filters
from floorline.gateway.dashboard.viewer import Viewer
from floorline.gateway.tenants import split_tenant
from floorline.stores.browsing import LogBrowser, Wanted

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from floorline.gateway.dashboard.dashboard import Dashboard

PAGE_ROWS = 50
"""Rows of a page of decisions."""
_COMMIT_SECONDS = 0.5
"""Longest wait for the commit of what was just appended. Commits take milliseconds; while they
fail, pages show what is durable."""

_T = TypeVar("_T")


def browser(dashboard: Dashboard) -> LogBrowser:
    """Return the searches in the log of a dashboard's gateway."""
    return LogBrowser(dashboard.gateway.store)


async def read_log(dashboard: Dashboard, viewer: Viewer, read: Callable[[], _T]) -> _T:
    """Read the log in a thread of its own, after the commit of what was just appended.

    Raises
    ------
    ApiError
        503 if too many pages of the viewer's key wait for the log.
    """
    with contextlib.suppress(StoreUnavailable):
        await dashboard.gateway.store.committed(timeout=_COMMIT_SECONDS)
    async with dashboard.reading.turn(viewer.caller.key):
        return await asyncio.to_thread(read)


def sees_all(viewer: Viewer) -> bool:
    """Whether a viewer sees the whole gateway: no tenant and no SLAs limit the key."""
    return viewer.tenant is None and viewer.caller.slas is None


def may_see(viewer: Viewer, decision: Decision) -> bool:
    """Whether a viewer may see a decision: its tenant's, under SLAs that the key may use."""
    caller = viewer.caller
    if viewer.tenant not in (None, decision.tenant):
        return False
    if caller.slas is None:
        return True
    if not decision.sla:
        # The client named the model; a key that is limited to SLAs sees its own such requests.
        return decision.key == caller.key
    return caller.may_use(split_tenant(decision.sla)[0])


def wanted_of(
    dashboard: Dashboard,
    viewer: Viewer,
    filters: Filters,
    *,
    model: str | None = None,
    key: str | None = None,
    where: Callable[[Decision], bool] | None = None,
    ever: bool = False,
) -> Wanted:
    """Return which decisions a viewer wants and may see. It reads the API keys, so it blocks.

    Parameters
    ----------
    dashboard, viewer, filters
        Whose gateway, who looks, and at what.
    model, key, where
        As in ``Wanted``.
    ever
        Whether decisions of any time are wanted, instead of those within the filter's span.
    """
    tenant = filters.tenant if viewer.tenant is None else viewer.tenant
    keys = None
    if tenant is not None and key is None:
        # Keys are revoked and never deleted, so that they are all keys of the tenant so far.
        listed = dashboard.gateway.store.keys.list()
        keys = tuple(one.id for one in listed if one.tenant == tenant) or None

    def fits(decision: Decision) -> bool:
        return may_see(viewer, decision) and (where is None or where(decision))

    since = -math.inf if ever else dashboard.gateway.router.clock() - filters.seconds
    return Wanted(filters.sla, model, tenant, key, keys, since, fits)


def before_of(query: QueryParams) -> int | None:
    """Return the position in the log before which a page begins; None for its end.

    Raises
    ------
    InvalidInput
        If it is no position.
    """
    given = query.get("before")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise InvalidInput("before", given, "follow the links Older and Newer of the page")
    return int(given)
