"""SPROUT (Somerstep et al. 2025, arXiv 2502.03261) as the hub publishes it.

``key, dataset, dataset_level, dataset_idx, prompt, golden_answer`` and per model one structure of
``num_input_tokens``, ``num_output_tokens``, ``response`` and ``score`` (0–1). It has token counts
but no costs; a list of prices gives the costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from floorline.datasets.gaps import Gaps, settle_gaps
from floorline.datasets.prices import check_prices
from floorline.datasets.reading import numbers, read_parquet, row_mean, stack, texts
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError

PRICES: Mapping[str, tuple[float, float]] = {
    "aws-claude-3-5-sonnet-v1": (3.0, 15.0),
    "aws-titan-text-premier-v1": (0.8, 3.2),
    "openai-gpt-4o": (2.5, 10.0),
    "openai-gpt-4o-mini": (0.15, 0.6),
    "openai-o3-mini": (1.1, 4.4),
    "wxai-granite-3-2b-instruct-8k-max-tokens": (0.1, 0.1),
    "wxai-granite-3-8b-instruct-8k-max-tokens": (0.2, 0.2),
    "wxai-llama-3-1-70b-instruct": (0.9, 0.9),
    "wxai-llama-3-1-8b-instruct": (0.2, 0.2),
    "wxai-llama-3-2-1b-instruct": (0.06, 0.06),
    "wxai-llama-3-2-3b-instruct": (0.06, 0.06),
    "wxai-llama-3-3-70b-instruct": (0.9, 0.9),
    "wxai-llama-3-405b-instruct": (3.5, 3.5),
    "wxai-mixtral-8x7b-instruct-v01": (0.6, 0.6),
}
"""USD per million (input, output) tokens: CARROT's own list; for o3-mini OpenAI's of 2025."""

_SPLITS = {"train": "train", "validation": "train", "test": "test"}
_FIELDS = {"score", "num_input_tokens", "num_output_tokens"}


def load_sprout(
    path: str | Path,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
) -> RoutingTable:
    """Read one .parquet file.

    The file's name gives the split: ``test-…`` is "test"; ``train-…`` and ``validation-…``
    are "train", as CARROT uses them. ``tokens_in`` is the mean over the models' tokenisers.

    Parameters
    ----------
    prices
        Name → USD per million tokens, as for ``check_prices``; ``PRICES`` if not given.

    Raises
    ------
    DataError
        If the file is damaged, has another layout, or a cell is not a number in its range.
    InvalidInput
        If a model has no price.
    """
    path = Path(path)
    frame = read_parquet(path)
    models = [name for name, dtype in frame.schema.items() if is_answer(dtype)]
    if not models:
        raise DataError(path, "not SPROUT's layout: no column holds score and token counts")
    listed = check_prices(PRICES if prices is None else prices, models)
    quality, cost, tokens_in, tokens_out = [], [], [], []
    for name in models:
        # Errors name the column and the field.
        cells = frame.select(
            pl.col(name).struct.field(field).alias(f"{name}.{field}") for field in sorted(_FIELDS)
        )
        score = numbers(path, cells, f"{name}.score", gaps=True, high=1)
        counts = [
            numbers(path, cells, f"{name}.num_{side}_tokens", gaps=True)
            for side in ("input", "output")
        ]
        for side, count in zip(("input", "output"), counts, strict=True):
            lost = np.isnan(count) & ~np.isnan(score)
            if lost.any():
                raise DataError(
                    path,
                    "there is a score but no token count",
                    row=int(np.argmax(lost)) + 1,
                    column=f"{name}.num_{side}_tokens",
                )
        price_in, price_out = listed[name]
        quality.append(score)
        cost.append((counts[0] * price_in + counts[1] * price_out) / 1e6)
        tokens_in.append(counts[0])
        tokens_out.append(counts[1])
    split = _SPLITS.get(path.stem.split("-")[0], "")
    table = RoutingTable(
        texts(path, frame, "prompt"),
        models,
        stack(quality),
        stack(cost),
        task=texts(path, frame, "dataset") if "dataset" in frame.columns else None,
        split=[split] * frame.height,
        tokens_in=row_mean(stack(tokens_in)),
        tokens_out=stack(tokens_out),
        name=path.stem,
        source=f"SPROUT layout, {path.name}",
    )
    return settle_gaps(path, table, gaps)


def is_answer(dtype: pl.DataType) -> bool:
    """Tell whether a column's type is SPROUT's structure of score and token counts."""
    return isinstance(dtype, pl.Struct) and {field.name for field in dtype.fields} >= _FIELDS
