"""EmbedLLM (Zhuang et al. 2025, arXiv 2410.02223): a long CSV with one row for each answer.

``prompt_id, model_id, category_id, prompt, label, category, model_name``; ``label`` is 0 or 1. The
data has neither costs nor answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from floorline.datasets.delimited import read_csv
from floorline.datasets.files import data_name, kind_of, split_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.long import LongColumns, long_table, read_answers
from floorline.datasets.prices import estimated_tokens, token_costs
from floorline.datasets.reading import read_frame
from floorline.datasets.table import RoutingTable

log = logging.getLogger("floorline.datasets")

COLUMNS = frozenset({"prompt_id", "model_id", "prompt", "label"})
"""Columns by which a file of this layout is told."""

_WANTED = {*COLUMNS, "category", "model_name"}


def load_embedllm(
    path: str | Path, gaps: Gaps = "mask", prices: Mapping[str, Any] | None = None
) -> RoutingTable:
    """Read one .csv or .parquet file; a model is called by ``model_name`` if there is this column.

    Parameters
    ----------
    prices
        USD per million tokens by model; a prompt has a quarter of its characters as tokens, and
        answers are not counted. Without prices each call costs 0.

    Raises
    ------
    DataError
        If the file is damaged, lacks a column, or a cell is not a number in its range.
    InvalidInput
        If a model has no price.
    """
    path = Path(path)
    frame = read_csv(path, _WANTED.__contains__) if kind_of(path) == "csv" else read_frame(path)
    columns = LongColumns(
        prompt="prompt",
        model="model_name" if "model_name" in frame.columns else "model_id",
        quality="label",
        task="category" if "category" in frame.columns else None,
        key=("prompt_id",),
    )
    answers = read_answers(path, frame, columns, split=split_of(path))
    if prices is None:
        log.warning("%s: it has no costs; each call costs 0; give prices with --prices", path)
    else:
        paid = token_costs(answers.model, prices, estimated_tokens(answers.prompt))
        answers = replace(answers, cost=paid)
    return long_table(
        path,
        [answers],
        name=data_name(path),
        source=f"EmbedLLM layout, {path.name}",
        gaps=gaps,
    )
