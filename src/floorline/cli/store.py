"""The ``floorline store`` commands."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from floorline.cli.options import DEFAULT_CONFIG, TIME, Config, Store, age, moment, store_url
from floorline.errors import StoreUnavailable
from floorline.stores.open_store import open_beside, open_for_repair, open_read_only

app = typer.Typer(
    help="Upgrade, clean up, export, verify and repair the server's event log.",
    no_args_is_help=True,
)

Url = Annotated[
    str | None, typer.Argument(help="URL of the store. [default: that of --store or the config]")
]

_RETENTION = "set store.retention, after which it deletes old events itself, or "
DAMAGED = 1
"""Exit code if something in the store is damaged."""


@app.command()
def migrate(store: Store = None, config: Config = DEFAULT_CONFIG) -> None:
    """Create the tables, or upgrade them to this version of Floorline. Stop the server first."""
    with open_beside(store_url(store, config), create=True) as engine:
        from floorline.replication.sole_store import writing_alone
        from floorline.stores.lock import writer_lock
        from floorline.stores.schema import HEAD
        from floorline.stores.upgrade import upgrade

        with writer_lock(engine), writing_alone(engine, "floorline store migrate"):
            changed = upgrade(engine)
    done = "Upgraded the tables" if changed else "Nothing to do: the tables are"
    Console().print(f"{done} {'to' if changed else 'of'} version {HEAD}.")


@app.command()
def vacuum(
    older_than: Annotated[str, typer.Option(help="Age of what is deleted, such as 30d or 12h.")],
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Delete old events and prompts that no restart needs. The server may run.

    Where several servers share the store in PostgreSQL, their learner deletes old events (the
    setting store.retention); this command waits for no learner and needs that none runs.
    """
    before = time.time() - age(older_than)
    with open_beside(store_url(store, config), ready=True) as engine:
        from floorline.replication.sole_store import writing_alone
        from floorline.stores.retention import vacuum as clean

        with writing_alone(engine, "floorline store vacuum", _RETENTION):
            deleted = clean(engine, before)
    Console().print(
        f"Deleted {deleted.events:,} events and {deleted.prompts:,} prompts; "
        f"the log now begins at position {deleted.kept:,}."
    )


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write: .jsonl or .parquet.")],
    since: Annotated[str | None, typer.Option(help=f"Leave out older events: {TIME}.")] = None,
    until: Annotated[str | None, typer.Option(help=f"Leave out newer events: {TIME}.")] = None,
    features: Annotated[
        bool,
        typer.Option("--features", help="Include feature vectors and histories of warm starts."),
    ] = False,
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Write the event log to a file. The server may run."""
    low = -math.inf if since is None else moment("since", since)
    high = math.inf if until is None else moment("until", until)
    with open_read_only(store_url(store, config)) as engine:
        from floorline.stores.export import export as write
        from floorline.stores.reading import LogReader

        count = write(LogReader(engine), target, since=low, until=high, features=features)
    Console().print(f"Wrote {count:,} events to {target}.")


@app.command()
def verify(url: Url = None, store: Store = None, config: Config = DEFAULT_CONFIG) -> None:
    """Read the whole store and list everything that is damaged. The server may run.

    Exit code 0 if the store is whole, 1 if something is damaged, 2 if it cannot be read.
    """
    with open_read_only(store_url(url or store, config), ready=False) as engine:
        from floorline.replication.damaged_rows import find_damage
        from floorline.stores.verification import verify as read_all

        found = read_all(engine)
        shared = find_damage(engine)
    console = Console(soft_wrap=True, highlight=False)
    rows = ", ".join(f"{found.rows[name]:,} {name}" for name in ("documents", "prompts"))
    console.print(
        f"Read {found.end - found.first:,} events from position {found.first:,} on, "
        f"{len(found.snapshots)} snapshots, {rows} and {found.rows['api_keys']:,} API keys."
    )
    if shared is not None:
        console.print(f"Replicas share it: {shared.waiting:,} of their events wait in the inbox.")
        if shared.kept:
            console.print(
                f"Tombstones took the place of {shared.kept:,} damaged events; their rows are kept "
                "in the table inbox_damaged."
            )
    damages = found.damages if shared is None else [*found.damages, *shared.damages()]
    for damage in damages:
        console.print(
            f"damaged: {damage.where}: {damage.problem} (matters for: {damage.matters})",
            markup=False,
        )
    if found.recovers is None:
        console.print("A start is refused. See 'floorline store repair'.")
    else:
        console.print(f"A start recovers the state {found.recovers}.")
    if damages:
        raise typer.Exit(DAMAGED)
    console.print("Everything is whole.")


@app.command()
def repair(
    url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Repair, and lose what is listed.")] = False,
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Say what a repair of a damaged store would lose, and repair it with --yes.

    A copy of the damaged store is kept. Stop the server first. Exit code 0 if nothing is damaged
    or the store was repaired, 1 if something is damaged and nothing was changed.
    """
    chosen = store_url(url or store, config)
    opened = open_for_repair(chosen) if yes else open_read_only(chosen, ready=False)
    console = Console(soft_wrap=True, highlight=False)
    with opened as engine:
        from floorline.replication import damaged_rows
        from floorline.replication.sole_store import writing_alone
        from floorline.stores import repair as repairs

        plan = repairs.plan_repair(engine)
        shared = damaged_rows.find_damage(engine)
        others = [] if shared is None else shared.damages()
        if not plan.found.damages and not others:
            console.print("Nothing is damaged.")
            return
        if plan.found.damages:
            for line in repairs.describe(plan):
                console.print(line, markup=False)
        for damage in others:
            console.print(f"damaged: {damage.where}: {damage.problem}", markup=False)
        if shared is not None and shared.rows:
            console.print(f"A repair loses {len(shared.rows):,} events that wait for the learner.")
        if plan.impossible is not None:
            raise StoreUnavailable(f"the store cannot be repaired: {plan.impossible}")
        if not yes:
            console.print("Nothing was changed. Repair with --yes, after a stop of the server.")
            raise typer.Exit(DAMAGED)
        kept = []
        with writing_alone(engine, "floorline store repair"):
            if plan.found.damages:
                copy = repairs.repair(engine, plan, damaged_rows.copy_shared)
                kept.append(f"The damaged store is kept in {copy}.")
            if shared is not None and others:
                damaged_rows.mend(engine, shared)
                if shared.rows:
                    kept.append("Damaged rows of the inbox are kept in the table inbox_damaged.")
    console.print(" ".join(["Repaired.", *kept]), markup=False)
