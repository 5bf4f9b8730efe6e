"""Replay: one policy over one stream, through the same router that serves live traffic."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.encoders.base import Encoder, Prompt
from floorline.errors import InvalidInput, check_number
from floorline.features import Features
from floorline.policies import History, Policy, make_policy, policy_class
from floorline.replay.data import ReplayData
from floorline.replay.feedback import FeedbackModel
from floorline.rng import CounterRng
from floorline.router import Router
from floorline.sla import SLA

_FEEDBACK_STREAM = 0x5EED
"""Keeps what users reveal independent of what the router draws under the same seed."""


class Spec(msgspec.Struct, frozen=True):
    """What to replay; together with the data it determines the result to the last bit.

    Parameters
    ----------
    policy, parameters
        Name of the policy and arguments of its constructor.
    floor
        τ of the stream's SLA.
    feedback
        Text of a ``FeedbackModel``.
    seed
        Of the order of requests, of the policy's draws and of the feedback.
    history
        Share of the rows that is split off as labelled history before the stream starts.
    horizon
        Number of requests; None for all that remain.
    """

    policy: str
    floor: float
    feedback: str = "full"
    seed: int = 0
    parameters: Mapping[str, Any] = {}
    history: float = 0.0
    horizon: int | None = None


class Run(NamedTuple):
    """What happened, request by request; arrays (T,).

    ``row`` is the table's row, ``model`` the served position, ``satisfied`` its true label,
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


class GivenFeatures:
    """Stands where an encoder would: replay encodes the whole table beforehand."""

    def __init__(self, dim: int, fingerprint: str) -> None:
        self.dim = dim
        self.fingerprint = fingerprint

    def encode(self, prompt: Prompt) -> Features:
        """Refuse; there is nothing to encode with."""
        raise InvalidInput("prompt", prompt, "give features; replay encodes beforehand")

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Refuse likewise."""
        raise InvalidInput("prompts", prompts, "give features; replay encodes beforehand")


def stream_rows(data: ReplayData, spec: Spec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the history and of the stream, disjoint, in shuffled order.

    Raises
    ------
    InvalidInput
        If the history leaves no stream.
    """
    share = check_number("history", spec.history, low=0.0, high=0.99, fix="give 0 to 0.99")
    rows = np.random.default_rng([spec.seed, 0]).permutation(data.rows)
    split = round(share * len(rows))
    stream = rows[split:]
    if spec.horizon is not None:
        check_number("horizon", spec.horizon, low=1, fix="give 1 or more requests")
        stream = stream[: spec.horizon]
    if len(stream) == 0:
        raise InvalidInput("history", spec.history, "leave at least one row for the stream")
    return rows[:split], stream


def build_policy(data: ReplayData, spec: Spec) -> Policy:
    """Build the policy, told exactly what its ``knows`` says and nothing else."""
    _, stream = stream_rows(data, spec)
    knowledge: dict[str, NDArray[np.float64]] = {}
    knows = policy_class(spec.policy).knows
    if knows == "means":
        knowledge["mean_quality"], knowledge["mean_cost"] = stream_means(data, stream)
    elif knows == "labels":
        knowledge = {"quality": data.quality[stream], "cost": data.cost[stream]}
    return make_policy(spec.policy, **knowledge, **spec.parameters)


def stream_means(
    data: ReplayData, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(M,) mean quality and cost over rows without gaps."""
    complete = rows[~np.isnan(data.quality[rows]).any(axis=1)]
    if len(complete) == 0:
        raise InvalidInput("data", data.name, "give a table in which some row has no gap")
    return data.quality[complete].mean(axis=0), data.cost[complete].mean(axis=0)


def replay(data: ReplayData, spec: Spec) -> Run:
    """Replay one policy over one stream.

    The policy sees a request's features and length, what its calls cost and the labels that the
    feedback model reveals; the table stays on this side.

    Raises
    ------
    InvalidInput
        If the specification breaks a rule.
    """
    feedback = FeedbackModel.parse(spec.feedback)
    past, stream = stream_rows(data, spec)
    policy = build_policy(data, spec)
    encoder: Encoder = GivenFeatures(data.features.shape[1], data.encoder)
    router = Router(
        data.zoo, policy, [SLA("stream", floor=spec.floor)], encoder=encoder, seed=spec.seed
    )
    if len(past):
        policy.warm_start(_history(data, past))
    count = len(stream)
    run = Run(
        spec=spec,
        row=stream,
        model=np.zeros(count, dtype=np.int64),
        explored=np.zeros(count, dtype=np.bool_),
        satisfied=np.zeros(count),
        cost=np.zeros(count),
        served_cost=np.zeros(count),
        labels=np.zeros(count, dtype=np.int64),
        seconds=np.zeros(count),
        learn_seconds=np.zeros(count),
    )
    names = data.zoo.names
    gaps: NDArray[np.bool_] = np.isnan(data.quality)
    broken = np.asarray(gaps.any(axis=1))
    user = CounterRng(spec.seed ^ (_FEEDBACK_STREAM << 32))
    # Labels on their way: (step at which they arrive, tie-breaker, decision, model, score).
    pending: list[tuple[int, int, str, str, float]] = []
    clock = time.perf_counter
    for step, row in enumerate(stream.tolist()):
        x = data.features[row]
        x.flags.writeable = False
        barred = (
            [name for name, gap in zip(names, gaps[row], strict=True) if gap] if broken[row] else []
        )
        started = clock()
        decision = router.route(
            features=x, input_tokens=int(data.input_tokens[row]), exclude=barred, at=float(step)
        )
        run.seconds[step] = clock() - started
        served = decision.index
        labels: dict[int, float] = {}
        for name in decision.called:
            model = served if name == decision.model else data.zoo.index(name)
            labels[model] = float(data.quality[row, model])
        run.model[step], run.explored[step] = served, decision.explored
        run.satisfied[step], run.served_cost[step] = labels[served], data.cost[row, served]
        for revealed in feedback.reveal(labels, served, user.at(step)):
            arrival = step + revealed.delay
            entry = (arrival, len(pending) + step * 64, decision.id, names[revealed.model])
            heapq.heappush(pending, (*entry, revealed.score))
            run.labels[step] += 1
        started = clock()
        for model in labels:
            cost = float(data.cost[row, model])
            run.cost[step] += cost
            router.outcome(
                decision.id,
                model=names[model],
                cost=cost,
                output_tokens=_cell(data.output_tokens, row, model),
                latency=_cell(data.latency, row, model),
            )
        while pending and pending[0][0] <= step:
            _, _, known, name, score = heapq.heappop(pending)
            router.feedback(known, score=score, model=name)
        run.learn_seconds[step] = clock() - started
    return run


def _cell(values: NDArray[np.float32] | None, row: int, model: int) -> Any:
    if values is None:
        return None
    value = float(values[row, model])
    return None if np.isnan(value) else value


def _history(data: ReplayData, rows: NDArray[np.int64]) -> History:
    return History(
        features=list(data.features[rows]),
        quality=data.quality[rows],
        cost=data.cost[rows],
        input_tokens=data.input_tokens[rows],
    )
