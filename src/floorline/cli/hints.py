"""The ``floorline hints`` command."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import numpy as np
import typer

from floorline.cli.data_options import Columns, Format, Gaps, load_table
from floorline.cli.terminal import note
from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput, check_number, listed
from floorline.zoo import MAX_HINT_WEIGHT

MAX_WEIGHT = 100.0
"""Most labels that a hint from an evaluation is worth. Means over other prompts than the users' own
are off by about .05, however many they are; a mean of 100 labels is off by √(.2/100) = .045."""
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
"""Words that YAML does not read as texts."""


def hints(
    data: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Evaluation: one row for each prompt, with each model's score. Any table that "
            "'floorline replay --data' reads, such as one of 'floorline trial'.",
        ),
    ],
    format: Format = None,
    columns: Columns = None,
    gaps: Gaps = "mask",
    max_weight: Annotated[
        float,
        typer.Option(
            help="Most labels that a hint is worth. Means over other prompts than your users' own "
            "are off by about .05 however many they are, and so is a mean of 100 labels."
        ),
    ] = MAX_WEIGHT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
) -> None:
    """Print the section 'hints' of floorline.yaml from an evaluation of the models.

    A hint is a model's mean score; its weight is the number of scores, up to --max-weight.
    """
    check_number(
        "--max-weight",
        max_weight,
        low=1.0,
        high=MAX_HINT_WEIGHT,
        fix=f"give a number of labels from 1 to {MAX_HINT_WEIGHT:g}",
    )
    table = load_table(data, format=format, columns=columns, gaps=gaps)
    found = hints_of(table, max_weight)
    unknown = [name for name in table.models if name not in found]
    if not found:
        fix = "fill in scores from 0 to 1 first"
        raise InvalidInput("FILE", data, f"no model has a score: {fix}")
    if unknown:
        note(f"models without a score have no hint: {listed(unknown)}")
    typer.echo(json.dumps({"hints": found}, indent=2) if as_json else _yaml(found))


def hints_of(table: RoutingTable, max_weight: float = MAX_WEIGHT) -> dict[str, dict[str, float]]:
    """Return the mean score and the weight of each model that has scores, by its name."""
    known = (~np.isnan(table.quality)).sum(axis=0).tolist()
    sums = np.nansum(table.quality.astype(np.float64), axis=0).tolist()
    return {
        name: {"quality": round(total / count, 4), "weight": min(float(count), max_weight)}
        for name, count, total in zip(table.models, known, sums, strict=True)
        if count
    }


def _yaml(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        f"  {_key(name)}: {{quality: {hint['quality']:g}, weight: {hint['weight']:g}}}"
        for name, hint in found.items()
    ]
    return "\n".join(["hints:", *lines])


def _key(name: str) -> str:
    """Write a name as a key of YAML; texts of JSON are texts of YAML, too."""
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name)
