"""Routing data of ulab's LLMRouter: JSON lines with one row for each answer.

``task_name, query, ground_truth, metric, model_name, response, input_tokens, output_tokens,
token_num, response_time, performance`` and others. The data has no costs: token counts and a list
of prices give them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from floorline.datasets.files import data_name, split_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.long import Answers, LongColumns, long_table, read_answers
from floorline.datasets.prices import token_costs
from floorline.datasets.reading import numbers, read_frame
from floorline.datasets.table import RoutingTable
from floorline.errors import InvalidInput

log = logging.getLogger("floorline.datasets")

COLUMNS = frozenset({"task_name", "query", "model_name", "performance"})
"""Columns by which a file of this layout is told."""

PRICES: Mapping[str, float] = {
    "codegemma-7b": 0.2,
    "gemma-2-9b-it": 0.1,
    "llama-3.1-8b-instruct": 0.2,
    "llama-3.1-nemotron-51b-instruct": 0.9,
    "llama-3.3-nemotron-super-49b-v1": 0.9,
    "llama3-70b-instruct": 0.9,
    "llama3-chatqa-1.5-70b": 0.9,
    "llama3-chatqa-1.5-8b": 0.2,
    "mistral-7b-instruct-v0.3": 0.2,
    "mistral-nemo-12b-instruct": 0.3,
    "mixtral-8x22b-instruct-v0.1": 1.2,
    "mixtral-8x7b-instruct-v0.1": 0.6,
    "palmyra-creative-122b": 1.8,
    "qwen2.5-7b-instruct": 0.2,
}
"""USD per million tokens: LLMRouter's own list, the same for input and output."""

_KEY = ("task_name", "query", "ground_truth", "metric")
"""What identifies a query, by LLMRouter's documentation."""


def load_llmrouter(
    path: str | Path, gaps: Gaps = "mask", prices: Mapping[str, Any] | None = None
) -> RoutingTable:
    """Read one .jsonl, .csv or .parquet file.

    Parameters
    ----------
    prices
        USD per million tokens by model, as in LLMRouter's file of candidates; ``PRICES`` if not
        given. A column ``cost`` (USD), which LLMRouter does not write, comes before ``PRICES``.

    Raises
    ------
    DataError
        If the file is damaged, lacks a column, or a cell is not a number in its range.
    InvalidInput
        If ``prices`` are given but lack a model, or the file has no tokens.
    """
    path = Path(path)
    frame = read_frame(path)
    names = frame.columns
    counted = {"input_tokens", "output_tokens"} <= set(names)
    columns = LongColumns(
        prompt="query",
        model="model_name",
        quality="performance",
        cost="cost" if "cost" in names and prices is None else None,
        task="task_name" if "task_name" in names else None,
        latency="response_time" if "response_time" in names else None,
        tokens_in="input_tokens" if counted else None,
        tokens_out="output_tokens" if counted else None,
        key=tuple(name for name in _KEY if name in names),
    )
    answers = read_answers(path, frame, columns, split=split_of(path))
    if columns.cost is None:
        answers = _priced(path, frame, answers, prices)
    return long_table(
        path,
        [answers],
        name=data_name(path),
        source=f"LLMRouter layout, {path.name}",
        gaps=gaps,
    )


def _priced(
    path: Path, frame: pl.DataFrame, answers: Answers, prices: Mapping[str, Any] | None
) -> Answers:
    tokens_in, tokens_out = answers.tokens_in, answers.tokens_out
    if tokens_in is None and "token_num" in frame.columns:
        # Without the parts of the sum all tokens count at the price of input.
        tokens_in = numbers(path, frame, "token_num", gaps=True)
    if tokens_in is None:
        if prices is not None:
            fix = f"{path} has no columns of tokens that these prices could be multiplied by"
            raise InvalidInput("prices", sorted(prices), fix)
        log.warning("%s: it has neither costs nor tokens; each call costs 0", path)
        return answers
    unpriced = sorted(set(answers.model) - set(PRICES)) if prices is None else []
    if unpriced:
        log.warning(
            "%s: no price is known of %s; each call costs 0; give prices with --prices",
            path,
            unpriced[0],
        )
        return answers
    listed = PRICES if prices is None else prices
    paid = token_costs(answers.model, listed, tokens_in, 0.0 if tokens_out is None else tokens_out)
    return replace(answers, cost=paid)
