"""Summaries of a routing table per model and per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelSummary:
    """One model: mean quality and cost over its scored prompts (None if none), share of gaps."""

    model: str
    mean_quality: float | None
    mean_cost: float | None
    gaps: float


@dataclass(frozen=True)
class TaskSummary:
    """One task: how many rows, and each model's mean quality on them (None where unscored)."""

    task: str
    rows: int
    mean_quality: dict[str, float | None]


@dataclass(frozen=True)
class Summary:
    """All of a table's summaries; models run from cheapest to dearest."""

    name: str
    rows: int
    cost_unit: str
    simulated: bool
    source: str
    digest: str
    incomplete_rows: int
    models: list[ModelSummary]
    tasks: list[TaskSummary]

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts, numbers and strings, ready for JSON."""
        return asdict(self)


def masked_mean(values: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M,) mean of each column of an (N, M) array where the mask is True; NaN if nowhere."""
    total = np.where(mask, values, 0).sum(axis=0, dtype=np.float64)
    count = mask.sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def summarise_models(
    models: Sequence[str], quality: NDArray[Any], cost: NDArray[Any]
) -> list[ModelSummary]:
    """Summarise each of M models, from the cheapest to the dearest.

    Parameters
    ----------
    quality, cost
        (N, M); NaN in ``quality`` is a gap, which both means leave out.

    Examples
    --------
    >>> summarise_models(("m",), np.array([[1.0], [0.0]]), np.array([[2e-3], [4e-3]]))
    [ModelSummary(model='m', mean_quality=0.5, mean_cost=0.003, gaps=0.0)]
    """
    known = ~np.isnan(quality)
    score, price = masked_mean(quality, known), masked_mean(cost, known)
    gaps = 1 - known.mean(axis=0)
    return [
        ModelSummary(models[m], _number(score[m]), _number(price[m]), float(gaps[m]))
        for m in np.argsort(np.where(np.isnan(price), np.inf, price), kind="stable")
    ]


def summarise_tasks(
    models: Sequence[str], tasks: Sequence[str], quality: NDArray[Any]
) -> list[TaskSummary]:
    """Summarise each task, sorted by name.

    Parameters
    ----------
    models
        M names, in the order of the columns of ``quality``.
    tasks
        N names, one of each row.
    quality
        (N, M); NaN is a gap.

    Examples
    --------
    >>> summarise_tasks(("m",), ["x", "y", "x"], np.array([[1.0], [np.nan], [0.0]]))[0]
    TaskSummary(task='x', rows=2, mean_quality={'m': 0.5})
    """
    names, inverse = np.unique(np.array(tasks, dtype=object), return_inverse=True)
    out = []
    for k, task in enumerate(names.tolist()):
        part = quality[inverse == k]
        mean = masked_mean(part, ~np.isnan(part))
        means = {model: _number(mean[m]) for m, model in enumerate(models)}
        out.append(TaskSummary(task, len(part), means))
    return out


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
