"""The ``floorline top`` command."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from floorline.cli.connect import DEFAULT_URL
from floorline.cli.gateway_http import GatewayAway, GatewayClient, Key, Url
from floorline.cli.terminal import console
from floorline.cli.top_frame import Snapshot, draw
from floorline.errors import check_number, check_one_of

SPANS = ("1h", "6h", "24h", "7d", "30d")
"""Spans of time that the dashboard offers, too."""
_SHORTEST_INTERVAL = 0.5
"""Seconds between two frames at least: the gateway folds new events twice a second."""
_TABLES = ("totals", "slas", "models", "latest")


def top(
    url: Url = DEFAULT_URL,
    key: Key = None,
    since: Annotated[str, typer.Option(help=f"Span of time: {', '.join(SPANS)}.")] = "1h",
    sla: Annotated[str | None, typer.Option(help="Show this SLA only.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Show this tenant only.")] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and stop.")] = False,
) -> None:
    """Show live in the terminal what a gateway promises, spends and decides.

    It reads the data of the dashboard over HTTP, with a key of the scope view or admin, and goes on
    through restarts of the gateway. Ctrl+C ends it. Without a terminal it prints one frame.
    """
    check_one_of("--since", since, SPANS)
    check_number("--interval", interval, low=_SHORTEST_INTERVAL, fix="give 0.5 seconds or more")
    client = GatewayClient(url, key)
    filters = {"since": since, "sla": sla, "tenant": tenant}
    # The first one outside of the live view, so that a wrong URL or key is an error.
    snapshot = _read(client, filters)
    if once or not console.is_terminal:
        console.print(draw(snapshot, client.url, since))
        return
    _watch(client, filters, snapshot, interval, console)


def _read(client: GatewayClient, filters: dict[str, str | None]) -> Snapshot:
    """Read what the gateway shows now."""
    tables = {name: client.get(f"/dashboard/data/{name}.json", **filters) for name in _TABLES}
    return Snapshot.of(tables, at=time.time())


def _watch(
    client: GatewayClient,
    filters: dict[str, str | None],
    snapshot: Snapshot,
    interval: float,
    screen: Console,
) -> None:
    """Draw frame after frame until Ctrl+C, also while no gateway answers."""
    since, trouble = filters["since"] or "", ""

    def frame() -> RenderableType:
        height = screen.size.height
        return draw(snapshot, client.url, since, height=height, trouble=trouble)

    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(frame(), console=screen, screen=True, auto_refresh=False) as live,
    ):
        while True:
            time.sleep(interval)
            try:
                snapshot, trouble = _read(client, filters), ""
            except GatewayAway as error:
                trouble = str(error)
            live.update(frame(), refresh=True)
