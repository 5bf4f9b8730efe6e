"""Replay of one policy over one stream, with the same router that serves live traffic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput, check_number
from floorline.estimators.proteus_checkpoint import check_fits, load_network
from floorline.policies import History, Policy, make_policy, policy_class
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.environment import Environment, GivenFeatures
from floorline.replay.spec import Run, Spec, Timeline
from floorline.router import Router
from floorline.sla import SLA, Budget

Watch = Callable[[int, Router], object]
"""Called after each request with its number and the router."""


def stream_rows(data: ReplayData, spec: Spec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the history and of the stream, shuffled unless ``spec.ordered``.

    Raises
    ------
    InvalidInput
        If the history leaves no stream.
    """
    share = check_number("history", spec.history, low=0.0, high=0.99, fix="give 0 to 0.99")
    rows = np.arange(data.rows)
    if not spec.ordered:
        rows = np.random.default_rng([spec.seed, 0]).permutation(rows)
    split = round(share * len(rows))
    stream = rows[split:]
    if spec.horizon is not None:
        check_number("horizon", spec.horizon, low=1, fix="give 1 or more requests")
        stream = stream[: spec.horizon]
    if len(stream) == 0:
        raise InvalidInput("history", spec.history, "leave at least one row for the stream")
    if spec.floors and len(spec.floors) != len(stream):
        raise InvalidInput("floors", len(spec.floors), f"give one for each of {len(stream)} rows")
    return rows[:split], stream


def build_policy(data: ReplayData, spec: Spec) -> Policy:
    """Build the policy, and tell it what its ``knows`` states and nothing else.

    A policy with a ``horizon`` is told the number of requests, unless ``spec`` states one.
    The parameter ``checkpoint`` is the folder of a trained network; it is read here, because
    policies read no files.
    """
    _, stream = stream_rows(data, spec)
    knowledge: dict[str, Any] = {}
    kind = policy_class(spec.policy)
    if "horizon" in kind.parameters() and "horizon" not in spec.parameters:
        knowledge["horizon"] = len(stream)
    knows = kind.knows
    if knows == "means":
        knowledge["mean_quality"], knowledge["mean_cost"] = stream_means(data, stream)
    elif knows == "features":
        knowledge["features"] = data.features[stream]
        knowledge["input_tokens"] = data.input_tokens[stream]
    elif knows == "labels":
        knowledge["quality"], knowledge["cost"] = data.quality[stream], data.cost[stream]
    return make_policy(spec.policy, **knowledge, **_loaded(data, spec.parameters))


def _loaded(data: ReplayData, parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(parameters)
    if "checkpoint" in given:
        network = load_network(given.pop("checkpoint"))
        check_fits(network, encoder=data.encoder, models=data.zoo.names)
        given["network"] = network
    return given


def stream_means(
    data: ReplayData, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (M,) mean quality and cost over the rows without gaps.

    Raises
    ------
    InvalidInput
        If every row has a gap.
    """
    complete = rows[~np.isnan(data.quality[rows]).any(axis=1)]
    if len(complete) == 0:
        raise InvalidInput("data", data.name, "give a table in which some row has no gap")
    return data.quality[complete].mean(axis=0), data.cost[complete].mean(axis=0)


def replay(
    data: ReplayData,
    spec: Spec,
    *,
    past: History | None = None,
    timeline: Timeline | None = None,
    watch: Watch | None = None,
) -> Run:
    """Replay one policy over one stream.

    The policy gets the features and the length of a request, the costs of its calls and the labels
    that the feedback model reveals, and nothing else of the table.

    Parameters
    ----------
    data
        The table.
    spec
        Specification of the replay.
    past
        Labelled requests that the policy learns first, before those that ``spec.history`` takes
        from the table.
    timeline
        SLAs, times and changes of the zoo. A change holds from the batch with its request on. None
        for one SLA with the floor and the budgets of ``spec``, and the zoo of the table.
    watch
        Called after each request with its number and the router.

    Raises
    ------
    InvalidInput
        If the specification or the timeline breaks a rule.
    """
    rows_before, stream = stream_rows(data, spec)
    timeline = _alone(spec) if timeline is None else _checked(timeline, data, stream)
    policy = build_policy(data, spec)
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    zoo = timeline.zoos.get(0, data.zoo)
    router = Router(
        zoo,
        policy,
        timeline.slas,
        encoder=encoder,
        seed=spec.seed,
        clock=_no_clock,
        id_prefix=f"d{spec.seed:x}",
    )
    if past is not None:
        policy.warm_start(past)
    if len(rows_before):
        policy.warm_start(history_of(data, rows_before))
    environment = Environment(data, spec, router)
    run = _empty_run(spec, stream)
    clock = time.perf_counter
    for first in range(0, len(stream), policy.batch):
        rows = stream[first : first + policy.batch].tolist()
        at = timeline.at[first] if timeline.at else float(first)
        for step in range(first, first + len(rows)):
            if step and step in timeline.zoos:
                router.change_zoo(timeline.zoos[step], at=at)
        started = clock()
        floors = spec.floors[first : first + len(rows)] or repeat(None)
        slas = timeline.sla[first : first + len(rows)] or repeat(None)
        asked = zip(rows, floors, slas, strict=False)
        requests = [environment.request(row, floor, sla, at) for row, floor, sla in asked]
        decisions = router.decide(requests, at=at)
        share = (clock() - started) / len(rows)
        for step, (row, decision) in enumerate(zip(rows, decisions, strict=True), start=first):
            run.seconds[step] = share
            started = clock()
            environment.answer(run, step, row, decision)
            run.learn_seconds[step] = clock() - started
            if watch is not None:
                watch(step, router)
    return run._replace(verdict=router.certificate().verdict)


def _no_clock() -> float:
    """Refuse: a replay must give the same result whenever it runs."""
    raise AssertionError("a replay passes every time explicitly")


def _alone(spec: Spec) -> Timeline:
    """Timeline of one SLA with the floor and the budgets of a specification."""
    budget = None
    if spec.budgets or spec.total_budget is not None:
        budget = Budget(total=spec.total_budget, per_model=spec.budgets)
    return Timeline((SLA("stream", floor=spec.floor, budget=budget),))


def _checked(timeline: Timeline, data: ReplayData, stream: NDArray[np.int64]) -> Timeline:
    for field in ("sla", "at"):
        given = len(getattr(timeline, field))
        if given not in (0, len(stream)):
            fix = f"give one for each of {len(stream)} requests, or none"
            raise InvalidInput(f"timeline.{field}", given, fix)
    for zoo in timeline.zoos.values():
        for name in zoo.names:
            data.zoo.index(name)
    return timeline


def _empty_run(spec: Spec, stream: NDArray[np.int64]) -> Run:
    count = len(stream)
    return Run(
        spec=spec,
        row=stream,
        model=np.full(count, DECLINED),
        explored=np.zeros(count, dtype=np.bool_),
        satisfied=np.zeros(count),
        cost=np.zeros(count),
        served_cost=np.zeros(count),
        labels=np.zeros(count, dtype=np.int64),
        seconds=np.zeros(count),
        learn_seconds=np.zeros(count),
    )


def history_of(data: ReplayData, rows: NDArray[np.int64] | None = None) -> History:
    """Return rows of a table as a history; all rows by default."""
    chosen = slice(None) if rows is None else rows
    return History(
        features=list(data.features[chosen]),
        quality=data.quality[chosen],
        cost=data.cost[chosen],
        input_tokens=data.input_tokens[chosen],
    )
