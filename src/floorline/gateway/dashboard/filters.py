"""Filters of pages and data: an SLA, a tenant, a span of time."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from floorline.errors import InvalidInput, check_one_of, listed

SPANS: dict[str, float] = {
    "1h": 3_600.0,
    "6h": 21_600.0,
    "24h": 86_400.0,
    "7d": 604_800.0,
    "30d": 2_592_000.0,
}
"""Spans of time that pages offer, in seconds by their names."""
_SPAN_WORDS = {
    "1h": "the last hour",
    "6h": "the last 6 hours",
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
}
DEFAULT_SPAN = "24h"
"""Span without a choice: a whole day shows the daily rhythm of traffic."""


class Filters(NamedTuple):
    """What a page or its data is limited to.

    Attributes
    ----------
    sla
        Name of an SLA, such as "gold" or "gold@acme"; None for all that the viewer may see.
    tenant
        Name of a tenant; None for all that the viewer may see.
    since
        Name of a span of time that ends now, of ``SPANS``.
    """

    sla: str | None = None
    tenant: str | None = None
    since: str = DEFAULT_SPAN

    @property
    def seconds(self) -> float:
        """Length of the span of time in seconds."""
        return SPANS[self.since]

    @property
    def span(self) -> str:
        """The span of time in words, such as "the last hour"."""
        return _SPAN_WORDS[self.since]

    def query(self, **changed: str | None) -> str:
        """Return the query of a URL with these filters, "" for the usual ones.

        Parameters
        ----------
        changed
            Filters that differ; None for no limit.

        Examples
        --------
        >>> Filters(sla="gold").query(since="1h"), Filters().query()
        ('?sla=gold&since=1h', '')
        """
        values = {**self._asdict(), **changed}
        if values["since"] == DEFAULT_SPAN:
            del values["since"]
        query = urlencode({name: value for name, value in values.items() if value is not None})
        return f"?{query}" if query else ""


def read_filters(
    query: QueryParams, slas: list[str], own_tenant: str | None, tenants: list[str] | None = None
) -> Filters:
    """Read the filters of a URL's query.

    Parameters
    ----------
    query
        Query of the URL; an empty value is no limit.
    slas
        Names of the SLAs that the viewer may see.
    own_tenant
        The only tenant that the viewer may see; None for all.
    tenants
        Names of the tenants, if all of them are known; None accepts any name.

    Raises
    ------
    InvalidInput
        If a value is not one of those that the viewer may see.
    """
    sla, tenant = query.get("sla") or None, query.get("tenant")
    since = query.get("since") or DEFAULT_SPAN
    if sla is not None and sla not in slas:
        raise InvalidInput("sla", sla, f"choose one of {listed(slas)}, or none")
    if own_tenant is not None:
        if tenant not in (None, "", own_tenant):
            fix = f"leave it out: this key sees the tenant {own_tenant!r} only"
            raise InvalidInput("tenant", tenant, fix)
        tenant = own_tenant
    elif tenants is not None and tenant and tenant not in tenants:
        raise InvalidInput("tenant", tenant, f"choose one of {listed(tenants)}")
    check_one_of("since", since, SPANS)
    return Filters(sla, tenant or None, since)
