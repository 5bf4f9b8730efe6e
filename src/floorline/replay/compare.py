"""Parallel execution of many replays, and the summary of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from floorline._extras import needs
from floorline.policies import policy_class
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.expectations import check_needs
from floorline.replay.feedback import FeedbackModel
from floorline.replay.metrics import references, running_mean, score
from floorline.replay.remaining_time import start_order
from floorline.replay.results import Comparison, Curves, Result
from floorline.replay.run import build_policy, replay, stream_rows
from floorline.replay.spec import Run, Spec
from floorline.sla import SLA

POINTS = 200
"""Maximum number of points of a curve over time; enough for a smooth line."""


class Finished(NamedTuple):
    """A replay that has finished: its number among all, its result, and its time in seconds."""

    number: int
    result: Result
    seconds: float


def compare(
    data: ReplayData,
    specs: Sequence[Spec],
    *,
    jobs: int = 2,
    progress: Callable[[int], object] | bool = False,
) -> Comparison:
    """Replay all specifications.

    Parameters
    ----------
    data
        The data to replay.
    specs
        Specifications of the replays.
    jobs
        Number of processes.
    progress
        True shows a bar with the remaining time, in a terminal or a notebook. A function is called
        after each replay with the number of finished replays.

    Returns
    -------
    Results in the order of ``specs``

    Raises
    ------
    FloorlineError
        If a specification breaks a rule. Then no replay starts.
    """
    found: dict[int, Result] = {}
    replays = _watched if progress is True else as_finished
    for done in replays(data, specs, jobs=jobs):
        found[done.number] = done.result
        if callable(progress):
            progress(len(found))
    return Comparison(found[number] for number in range(len(specs)))


def _watched(data: ReplayData, specs: Sequence[Spec], *, jobs: int) -> Iterator[Finished]:
    """Replay all specifications and show the progress."""
    from floorline.replay.progress import ReplayProgress

    check(data, specs)
    with ReplayProgress() as shown:
        shown.begin(f"replaying {data.name}", [kind_of(spec) for spec in specs], jobs)
        for done in as_finished(data, specs, jobs=jobs):
            shown.finished(done.number, done.seconds)
            yield done


def kind_of(spec: Spec) -> str:
    """Name what replays that take about the same time have in common.

    Examples
    --------
    >>> kind_of(Spec("random", 0.8, seed=1)) == kind_of(Spec("random", 0.7, seed=2))
    True
    """
    return f"{spec.policy} {spec.feedback} {spec.history:g} {spec.horizon}"


def as_finished(data: ReplayData, specs: Sequence[Spec], *, jobs: int = 2) -> Iterator[Finished]:
    """Replay all specifications, one of each kind first; yield each as soon as it has finished."""
    check(data, specs)
    order = start_order([kind_of(spec) for spec in specs])
    if jobs == 1 or len(specs) == 1:
        for number in order:
            yield _one(data, number, specs[number])
        return
    with needs("bench", "replays in several processes"):
        from joblib import Parallel, delayed
    yield from Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
        delayed(_one)(data, number, specs[number]) for number in order
    )


def check(data: ReplayData, specs: Sequence[Spec]) -> None:
    """Check specifications before the first replay.

    Raises
    ------
    FloorlineError
        If a specification breaks a rule; the error that its replay would raise.
    """
    for spec in specs:
        check_options([spec.policy], [spec.floor], spec.feedback)
        stream_rows(data, spec)
        check_needs(data, spec)
        if policy_class(spec.policy).knows == "feedback":
            build_policy(data, spec)


def check_options(policies: Sequence[str], floors: Sequence[float], feedback: str) -> None:
    """Check what needs no data: names of policies, floors and the feedback model.

    Raises
    ------
    InvalidInput
        If one of them breaks a rule.
    """
    for policy in policies:
        policy_class(policy)
    for floor in floors:
        SLA("stream", floor=floor)
    FeedbackModel.parse(feedback)


def _one(data: ReplayData, number: int, spec: Spec) -> Finished:
    with needs("bench", "comparing replays"):
        from threadpoolctl import threadpool_limits
    began = time.monotonic()
    # There is one process per core already; more threads for linear algebra would compete for them.
    with threadpool_limits(1):
        run = replay(data, spec)
    return Finished(number, summarise(data, run), time.monotonic() - began)


def summarise(data: ReplayData, run: Run) -> Result:
    """Summarise one run. Between repetitions only the two times differ."""
    served = run.model[run.model != DECLINED]
    shares = np.bincount(served, minlength=len(data.zoo)) / len(run.model)
    marks = np.unique(np.linspace(0, len(run.model) - 1, POINTS).round().astype(np.int64))
    return Result(
        data=data.name,
        spec=run.spec,
        scores=score(run, references(data, run)),
        calls=dict(zip(data.zoo.names, shares.tolist(), strict=True)),
        curves=Curves(marks + 1, running_mean(run.satisfied)[marks], running_mean(run.cost)[marks]),
        decide_us=float(np.median(run.seconds)) * 1e6,
        learn_us=float(np.median(run.learn_seconds)) * 1e6,
        verdict=run.verdict,
    )
