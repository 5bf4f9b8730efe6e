"""Tables with one row per prompt and, for each model, a column of scores and one of costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.model_columns import ModelColumns, read_models
from floorline.datasets.table import RoutingTable


def wide_table(
    path: Path,
    frame: pl.DataFrame,
    models: Mapping[str, ModelColumns],
    *,
    prompts: list[str],
    task: str | None,
    cost_unit: str,
    name: str,
    source: str,
    gaps: Gaps,
) -> RoutingTable:
    """Make a routing table out of a frame's columns.

    Parameters
    ----------
    models
        Columns by model name, in the order of the table.
    task
        Column with each row's task; the name of the table stands for it if None.

    Raises
    ------
    DataError
        If a column is missing or a cell is no number, out of range, or has a score but no cost.
    """
    found = read_models(path, frame, models, task=task)
    table = RoutingTable(prompts, cost_unit=cost_unit, name=name, source=source, **found)
    return settle_gaps(path, table, gaps)
