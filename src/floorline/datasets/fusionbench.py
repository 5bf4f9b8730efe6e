"""FusionBench (FusionFactory, arXiv 2507.10540) as its public code writes it: one row an answer.

``task_name, task_id, query, ground_truth, llm, input_tokens_num, output_tokens_num, performance,
cost`` and others. ``performance`` is a number or a text such as ``{'pass@1': 1.0}``. ``cost`` is
tokens times USD per million tokens, thus millionths of a dollar. The model ``X_think`` is the
model ``X`` that got the query with a request to think, in the row after that of ``X``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from floorline.datasets.delimited import read_csv
from floorline.datasets.files import data_name, kind_of, split_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.long import Answers, LongColumns, long_table, read_answers
from floorline.datasets.prices import token_costs
from floorline.datasets.reading import read_frame, read_parquet
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError

log = logging.getLogger("floorline.datasets")

COLUMNS = frozenset({"task_name", "query", "llm", "performance"})
"""Columns by which a file of this layout is told."""

_WANTED = {"input_tokens_num", "output_tokens_num", "cost", *COLUMNS}
_THINK = "_think"
_MILLIONTHS = 1e-3
"""USD per token above which costs cannot be dollars: 1,000 USD per million tokens."""


def load_fusionbench(
    path: str | Path, gaps: Gaps = "mask", prices: Mapping[str, Any] | None = None
) -> RoutingTable:
    """Read one .csv, .jsonl or .parquet file.

    Parameters
    ----------
    prices
        USD per million tokens by model, instead of the costs of the file.

    Raises
    ------
    DataError
        If the file is damaged, lacks a column, or a cell is not a number in its range.
    InvalidInput
        If a model has no price.
    """
    path = Path(path)
    frame = _plain_scores(_read(path))
    tokens = [name for name in ("input_tokens_num", "output_tokens_num") if name in frame.columns]
    counted = len(tokens) == 2
    columns = LongColumns(
        prompt="query",
        model="llm",
        quality="performance",
        cost="cost" if prices is None else None,
        task="task_name" if "task_name" in frame.columns else None,
        tokens_in="input_tokens_num" if counted else None,
        tokens_out="output_tokens_num" if counted else None,
    )
    answers = read_answers(path, frame, columns, split=split_of(path))
    if prices is None:
        answers = _in_dollars(path, answers)
    elif answers.tokens_in is None or answers.tokens_out is None:
        problem = "there are prices but no input_tokens_num and output_tokens_num"
        raise DataError(path, problem)
    else:
        paid = token_costs(answers.model, prices, answers.tokens_in, answers.tokens_out)
        answers = replace(answers, cost=paid)
    return long_table(
        path,
        [_joined(answers)],
        name=data_name(path),
        source=f"FusionBench layout, {path.name}",
        gaps=gaps,
    )


def _read(path: Path) -> pl.DataFrame:
    kind = kind_of(path)
    # Embeddings and responses are most of the file.
    if kind == "csv":
        return read_csv(path, _WANTED.__contains__)
    if kind == "parquet":
        return read_parquet(path, _WANTED.__contains__)
    return read_frame(path)


def _plain_scores(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn scores such as ``{'pass@1': 1.0}`` into numbers."""
    if "performance" not in frame.columns or frame["performance"].dtype != pl.String:
        return frame
    inside = pl.col("performance").str.extract(
        r"^\s*\{\s*['\"]pass@1['\"]\s*:\s*([^,}]*?)\s*\}\s*$"
    )
    inside = inside.str.replace(r"^(?:np\.)?float\d*\((.*)\)$", "$1")
    return frame.with_columns(pl.coalesce(inside, pl.col("performance")).alias("performance"))


def _in_dollars(path: Path, answers: Answers) -> Answers:
    if answers.tokens_in is None or answers.tokens_out is None:
        return answers
    tokens = answers.tokens_in + answers.tokens_out
    known = (tokens > 0) & ~np.isnan(answers.cost)
    if not known.any() or np.median(answers.cost[known] / tokens[known]) <= _MILLIONTHS:
        return answers
    log.warning("%s: costs are tokens times USD per million; divided by a million", path)
    return replace(answers, cost=answers.cost / 1e6)


def _joined(answers: Answers) -> Answers:
    """Give ``X_think`` the prompt of ``X``, so that both answer the same request."""
    plain: dict[Any, tuple[Any, str]] = {}
    for i in range(1, len(answers.model)):
        if answers.model[i] == answers.model[i - 1] + _THINK:
            plain[answers.key[i]] = (answers.key[i - 1], answers.prompt[i - 1])
    key, prompt = list(answers.key), list(answers.prompt)
    for i, model in enumerate(answers.model):
        if model.endswith(_THINK) and key[i] in plain:
            key[i], prompt[i] = plain[key[i]]
    return replace(answers, key=key, prompt=prompt)
