"""The ``floorline datasets`` commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from floorline.cli.data_options import Columns, Format, Gaps, Prices, load_table
from floorline.datasets.fetch import SOURCES
from floorline.datasets.fetch import fetch as fetch_data
from floorline.datasets.registry import available
from floorline.datasets.summary import Summary
from floorline.errors import InvalidInput

app = typer.Typer(
    help="List, describe, convert and fetch routing data: the quality and cost of each model on "
    "each prompt.",
    no_args_is_help=True,
)

_SPEC = "Name that 'floorline datasets list' shows, or path of a file or folder."

Spec = Annotated[str, typer.Argument(help=_SPEC)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the data sets that can be loaded by name, with their size."""
    found = available()
    if as_json:
        _print_json([vars(entry) for entry in found])
        return
    table = Table("name", "rows", "models", title="Data sets")
    for entry in found:
        size = ("-", entry.problem) if entry.problem else (f"{entry.rows:,}", str(entry.models))
        table.add_row(entry.name, *size)
    Console().print(table)


@app.command()
def describe(
    spec: Spec,
    format: Format = None,
    columns: Columns = None,
    gaps: Gaps = "mask",
    prices: Prices = None,
    as_json: Json = False,
) -> None:
    """Show what each model scores and costs on a data set, overall and per task."""
    table = load_table(spec, format=format, columns=columns, gaps=gaps, prices=prices)
    summary = table.describe()
    if as_json:
        _print_json(summary.as_dict())
    else:
        _show(summary)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help=_SPEC)],
    target: Annotated[Path, typer.Argument(help="Parquet file to write; ends in .parquet.")],
    format: Format = None,
    columns: Columns = None,
    gaps: Gaps = "mask",
    prices: Prices = None,
) -> None:
    """Convert routing data of any known format into one Parquet file, which loads faster."""
    if target.suffix != ".parquet":
        raise InvalidInput("target", str(target), "give it a name that ends in .parquet")
    table = load_table(source, format=format, columns=columns, gaps=gaps, prices=prices)
    table.save(target)
    Console().print(f"Wrote {len(table):,} rows × {len(table.models)} models to {target}.")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Data set: " + ", ".join(SOURCES) + ".")],
    folder: Annotated[Path, typer.Argument(help="Folder to write into.")],
) -> None:
    """Download a public data set from the Hugging Face hub."""
    Console().print(f"Downloaded into {fetch_data(name, folder)}.")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _show(summary: Summary) -> None:
    console = Console()
    kind = "simulated" if summary.simulated else "measured"
    console.print(f"{summary.name}: {summary.rows:,} rows, {kind}. {summary.source}", markup=False)
    if summary.incomplete_rows:
        console.print(f"{summary.incomplete_rows:,} rows have missing scores; the means omit them.")
    models = Table("model", "mean quality", f"mean cost ({summary.cost_unit})", "gaps")
    for model in summary.models:
        cost = "-" if model.mean_cost is None else f"{model.mean_cost:.4g}"
        models.add_row(model.model, _share(model.mean_quality), cost, f"{model.gaps:.1%}")
    console.print(models)
    if len(summary.tasks) > 1:
        tasks = Table("task", "rows", "best model", "quality", "cheapest", "quality")
        cheapest = summary.models[0].model
        for task in summary.tasks:
            means = task.mean_quality
            best = max(means, key=lambda name: -1.0 if means[name] is None else means[name] or 0.0)
            row = (best, _share(means[best]), cheapest, _share(means[cheapest]))
            tasks.add_row(task.task, f"{task.rows:,}", *row)
        console.print(tasks)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
