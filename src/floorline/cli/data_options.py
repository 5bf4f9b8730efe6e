"""Options of the commands that read routing data, and the reading of it."""

from __future__ import annotations

from typing import Annotated

import typer

from floorline.cli.terminal import data_notes
from floorline.datasets import RoutingTable, load
from floorline.datasets.prices import parse_prices
from floorline.errors import check_one_of

_FORMAT = (
    "Format of the data, instead of the one that the file shows: columns, embedllm, floorline, "
    "fusionbench, llmrouter, llmrouterbench, messplus, mixinstruct, open-llm-leaderboard, "
    "paretobandit, routerarena, routerbench, routereval or sprout. The pool of RouterEval and the "
    "score of MixInstruct may follow, as in routereval:hard/10/strong_to_weak and "
    "mixinstruct:bartscore."
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
        help="Columns of the file, as prompt=COLUMN,model:quality_column:cost_column,... or, for "
        "one row per answer, prompt=COLUMN,model=COLUMN,quality=COLUMN,cost=COLUMN; or as JSON. "
        "[default: guessed from their names]",
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help=_FORMAT),
]
Prices = Annotated[
    str | None,
    typer.Option(
        "--prices",
        help="USD per million tokens by model, for data without costs: JSON such as "
        '\'{"small": 0.2, "large": [3, 15]}\' (input, output), or a file of it.',
    ),
]


def load_table(
    spec: str,
    *,
    format: str | None = None,
    columns: str | None = None,
    gaps: str = "mask",
    prices: str | None = None,
) -> RoutingTable:
    """Load routing data, and print what its loader guesses or leaves out.

    Raises
    ------
    InvalidInput, DataError
        As ``floorline.datasets.load``.
    """
    check_one_of("--gaps", gaps, ("mask", "drop"))
    listed = None if prices is None else parse_prices(prices)
    with data_notes():
        return load(
            spec,
            format=format,
            columns=columns,
            gaps="drop" if gaps == "drop" else "mask",
            prices=listed,
        )
