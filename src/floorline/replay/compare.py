"""Parallel execution of many replays, and the summary of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from floorline._extras import needs
from floorline._version import __version__
from floorline.errors import FloorlineError
from floorline.policies import policy_class
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.engines import Engine, EngineUnavailable, LocalEngine, Lost, Raised
from floorline.replay.expectations import check_needs
from floorline.replay.feedback import FeedbackModel
from floorline.replay.metrics import references, running_mean, score
from floorline.replay.remaining_time import start_order
from floorline.replay.results import Comparison, Curves, Result
from floorline.replay.run import build_policy, replay, stream_rows
from floorline.replay.spec import Run, Spec
from floorline.sla import SLA

_TRIES_ALONE = 2
"""How often a replay whose process died is tried alone."""
_MOST_SHOWN = 5
"""Most failed replays that an error names one by one."""

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
    ReplaysFailed
        At the end, if replays raised an exception or their processes died. It names them.
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


def as_finished(
    data: ReplayData, specs: Sequence[Spec], *, jobs: int = 2, engine: Engine | None = None
) -> Iterator[Finished]:
    """Replay all specifications, one of each kind first; yield each as soon as it has finished.

    A replay whose worker died is tried twice more, alone, after all others.

    Parameters
    ----------
    data, specs, jobs
        As in ``compare``.
    engine
        Where the replays run; ``jobs`` processes of this machine by default.

    Raises
    ------
    FloorlineError
        If a specification breaks a rule. Then no replay starts.
    ReplaysFailed
        At the end, if replays raised an exception or their workers died. It names them.
    """
    check(data, specs)
    with needs("bench", "comparing replays"):
        import threadpoolctl  # noqa: F401
    if engine is None:
        engine = LocalEngine(1 if len(specs) == 1 else jobs)
    order = start_order([kind_of(spec) for spec in specs])
    failed: dict[int, Raised] = {}
    lost: list[int] = []
    for number, found in _replayed(engine, data, specs, order):
        if isinstance(found, Finished):
            yield found
        elif isinstance(found, Raised):
            failed[number] = found
        else:
            lost.append(number)
    # Alone, so that a replay that ends its process is told from those that ran beside it. Twice,
    # because a cluster may still lose workers by what happened before.
    for number in lost:
        found = Lost("")
        for _ in range(_TRIES_ALONE):
            if isinstance(found, Lost):
                ((_, found),) = _replayed(engine, data, specs, [number])
        if isinstance(found, Finished):
            yield found
        elif isinstance(found, Raised):
            failed[number] = found
        else:
            text = f"its process died {1 + _TRIES_ALONE} times: {found.reason}"
            failed[number] = Raised(text, "")
    if failed:
        raise ReplaysFailed([Failure(specs[n], *found) for n, found in sorted(failed.items())])


def _replayed(
    engine: Engine, data: ReplayData, specs: Sequence[Spec], numbers: Sequence[int]
) -> Iterator[tuple[int, Finished | Raised | Lost]]:
    cells = [_Cell(number, specs[number], __version__) for number in numbers]
    for position, found in engine.map(_replay_cell, data, cells):
        yield numbers[position], found


class _Cell(NamedTuple):
    """A replay for a worker: its number among all, and the version of Floorline that asks."""

    number: int
    spec: Spec
    version: str


def _replay_cell(data: ReplayData, cell: _Cell) -> Finished:
    if cell.version != __version__:
        raise EngineUnavailable(
            f"its worker has Floorline {__version__}, and {cell.version} asked for it"
        )
    return _one(data, cell.number, cell.spec)


class Failure(NamedTuple):
    """A replay that did not finish: its specification, the error, and where it was raised."""

    spec: Spec
    error: str
    traceback: str


class ReplaysFailed(FloorlineError):
    """Replays failed; all others finished.

    Attributes
    ----------
    failures : list of Failure
        The failed replays.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = list(failures)
        shown = [f"{describe(one.spec)}: {one.error}" for one in failures[:_MOST_SHOWN]]
        more = len(failures) - len(shown)
        count = "1 replay" if len(failures) == 1 else f"{len(failures):,} replays"
        text = "; ".join(shown) + (f"; and {more:,} more" if more else "")
        super().__init__(f"{count} failed, and all others finished: {text}")


def describe(spec: Spec) -> str:
    """Name a replay among those of a comparison.

    Examples
    --------
    >>> describe(Spec("mess_plus", 0.8, seed=1, parameters={"V": 0.01}))
    'mess_plus(V=0.01) at floor 0.8, feedback full, seed 1'
    """
    given = ", ".join(f"{name}={value!r}" for name, value in spec.parameters.items())
    policy = f"{spec.policy}({given})" if given else spec.policy
    return f"{policy} at floor {spec.floor:g}, feedback {spec.feedback}, seed {spec.seed}"


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
