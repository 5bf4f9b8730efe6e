"""The ``floorline train`` commands."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from floorline.cli.data_options import Columns, Format, Prices, load_table
from floorline.encoders import make_encoder
from floorline.errors import MissingExtra
from floorline.training import TrainingSettings, split_parts, target_range
from floorline.training.train_checkpoint import train_checkpoint

app = typer.Typer(
    help="Train the network of a policy that cannot serve without one.", no_args_is_help=True
)


@app.callback()
def _root() -> None:
    """Make typer treat 'proteus' as a subcommand although it is the only one."""


@app.command()
def proteus(
    data: Annotated[
        str, typer.Option(help="Data set: a name that 'floorline datasets list' shows, or a path.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint.")],
    columns: Columns = None,
    format: Format = None,
    prices: Prices = None,
    encoder: Annotated[
        str, typer.Option(help="Encoder: hashed, hashed:sparse, lsa:PATH or minilm:PATH.")
    ] = "hashed",
    tau_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Lowest and highest floor to train for. [default: mean quality of the cheapest "
            "model to mean quality of the best model]"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 10_000,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split of the rows and of the training.")
    ] = 0,
    margin: Annotated[
        float,
        typer.Option(help="Train for each floor plus this margin, in satisfaction (the paper: 0)."),
    ] = 0.0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the interrupted training in the folder of --out."),
    ] = False,
) -> None:
    """Train PROTEUS's network; serve it with --policy proteus --param checkpoint=FOLDER.

    A quarter of the rows, chosen by the seed, is held out for the test: training never uses it.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("training PROTEUS", "train")
    table = load_table(data, format=format, columns=columns, prices=prices)
    parts = split_parts(table, seed=seed)
    targets = target_range(parts.train) if tau_range is None else tau_range
    settings = TrainingSettings(targets=targets, seed=seed, steps=steps, margin=margin)
    shown = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("accuracy {task.fields[accuracy]:.3f}  λ {task.fields[dual]:.2f}"),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    console = Console(stderr=True)
    with Progress(*shown, console=console, transient=True) as bar:
        task = bar.add_task("train", total=steps, accuracy=0.0, dual=0.0, loss=0.0)
        written = train_checkpoint(
            table,
            parts,
            make_encoder(encoder),
            settings,
            out,
            resume=resume,
            progress=lambda now: bar.update(
                task, completed=now.step, accuracy=now.accuracy, dual=now.dual, loss=now.loss
            ),
        )
    for path in written:
        Console().print(f"wrote {path}", highlight=False, soft_wrap=True)
