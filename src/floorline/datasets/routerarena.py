"""RouterArena (arXiv 2510.00202): its cached results, its submissions and its score.

``cached_results/<model>.jsonl`` has one line for each prompt: ``global_index``, ``question``,
``llm_selected``, ``token_usage`` (``input_tokens``, ``output_tokens``) and ``evaluation_result``
(``score``, ``inference_cost`` in USD). The files of a folder are one table.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from floorline._files import write_whole
from floorline.datasets.files import data_name
from floorline.datasets.folders import tree_files
from floorline.datasets.gaps import Gaps
from floorline.datasets.json_lines import read_json_frame
from floorline.datasets.long import Answers, LongColumns, long_table, read_answers
from floorline.datasets.reading import column_of
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, InvalidInput

log = logging.getLogger("floorline.datasets")

_SCORE, _COST = "evaluation_result.score", "evaluation_result.inference_cost"
_INDEX = "global_index"
_BETA = 0.1
_COST_RANGE = (0.0044, 200.0)
"""USD per 1,000 requests of the cheapest and the dearest model, by RouterArena's evaluation."""


def load_routerarena(path: str | Path, gaps: Gaps = "mask") -> RoutingTable:
    """Read one file, or the files of a folder: one of each model.

    A line without an evaluation is a gap. The task of a prompt is what its ``global_index`` begins
    with, as in ``AIME_112``.

    Raises
    ------
    DataError
        If a file is damaged, lacks a field, or has a number out of its range.
    """
    path = Path(path)
    return long_table(
        path,
        _parts(path),
        name=path.name if path.is_dir() else data_name(path),
        source=f"RouterArena layout, {path.name}",
        gaps=gaps,
    )


def global_indices(path: str | Path, table: RoutingTable) -> list[str]:
    """Return the ``global_index`` of each row of a table of this file or folder.

    Raises
    ------
    InvalidInput
        If the table has a prompt that the files do not have.
    """
    known: dict[str, tuple[str, str]] = {}
    for part in _parts(Path(path)):
        for key, prompt, task in zip(part.key, part.prompt, part.task or (), strict=True):
            known.setdefault(str(key), (task, prompt))
    left: dict[tuple[str, str], list[str]] = {}
    for index, row in known.items():
        left.setdefault(row, []).append(index)
    found = []
    for row in zip(table.task, table.prompts, strict=True):
        if not left.get(row):
            raise InvalidInput("prompt", row[1][:40], f"{path} has no such prompt")
        found.append(left[row].pop(0))
    return found


def arena_score(accuracy: float, cost_per_1000: float) -> float:
    """Return RouterArena's score of an accuracy and a cost in USD per 1,000 requests.

    With A the accuracy and C the logarithm of the cost, scaled to 1 at the cheapest and 0 at the
    dearest model, it is (1 + β) A C / (β A + C) with β = 0.1: a mean that weighs accuracy more.

    Raises
    ------
    InvalidInput
        If the cost is not above 0 or the accuracy is not within [0, 1].

    Examples
    --------
    >>> round(arena_score(0.7, 1.0), 4), round(arena_score(0.7, 10.0), 4)
    (0.6744, 0.6157)
    """
    if not cost_per_1000 > 0:
        raise InvalidInput("cost per 1,000 requests", cost_per_1000, "it must be above 0")
    if not 0 <= accuracy <= 1:
        raise InvalidInput("accuracy", accuracy, "give a share from 0 to 1")
    low, high = (math.log2(bound) for bound in _COST_RANGE)
    cheapness = (high - min(max(math.log2(cost_per_1000), low), high)) / (high - low)
    if cheapness == 0 or accuracy == 0:
        return 0.0
    return (1 + _BETA) * accuracy * cheapness / (_BETA * accuracy + cheapness)


class Submission(NamedTuple):
    """A submission to RouterArena and its score.

    Attributes
    ----------
    predictions, config
        Contents of ``router_inference/predictions/<name>.json`` and of
        ``router_inference/config/<name>.json``.
    score
        RouterArena's score, from the scores and costs of the cached results.
    accuracy, cost_per_1000
        Mean score of the chosen models' answers, and USD per 1,000 requests.
    """

    predictions: list[dict[str, Any]]
    config: dict[str, Any]
    score: float
    accuracy: float
    cost_per_1000: float


def make_submission(
    table: RoutingTable,
    indices: Sequence[str],
    rows: NDArray[np.int64],
    models: NDArray[np.int64],
    *,
    name: str = "floorline",
) -> Submission:
    """Make a submission out of the decisions of a replay.

    As in RouterArena's own evaluation, answers without a score do not count in the accuracy, and
    the sum of the known costs is divided by all requests.

    Parameters
    ----------
    table, indices
        The table, and the ``global_index`` of each of its rows.
    rows, models
        (T,) rows in the order of the requests and positions of the models that served them.
    name
        Name of the router.

    Raises
    ------
    InvalidInput
        If a row is missing or twice, a request was not served, or no chosen answer has a score and
        a cost.
    """
    if sorted(rows.tolist()) != list(range(len(table))):
        fix = f"replay each of the {len(table):,} rows once: no --history and no --horizon"
        raise InvalidInput("rows", len(rows), fix)
    if (models < 0).any():
        fix = "a submission needs a model for every request: replay without a budget"
        raise InvalidInput("requests without a model", int((models < 0).sum()), fix)
    chosen = np.empty(len(table), dtype=np.int64)
    chosen[rows] = models
    every = np.arange(len(table))
    quality, cost = table.quality[every, chosen], table.cost[every, chosen]
    if np.isnan(quality).all() or not np.nansum(cost):
        raise InvalidInput("table", table.name, "no chosen answer has a score and a cost")
    accuracy = float(np.nanmean(quality.astype(np.float64)))
    per_1000 = float(np.nansum(cost)) / len(table) * 1000
    predictions = [
        {
            "global index": indices[i],
            "prompt": table.prompts[i],
            "prediction": table.models[chosen[i]],
            "generated_result": None,
            "cost": None,
            "accuracy": None,
        }
        for i in every.tolist()
    ]
    config = {
        "pipeline_params": {
            "router_name": name,
            "router_cls_name": name,
            "models": list(table.models),
        }
    }
    score = arena_score(accuracy, per_1000)
    return Submission(predictions, config, score, accuracy, per_1000)


def write_submission(submission: Submission, path: Path) -> list[Path]:
    """Write the predictions to ``path`` and the configuration beside it; return both paths.

    Raises
    ------
    DataError
        If the folder is missing or not writable.
    """
    config = path.with_name(f"{path.stem}.config.json")
    for target, content in ((path, submission.predictions), (config, submission.config)):
        try:
            write_whole(target, json.dumps(content, ensure_ascii=False, indent=2).encode())
        except OSError as error:
            raise DataError(target, error.strerror or "it cannot be written") from error
    return [path, config]


def _parts(path: Path) -> list[Answers]:
    files = tree_files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(path, "no .jsonl file in this folder")
    return [_answers(file) for file in files]


def _answers(path: Path) -> Answers:
    frame = read_json_frame(path)
    if _INDEX not in frame.columns and "global index" in frame.columns:
        frame = frame.rename({"global index": _INDEX})
    prompt = next((n for n in ("question", "prompt_formatted", "prompt") if n in frame.columns), "")
    if not prompt:
        log.warning("%s: it has no prompts; each prompt is called by its global_index", path)
        prompt = _INDEX
    index = column_of(path, frame, _INDEX).cast(pl.String)
    frame = frame.with_columns(index.alias(_INDEX), index.str.replace(r"_[^_]*$", "").alias("task"))
    if "llm_selected" not in frame.columns:
        frame = frame.with_columns(pl.lit(data_name(path)).alias("llm_selected"))
    tokens = {f"tokens_{side}": f"token_usage.{side}put_tokens" for side in ("in", "out")}
    columns = LongColumns(
        prompt=prompt,
        model="llm_selected",
        quality=_SCORE,
        cost=_COST,
        task="task",
        key=(_INDEX,),
        **{field: name for field, name in tokens.items() if name in frame.columns},
    )
    answers = read_answers(path, frame, columns)
    return replace(answers, key=frame[_INDEX].to_list())
