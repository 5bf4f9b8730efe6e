"""Tables with one row per prompt and, per model, a column each for score and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.reading import numbers, stack, texts
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError


@dataclass(frozen=True)
class ModelColumns:
    """Where to find one model: names of its columns; latency in s and output tokens if any."""

    quality: str
    cost: str
    latency: str | None = None
    tokens_out: str | None = None


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
        Name to columns, in the order the table shall have.
    task
        The column that names each row's task; the table's name stands for it if None.

    Raises
    ------
    DataError
        If a column is missing or a cell is no number, out of range, or has a score but no cost.
    """
    columns = list(models.values())
    quality = stack([numbers(path, frame, c.quality, gaps=True, high=1) for c in columns])
    cost = stack([numbers(path, frame, c.cost, gaps=True) for c in columns])
    lost = np.isnan(cost) & ~np.isnan(quality)
    if lost.any():
        row, m = np.argwhere(lost)[0]
        raise DataError(
            path, "there is a score but no cost", row=int(row) + 1, column=columns[m].cost
        )
    latency = [numbers(path, frame, c.latency, gaps=True) for c in columns if c.latency]
    tokens = [numbers(path, frame, c.tokens_out, gaps=True) for c in columns if c.tokens_out]
    table = RoutingTable(
        prompts,
        list(models),
        quality,
        cost,
        cost_unit=cost_unit,
        task=None if task is None else texts(path, frame, task),
        latency=stack(latency) if len(latency) == len(columns) else None,
        tokens_out=stack(tokens) if len(tokens) == len(columns) else None,
        name=name,
        source=source,
    )
    return settle_gaps(path, table, gaps)
