"""What to replay, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.sla import SLA
from floorline.zoo import Zoo


class Spec(msgspec.Struct, frozen=True):
    """What to replay; together with the data it determines the result to the last bit.

    Parameters
    ----------
    policy, parameters
        Name of the policy and arguments of its constructor.
    floor
        τ of the stream's SLA.
    floors
        τ of each request instead, one for every request of the stream; empty for the SLA's.
    feedback
        Text of a ``FeedbackModel``.
    seed
        Of the order of requests, of the policy's draws and of the feedback.
    history
        Share of the rows that is split off as labelled history before the stream starts.
    horizon
        Number of requests; None for all that remain.
    ordered
        Whether rows come in the table's order, the history first, instead of shuffled by the seed.
    budgets, total_budget
        Most that calls may cost over the stream, per model and in all. A call whose real cost does
        not fit is refused and its request lost, as under a provider's hard cap.
    judge_rate, judge_cost
        Share of responses that a judge, who knows the table, labels where users do not at once,
        and what each such label costs.
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
    """What a stream consists of beside its rows: promises, times and changes of the zoo.

    Parameters
    ----------
    slas
        Promises that one router keeps.
    sla
        Name of every request's SLA; empty for the first one.
    at
        Time of every request in seconds; empty for its number.
    zoos
        Step → models and prices from this request on. Models of the table that are not in it
        cannot serve.
    """

    slas: tuple[SLA, ...]
    sla: Sequence[str] = ()
    at: Sequence[float] = ()
    zoos: Mapping[int, Zoo] = {}


class Run(NamedTuple):
    """What happened, request by request; arrays (T,).

    ``row`` is the table's row, ``model`` the served position (−1 if the request was declined or
    lost), ``satisfied`` its true label (0 if lost),
    ``cost`` the bill of all calls of the request, ``served_cost`` that of the served one alone,
    ``labels`` the number of labels revealed for it (at once or later), ``seconds`` the time that
    the decision took and ``learn_seconds`` what folding its outcomes and feedback took.
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
