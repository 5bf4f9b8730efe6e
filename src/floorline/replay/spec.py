"""Specification of a replay, and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.display import html_table, show_number
from floorline.core.drawing import Line, line_chart
from floorline.sla import SLA
from floorline.state.verdicts import Verdict
from floorline.zoo import Zoo


class Spec(msgspec.Struct, frozen=True):
    """Specification of a replay; together with the data it determines the result exactly.

    Parameters
    ----------
    policy, parameters
        Name of the policy and arguments of its constructor.
    floor
        Floor τ of the stream's SLA.
    floors
        Floor of each request instead, one for every request of the stream; empty for the SLA's.
    feedback
        Text of a ``FeedbackModel``.
    seed
        Seed of the order of requests, of the policy's draws and of the feedback.
    history
        Share of the rows that the policy learns as labelled history before the stream.
    horizon
        Number of requests; None for all that remain.
    ordered
        Whether rows come in the table's order, the history first. Otherwise the seed shuffles
        them.
    budgets, total_budget
        Budget of each model by name, and of all models together, over the stream. A call whose real
        cost does not fit is refused and its request lost, as with a hard limit of a provider.
    judge_rate, judge_cost
        Share of the responses without a label at once that a judge labels, correctly, and the cost
        of each such label.
    """

    policy: str
    floor: float
    feedback: str = "full"
    seed: int = 0
    parameters: Mapping[str, Any] = {}
    history: float = 0.0
    horizon: int | None = None
    budgets: Mapping[str, float] = {}
    total_budget: float | None = None
    judge_rate: float = 0.0
    judge_cost: float = 0.0
    floors: Sequence[float] = ()
    ordered: bool = False


class Timeline(NamedTuple):
    """SLAs, times and changes of the zoo over a stream.

    Attributes
    ----------
    slas
        SLAs of the router.
    sla
        Name of the SLA of each request; empty for the first SLA.
    at
        Time of each request in seconds; empty for its number.
    zoos
        Models and prices that hold from a request on, by its number. Models of the table that are
        not among them cannot serve.
    """

    slas: tuple[SLA, ...]
    sla: Sequence[str] = ()
    at: Sequence[float] = ()
    zoos: Mapping[int, Zoo] = {}


class Run(NamedTuple):
    """Record of a replay; arrays (T,) over its requests.

    Attributes
    ----------
    spec
        The specification.
    row
        Row of the table.
    model
        Position of the served model; −1 if the request was declined or lost.
    explored
        Whether the policy explored.
    satisfied
        True label of the served response; 0 if there is none.
    cost, served_cost
        Cost of all calls and labels of the request, and of the served call only.
    labels
        Number of labels revealed, at once or later.
    seconds, learn_seconds
        Time of the decision, and of folding its outcomes and feedback.
    verdict
        Verdict of the certificate of the first SLA at the end.
    """

    spec: Spec
    row: NDArray[np.int64]
    model: NDArray[np.int64]
    explored: NDArray[np.bool_]
    satisfied: NDArray[np.float64]
    cost: NDArray[np.float64]
    served_cost: NDArray[np.float64]
    labels: NDArray[np.int64]
    seconds: NDArray[np.float64]
    learn_seconds: NDArray[np.float64]
    verdict: Verdict = "unknown"

    def __repr__(self) -> str:
        return (
            f"Run({self.spec.policy!r}, seed {self.spec.seed}: {len(self.model):,} requests, "
            f"satisfaction {show_number(float(self.satisfied.mean()))} at floor "
            f"{self.spec.floor:g}, cost {show_number(float(self.cost.sum()))})"
        )

    def _repr_html_(self) -> str:
        spec, count = self.spec, len(self.model)
        rows = [
            ("floor", f"{spec.floor:g}"),
            ("feedback", spec.feedback),
            ("seed", f"{spec.seed}"),
            ("requests", f"{count:,}"),
            ("satisfaction", show_number(float(self.satisfied.mean()))),
            ("verdict", self.verdict),
            ("cost of all calls", show_number(float(self.cost.sum()))),
            ("explored", f"{int(self.explored.sum()):,}"),
            ("declined or lost", f"{int((self.model < 0).sum()):,}"),
            ("labels", f"{int(self.labels.sum()):,}"),
        ]
        requests = np.arange(1, count + 1)
        means = np.cumsum(self.satisfied) / requests
        line = Line(spec.policy, requests.tolist(), means.tolist())
        table = html_table(f"Replay of {spec.policy}", rows)
        return table + line_chart([line], spec.floor, "requests", "mean satisfaction so far")
