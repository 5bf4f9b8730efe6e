"""A routing table in a few numbers per model and per task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from floorline.datasets.table import RoutingTable


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


def summarise(table: RoutingTable) -> Summary:
    """Summarise a routing table.

    Examples
    --------
    >>> from floorline.datasets.table import RoutingTable
    >>> table = RoutingTable(["a", "b"], ("m",), [[1], [0]], [[2e-3], [4e-3]], task=["x", "y"])
    >>> summarise(table).models
    [ModelSummary(model='m', mean_quality=0.5, mean_cost=0.003, gaps=0.0)]
    """
    order = np.argsort(np.where(np.isnan(table.mean_cost), np.inf, table.mean_cost), kind="stable")
    gaps = 1 - table.mask.mean(axis=0)
    models = [
        ModelSummary(
            table.models[m],
            _number(table.mean_quality[m]),
            _number(table.mean_cost[m]),
            float(gaps[m]),
        )
        for m in order
    ]
    names, inverse = np.unique(np.array(table.task, dtype=object), return_inverse=True)
    tasks = []
    for k, task in enumerate(names.tolist()):
        rows = np.flatnonzero(inverse == k)
        part = table.quality[rows]
        known = table.mask[rows]
        total = np.where(known, part, 0).sum(axis=0, dtype=np.float64)
        count = known.sum(axis=0)
        means = {table.models[m]: float(total[m] / count[m]) if count[m] else None for m in order}
        tasks.append(TaskSummary(task, len(rows), means))
    return Summary(
        name=table.name,
        rows=len(table),
        cost_unit=table.cost_unit,
        simulated=table.simulated,
        source=table.source,
        digest=table.digest,
        incomplete_rows=int((~table.mask.all(axis=1)).sum()),
        models=models,
        tasks=tasks,
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
