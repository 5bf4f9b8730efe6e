"""Tables with one row for each answer, pivoted to one row for each prompt."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.reading import column_of, numbers, row_mean, texts
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError

log = logging.getLogger("floorline.datasets")


@dataclass(frozen=True)
class LongColumns:
    """Names of the columns of a table with one row for each answer.

    Attributes
    ----------
    prompt, model, quality
        Columns of the prompt's text, of the model's name and of the score.
    cost
        Column of the costs. Without it every call costs 0.
    task, latency, tokens_in, tokens_out
        Columns of each prompt's task, seconds per call, tokens of prompts and of answers.
    key
        Columns that identify a prompt; its task and its text if there are none.
    """

    prompt: str
    model: str
    quality: str
    cost: str | None = None
    task: str | None = None
    latency: str | None = None
    tokens_in: str | None = None
    tokens_out: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """N answers: one of a model to a prompt each.

    Attributes
    ----------
    key
        What identifies the prompt of each answer.
    prompt, model
        Text of the prompt and name of the model.
    quality, cost
        Score from 0 to 1, NaN for a gap, and cost.
    task, split
        Task and split of the prompt; None if unknown.
    latency, tokens_in, tokens_out
        Seconds, tokens of the prompt and of the answer, NaN if unknown; None if none is known.
    """

    key: Sequence[Hashable]
    prompt: Sequence[str]
    model: Sequence[str]
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    task: Sequence[str] | None = None
    split: str = ""
    latency: NDArray[np.float64] | None = None
    tokens_in: NDArray[np.float64] | None = None
    tokens_out: NDArray[np.float64] | None = None


def read_answers(
    path: Path, frame: pl.DataFrame, columns: LongColumns, *, split: str = ""
) -> Answers:
    """Read the columns of a frame with one row for each answer.

    Raises
    ------
    DataError
        If a column is missing or a cell is no number, out of range, or has a score but no cost.
    """
    quality = numbers(path, frame, columns.quality, gaps=True, high=1)
    cost = np.zeros(frame.height)
    if columns.cost is not None:
        cost = numbers(path, frame, columns.cost, gaps=True)
        check_costs(path, quality, cost, columns.cost)
    prompt = texts(path, frame, columns.prompt)
    task = None if columns.task is None else texts(path, frame, columns.task)
    key: Sequence[Hashable] = prompt if task is None else list(zip(task, prompt, strict=True))
    if columns.key:
        # A part of a key may be missing, for example the number of a prompt within its task.
        parts = [
            column_of(path, frame, name).cast(pl.String, strict=False).to_list()
            for name in columns.key
        ]
        key = list(zip(*parts, strict=True))
    optional = {
        field: numbers(path, frame, name, gaps=True)
        for field in ("latency", "tokens_in", "tokens_out")
        if (name := getattr(columns, field)) is not None
    }
    model = texts(path, frame, columns.model)
    return Answers(key, prompt, model, quality, cost, task, split, **optional)


def check_costs(
    path: Path, quality: NDArray[np.float64], cost: NDArray[np.float64], column: str
) -> None:
    """Check that every answer with a score has a cost.

    Raises
    ------
    DataError
        If one has none; the error names its row.
    """
    lost = np.isnan(cost) & ~np.isnan(quality)
    if lost.any():
        problem = "there is a score but no cost"
        raise DataError(path, problem, row=int(np.argmax(lost)) + 1, column=column)


def long_table(
    path: Path,
    parts: Sequence[Answers],
    *,
    name: str,
    source: str,
    gaps: Gaps,
    cost_unit: str = "USD",
) -> RoutingTable:
    """Make a routing table out of answers: a row for each key, a column for each model.

    Rows and models are in the order of their first answers. A model without an answer to a prompt
    has a gap there. Of several answers of one model to one prompt the first that has a score
    counts; the number of the others is logged as a warning.

    Parameters
    ----------
    path
        File or folder, for messages.
    parts
        Answers, for example of each file.
    """
    rows: dict[Hashable, int] = {}
    models: dict[str, int] = {}
    first: list[tuple[str, str, str]] = []
    row, column = [], []
    for part in parts:
        for i, key in enumerate(part.key):
            found = rows.setdefault(key, len(rows))
            if found == len(first):
                task = name if part.task is None else part.task[i]
                first.append((part.prompt[i], task, part.split))
            row.append(found)
            column.append(models.setdefault(part.model[i], len(models)))
    if not rows:
        raise DataError(path, "it holds no answer of any model")
    shape = (len(rows), len(models))
    cell = np.array(row) * shape[1] + np.array(column)
    quality = np.concatenate([part.quality for part in parts])
    # Answers with a score come before those without one, each in the order of the file.
    order = np.lexsort((np.isnan(quality), cell))
    kept = order[np.unique(cell[order], return_index=True)[1]]
    repeated = len(cell) - len(kept)
    if repeated:
        log.warning(
            "%s: %s of %s answers repeat the prompt and the model of another: left out",
            path,
            f"{repeated:,}",
            f"{len(cell):,}",
        )
    prompts, tasks, splits = (list(values) for values in zip(*first, strict=True))
    tokens_in = _optional(shape, cell, kept, [part.tokens_in for part in parts])
    table = RoutingTable(
        prompts,
        list(models),
        _pivot(shape, cell, kept, quality),
        _pivot(shape, cell, kept, np.concatenate([part.cost for part in parts])),
        cost_unit,
        task=tasks,
        split=splits,
        name=name,
        source=source,
        tokens_in=None if tokens_in is None else row_mean(tokens_in),
        tokens_out=_optional(shape, cell, kept, [part.tokens_out for part in parts]),
        latency=_optional(shape, cell, kept, [part.latency for part in parts]),
    )
    return settle_gaps(path, table, gaps)


def _optional(
    shape: tuple[int, int],
    cell: NDArray[np.int64],
    kept: NDArray[np.int64],
    parts: Sequence[NDArray[np.float64] | None],
) -> NDArray[np.float64] | None:
    """Pivot values that all parts have; None if a part lacks them."""
    given = [values for values in parts if values is not None]
    return _pivot(shape, cell, kept, np.concatenate(given)) if len(given) == len(parts) else None


def _pivot(
    shape: tuple[int, int],
    cell: NDArray[np.int64],
    kept: NDArray[np.int64],
    values: NDArray[np.float64],
) -> NDArray[np.float64]:
    table = np.full(shape[0] * shape[1], np.nan)
    table[cell[kept]] = values[kept]
    return table.reshape(shape)
