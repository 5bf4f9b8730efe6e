"""Columns of each model in a frame with one row per prompt, read into arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from floorline.datasets.reading import numbers, stack, texts
from floorline.errors import DataError


@dataclass(frozen=True)
class ModelColumns:
    """Names of the columns of one model: scores and, if there are any, costs, latencies in s and
    output tokens. Without a column of costs every call costs 0.
    """

    quality: str
    cost: str | None = None
    latency: str | None = None
    tokens_out: str | None = None


def read_models(
    path: str | Path,
    frame: pl.DataFrame,
    models: Mapping[str, ModelColumns],
    *,
    task: str | None,
) -> dict[str, Any]:
    """Read the columns of models as arguments of a ``RoutingTable``.

    Parameters
    ----------
    path
        File or name of the frame, for messages.
    models
        Columns by model name, in the order of the table.
    task
        Column with each row's task; None if there is none.

    Raises
    ------
    DataError
        If a column is missing or a cell is no number, out of range, or has a score but no cost.
    """
    columns = list(models.values())
    quality = stack([numbers(path, frame, c.quality, gaps=True, high=1) for c in columns])
    cost = stack(
        [
            np.zeros(frame.height) if c.cost is None else numbers(path, frame, c.cost, gaps=True)
            for c in columns
        ]
    )
    lost = np.isnan(cost) & ~np.isnan(quality)
    if lost.any():
        row, m = np.argwhere(lost)[0]
        raise DataError(
            path, "there is a score but no cost", row=int(row) + 1, column=columns[m].cost
        )
    latency = [numbers(path, frame, c.latency, gaps=True) for c in columns if c.latency]
    tokens = [numbers(path, frame, c.tokens_out, gaps=True) for c in columns if c.tokens_out]
    return {
        "models": list(models),
        "quality": quality,
        "cost": cost,
        "task": None if task is None else texts(path, frame, task),
        "latency": stack(latency) if len(latency) == len(columns) else None,
        "tokens_out": stack(tokens) if len(tokens) == len(columns) else None,
    }
