"""The ``floorline check`` command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from floorline._extras import needs

if TYPE_CHECKING:
    from floorline.config import Settings
    from floorline.gateway.ping import Ping
    from floorline.gateway.upstreams.settings import UpstreamSettings


def check(
    config: Annotated[Path, typer.Option(help="Configuration file to check.")] = Path(
        "floorline.yaml"
    ),
    call: Annotated[
        bool,
        typer.Option(
            "--call", help="Also request one token of every model, which the providers charge."
        ),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Validate the file only; contact no provider.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for a provider's answer.")
    ] = 10.0,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file and exit.")
    ] = False,
) -> None:
    """Validate a configuration file and check every provider.

    The exit code is 2 if the file breaks rules, or if a provider does not answer, refuses the key
    or does not have the model.
    """
    if schema:
        from floorline.config.reference import schema_text

        typer.echo(schema_text(), nl=False)
        return
    from floorline import config as configuration

    with needs("gateway", "checking providers"):
        from floorline.gateway.price_changes import price_warnings
    settings = configuration.load(config)
    models = _prepare(settings)
    console = Console()
    console.print(_summary(config, settings), highlight=False)
    unit = f"{settings.cost_unit} per million tokens"
    console.print(f"prices ({unit}, image or call):", highlight=False)
    for model in settings.models:
        console.print(escape(f"  {model.price_line()}"), highlight=False, soft_wrap=True)
    for warning in price_warnings(settings.as_zoo()):
        console.print(f"[red]warning:[/red] {escape(warning)}", highlight=False, soft_wrap=True)
    if offline:
        return
    from floorline.gateway.ping import ping_all

    pings = asyncio.run(ping_all(models, call=call, timeout=timeout))
    console.print(_table(pings))
    problems = [ping for ping in pings if ping.problem is not None]
    for ping in problems:
        text = escape(f"{ping.model}: {ping.problem}")
        console.print(f"[red]problem:[/red] {text}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(2)


def _prepare(settings: Settings) -> dict[str, UpstreamSettings]:
    """Build policy, encoder and settings of calls, as a start does, to find their errors."""
    with needs("gateway", "checking providers"):
        from floorline.gateway.upstream_config import all_upstream_settings
    from floorline.encoders import make_encoder

    settings.policy.build()
    if settings.encoder != "minilm":
        make_encoder(settings.encoder)
    return all_upstream_settings(settings)


def _summary(path: Path, settings: Settings) -> str:
    models, slas = len(settings.models), len(settings.slas)
    return escape(
        f"{path}: valid; {models} {'model' if models == 1 else 'models'}, "
        f"{slas} {'SLA' if slas == 1 else 'SLAs'}, policy {settings.policy.name}, "
        f"auth {settings.auth}"
    )


def _table(pings: Sequence[Ping]) -> Table:
    table = Table()
    for column in ("model", "endpoint", "reachable", "latency", "model listed", "notes"):
        table.add_column(column, justify="right" if column == "latency" else "left")
    words = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "?"}
    for ping in pings:
        table.add_row(
            escape(ping.model),
            escape(ping.endpoint),
            words[ping.reachable],
            "" if ping.seconds is None else f"{1000 * ping.seconds:.0f} ms",
            words[ping.listed],
            "[red]see below[/red]" if ping.problem else escape(ping.note),
        )
    return table
