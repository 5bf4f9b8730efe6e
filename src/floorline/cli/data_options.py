"""Options of the commands that read routing data, and the reading of it."""

from __future__ import annotations

from typing import Annotated

import typer

from floorline.cli.terminal import data_notes
from floorline.datasets import RoutingTable, load
from floorline.errors import check_one_of

_FORMAT = (
    "Format of the data, instead of the one that the file shows: columns, floorline, messplus, "
    "open-llm-leaderboard, paretobandit, routerbench or sprout."
)

Gaps = Annotated[
    str,
    typer.Option(
        "--gaps",
        help="Rows with missing scores: 'mask' keeps them and marks the scores as unknown, 'drop' "
        "removes them.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Columns of the file, as prompt=COLUMN,model:quality_column:cost_column,... or as "
        "JSON. [default: guessed from their names]",
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help=_FORMAT),
]


def load_table(
    spec: str, *, format: str | None = None, columns: str | None = None, gaps: str = "mask"
) -> RoutingTable:
    """Load routing data, and print what its loader guesses or leaves out.

    Raises
    ------
    InvalidInput, DataError
        As ``floorline.datasets.load``.
    """
    check_one_of("--gaps", gaps, ("mask", "drop"))
    with data_notes():
        return load(spec, format=format, columns=columns, gaps="drop" if gaps == "drop" else "mask")
