"""The ``floorline store`` commands."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from floorline.cli.options import DEFAULT_CONFIG, TIME, Config, Store, age, moment, store_url
from floorline.stores.open_store import open_beside, open_read_only

app = typer.Typer(
    help="Upgrade, clean up and export the server's event log.",
    no_args_is_help=True,
)


@app.command()
def migrate(store: Store = None, config: Config = DEFAULT_CONFIG) -> None:
    """Create the tables, or upgrade them to this version of Floorline. Stop the server first."""
    with open_beside(store_url(store, config), create=True) as engine:
        from floorline.stores.lock import writer_lock
        from floorline.stores.schema import HEAD
        from floorline.stores.upgrade import upgrade

        with writer_lock(engine):
            changed = upgrade(engine)
    done = "Upgraded the tables" if changed else "Nothing to do: the tables are"
    Console().print(f"{done} {'to' if changed else 'of'} version {HEAD}.")


@app.command()
def vacuum(
    older_than: Annotated[str, typer.Option(help="Age of what is deleted, such as 30d or 12h.")],
    store: Store = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Delete old events and prompts that no restart needs. The server may run."""
    before = time.time() - age(older_than)
    with open_beside(store_url(store, config), ready=True) as engine:
        from floorline.stores.retention import vacuum as clean

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
