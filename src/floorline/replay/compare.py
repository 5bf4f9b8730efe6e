"""Parallel execution of many replays, and the summary of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.core.display import html_table, show_number
from floorline.policies import policy_class
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.expectations import check_needs
from floorline.replay.feedback import FeedbackModel
from floorline.replay.metrics import Scores, references, running_mean, score
from floorline.replay.remaining_time import start_order
from floorline.replay.run import build_policy, replay, stream_rows
from floorline.replay.spec import Run, Spec
from floorline.sla import SLA
from floorline.state.verdicts import Verdict

POINTS = 200
"""Maximum number of points of a curve over time; enough for a smooth line."""


class Curves(NamedTuple):
    """A run over time, at up to ``POINTS`` requests.

    Parameters
    ----------
    request
        Numbers of the requests, from 1.
    satisfaction, cost
        Running means up to and including these requests.
    """

    request: NDArray[np.int64]
    satisfaction: NDArray[np.float64]
    cost: NDArray[np.float64]


class Result(NamedTuple):
    """Summary of one run.

    Parameters
    ----------
    data
        Name of the table.
    spec
        Specification of the replay.
    scores
        Metrics.
    calls
        Share of the requests that each model served, by name.
    curves
        The run over time.
    decide_us, learn_us
        Median times of a decision and of the learning after it, in microseconds.
    label
        Name of the policy in tables and plots. Default: the name of the policy.
    verdict
        Verdict of the certificate at the end.
    """

    data: str
    spec: Spec
    scores: Scores
    calls: dict[str, float]
    curves: Curves
    decide_us: float
    learn_us: float
    label: str = ""
    verdict: Verdict = "unknown"

    def __repr__(self) -> str:
        scores = self.scores
        return (
            f"Result({self.shown!r} on {self.data!r}, seed {self.spec.seed}: "
            f"satisfaction {show_number(scores.satisfaction)} at floor {self.spec.floor:g}, "
            f"cost {show_number(scores.cost_per_static_mix)} of the static mix)"
        )

    def _repr_html_(self) -> str:
        spec = self.spec
        rows = [("floor", f"{spec.floor:g}"), ("feedback", spec.feedback), ("seed", f"{spec.seed}")]
        rows.append(("verdict", self.verdict))
        for name, value in msgspec.structs.asdict(self.scores).items():
            rows.append((name.replace("_", " "), show_number(value)))
        for name, share in self.calls.items():
            rows.append((f"served by {name}", f"{share:.1%}"))
        rows.append(
            ("median decision, learning", f"{self.decide_us:.0f} µs, {self.learn_us:.0f} µs")
        )
        return html_table(f"{self.shown} on {self.data}", rows)

    @property
    def shown(self) -> str:
        """Name of the policy in tables and plots."""
        return self.label or self.spec.policy


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
) -> list[Result]:
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
    return [found[number] for number in range(len(specs))]


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
