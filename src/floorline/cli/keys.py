"""The ``floorline keys`` commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from floorline.cli.options import DEFAULT_CONFIG, Config, Store, age, store_url
from floorline.stores.open_store import open_beside, open_read_only

if TYPE_CHECKING:
    from floorline.stores.keys import ApiKey

app = typer.Typer(
    help="Create, list and revoke the API keys of the server's clients.",
    no_args_is_help=True,
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name that 'floorline keys list' shows.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Scope: chat, feedback, metrics, view (the dashboard; with a tenant, what belongs "
            "to it) or admin; repeatable. [default: chat, feedback]"
        ),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant that the key's requests belong to.")] = "",
    sla: Annotated[
        list[str] | None,
        typer.Option(help="SLA that its requests may name; repeatable. [default: all]"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model that its requests may name; repeatable. [default: all, and none with --sla]"
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Largest number of requests per minute.")
    ] = None,
    feedback_rate: Annotated[
        float | None,
        typer.Option(
            help="Largest number of feedback messages per minute. [default: feedback.rate]"
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Largest cost per period, in the cost unit.")
    ] = None,
    period: Annotated[str | None, typer.Option(help="Period of the budget, such as 30d.")] = None,
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Create a key and print its secret, which cannot be shown again."""
    with open_beside(store_url(store, config), ready=True, create=True) as engine:
        from floorline.stores.keys import KeyStore

        key, secret = KeyStore(engine).create(
            name,
            scope or ("chat", "feedback"),
            tenant=tenant,
            slas=sla,
            models=model,
            rate=rate,
            feedback_rate=feedback_rate,
            budget=budget,
            period=None if period is None else age(period, "period"),
        )
    # The secret alone goes to the standard output, so that it can be piped.
    Console(stderr=True).print(
        f"Created key {key.id} ({', '.join(key.scopes)}). Its secret cannot be shown again:"
    )
    typer.echo(secret)


@app.command("list")
def list_(store: Store = None, config: Config = DEFAULT_CONFIG) -> None:
    """List the keys, without their secrets."""
    with open_read_only(store_url(store, config)) as engine:
        from floorline.stores.keys import KeyStore

        known = KeyStore(engine)
        keys = known.list()
    names = ("name", "scopes", "tenant", "SLAs", "models", "limits", "created", "revoked")
    table = Table(Column("id", no_wrap=True), *names)
    for key in keys:
        limits = [] if key.rate is None else [f"{key.rate:g}/min"]
        if key.feedback_rate is not None:
            limits.append(f"{key.feedback_rate:g} feedback/min")
        if key.budget is not None and key.period is not None:
            limits.append(f"{key.budget:g} per {key.period / 86400:g} d")
        table.add_row(
            key.id,
            key.name,
            ", ".join(key.scopes),
            key.tenant or "-",
            "all" if key.slas is None else ", ".join(key.slas),
            _models(key),
            ", ".join(limits) or "-",
            _day(key.created),
            _day(key.revoked),
        )
    Console().print(table)
    for id in known.damaged:
        Console(stderr=True).print(f"Key {id} is not accepted: its row is damaged.")


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Id of the key, as 'floorline keys list' shows it.")],
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Revoke a key; it cannot be used again."""
    with open_beside(store_url(store, config), ready=True) as engine:
        from floorline.stores.keys import KeyStore

        changed = KeyStore(engine).revoke(id)
    Console().print(f"Revoked key {id}." if changed else f"Key {id} is revoked already.")


def _models(key: ApiKey) -> str:
    if key.models is None:
        return "all" if key.slas is None else "none"
    return ", ".join(key.models)


def _day(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
