"""MixInstruct (LLM-Blender, arXiv 2306.02561): JSON lines with the candidates of every model.

Each line: ``id`` (``source/number``), ``instruction``, ``input`` and ``candidates``, a list of
``model``, ``text`` and ``scores`` by metric. The data has no costs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from floorline.datasets.files import data_name, split_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.json_lines import read_json_lines
from floorline.datasets.long import Answers, long_table
from floorline.datasets.prices import estimated_tokens, token_costs
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, check_one_of

log = logging.getLogger("floorline.datasets")

METRICS = ("bertscore", "bartscore", "bleu", "rouge1", "rouge2", "rougeL", "rougeLsum")
"""Scores that a table can hold. ``bartscore`` is a mean log probability; its exponential counts."""

_ROUNDING = 1e-4
"""BERTScore of equal texts is 1 up to the rounding of float32."""


def load_mixinstruct(
    path: str | Path,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
    variant: str = "",
) -> RoutingTable:
    """Read one .jsonl file; a candidate that a line lacks is a gap.

    Parameters
    ----------
    prices
        USD per million tokens by model; a text has a quarter of its characters as tokens. Without
        prices each call costs 0.
    variant
        The score that counts, one of ``METRICS``; "bertscore" if empty.

    Raises
    ------
    DataError
        If a line is not JSON, lacks a field, or has a score out of its range.
    InvalidInput
        If there is no such score or a model has no price.
    """
    path = Path(path)
    metric = variant or "bertscore"
    check_one_of("score of MixInstruct", metric, METRICS)
    key, prompts, models, texts, tasks, quality = [], [], [], [], [], []
    for i, row in enumerate(read_json_lines(path)):
        prompt = _prompt(path, i, row)
        task = str(row.get("id", "")).rpartition("/")[0] or data_name(path)
        for candidate in _candidates(path, i, row):
            key.append((str(row.get("id", i)), prompt))
            prompts.append(prompt)
            tasks.append(task)
            models.append(candidate["model"])
            texts.append(candidate.get("text") or "")
            quality.append(_score(path, i, candidate, metric))
    tokens_in, tokens_out = estimated_tokens(prompts), estimated_tokens(texts)
    answers = Answers(
        key,
        prompts,
        models,
        np.array(quality),
        np.zeros(len(key)),
        tasks,
        split_of(path),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )
    if prices is None:
        log.warning("%s: it has no costs; each call costs 0; give prices with --prices", path)
    else:
        answers = replace(answers, cost=token_costs(models, prices, tokens_in, tokens_out))
    return long_table(
        path,
        [answers],
        name=data_name(path),
        source=f"MixInstruct, {metric}, {path.name}",
        gaps=gaps,
    )


def _prompt(path: Path, i: int, row: dict[str, Any]) -> str:
    parts = [row.get("instruction"), row.get("input")]
    for field, part in zip(("instruction", "input"), parts, strict=True):
        if part is not None and not isinstance(part, str):
            raise DataError(path, "not a text", row=i + 1, column=field)
    prompt = "\n".join(part for part in parts if part)
    if not prompt:
        raise DataError(path, "the text is missing", row=i + 1, column="instruction")
    return prompt


def _candidates(path: Path, i: int, row: dict[str, Any]) -> list[dict[str, Any]]:
    found = row.get("candidates")
    if not isinstance(found, list):
        raise DataError(path, "no list of candidates", row=i + 1, column="candidates")
    for candidate in found:
        named = isinstance(candidate, dict) and isinstance(candidate.get("model"), str)
        if not named or not isinstance(candidate.get("text"), str | None):
            problem = "a candidate is an object with the texts model and text"
            raise DataError(path, problem, row=i + 1, column="candidates")
    return found


def _score(path: Path, i: int, candidate: dict[str, Any], metric: str) -> float:
    scores = candidate.get("scores")
    value = scores.get(metric) if isinstance(scores, dict) else None
    where = f"{candidate['model']}.scores.{metric}"
    if value is None:
        return math.nan
    try:
        # Some copies write scores as texts.
        number = float(value) if not isinstance(value, bool) else math.inf
    except (TypeError, ValueError):
        number = math.inf
    number = math.exp(min(number, 1)) if metric == "bartscore" else number
    if not 0 <= number <= 1 + _ROUNDING:
        raise DataError(path, f"{value!r:.40} is not a score from 0 to 1", row=i + 1, column=where)
    return min(number, 1.0)
