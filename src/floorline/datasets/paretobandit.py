"""Prompts of ParetoBandit: JSON lines with a judge's score and the cost of every arm.

Each line: ``prompt``, ``source`` (the benchmark it came from) and ``arms``, which maps a model to
its ``reward`` (0–1) and ``cost`` (USD).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from floorline.datasets.files import data_name
from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.json_lines import read_json_lines
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError


def load_paretobandit(path: str | Path, gaps: Gaps = "mask") -> RoutingTable:
    """Read one .jsonl file; an arm that a line lacks is a gap.

    Raises
    ------
    DataError
        If a line is not JSON, lacks a field, or has a number out of its range.
    """
    path = Path(path)
    rows = read_json_lines(path)
    models = list(dict.fromkeys(arm for i, row in enumerate(rows) for arm in _arms(path, i, row)))
    quality = np.full((len(rows), len(models)), np.nan)
    cost = np.full((len(rows), len(models)), np.nan)
    prompts, tasks = [], []
    for i, row in enumerate(rows):
        prompts.append(_text(path, i, row, "prompt"))
        tasks.append(_text(path, i, row, "source") if "source" in row else data_name(path))
        for m, model in enumerate(models):
            arm = row["arms"].get(model)
            if arm is None:
                continue
            where = f"arms.{model}"
            if not isinstance(arm, dict):
                raise DataError(path, "not an object", row=i + 1, column=where)
            quality[i, m] = _amount(path, i, arm.get("reward"), f"{where}.reward", 1)
            cost[i, m] = _amount(path, i, arm.get("cost"), f"{where}.cost", math.inf)
    table = RoutingTable(
        prompts,
        models,
        quality,
        cost,
        task=tasks,
        name=data_name(path),
        source=f"ParetoBandit layout, {path.name}",
    )
    return settle_gaps(path, table, gaps)


def _arms(path: Path, i: int, row: dict[str, Any]) -> dict[str, Any]:
    arms = row.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise DataError(path, "no object of models", row=i + 1, column="arms")
    return arms


def _text(path: Path, i: int, row: dict[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise DataError(path, "the text is missing", row=i + 1, column=field)
    return value


def _amount(path: Path, i: int, value: Any, column: str, high: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or not 0 <= value <= high:
        limit = "of 0 or more" if math.isinf(high) else f"from 0 to {high:g}"
        raise DataError(path, f"{value!r:.40} is not a number {limit}", row=i + 1, column=column)
    return float(value)
