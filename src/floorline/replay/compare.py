"""Many replays side by side: policies × floors × seeds, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.policies import policy_class
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.feedback import FeedbackModel
from floorline.replay.metrics import Scores, references, running_mean, score
from floorline.replay.run import build_policy, replay, stream_rows
from floorline.replay.spec import Run, Spec
from floorline.sla import SLA

POINTS = 200
"""Number of points that a curve over time keeps."""


class Curves(NamedTuple):
    """A run over time at up to ``POINTS`` requests: request number, means of both so far."""

    request: NDArray[np.int64]
    satisfaction: NDArray[np.float64]
    cost: NDArray[np.float64]


class Result(NamedTuple):
    """One run, summed up."""

    data: str
    spec: Spec
    scores: Scores
    calls: dict[str, float]
    curves: Curves
    decide_us: float
    learn_us: float
    label: str = ""

    @property
    def shown(self) -> str:
        """How tables and plots call the policy."""
        return self.label or self.spec.policy


def compare(
    data: ReplayData,
    specs: Sequence[Spec],
    *,
    jobs: int = 2,
    progress: Callable[[int], object] | None = None,
) -> list[Result]:
    """Replay every spec; results in the order of the specs, whatever finishes first.

    ``progress`` is told after each replay how many are done.

    Raises
    ------
    FloorlineError
        If a spec breaks a rule; no replay starts then.
    """
    found: dict[int, Result] = {}
    for number, result in as_finished(data, specs, jobs=jobs):
        found[number] = result
        if progress is not None:
            progress(len(found))
    return [found[number] for number in range(len(specs))]


def as_finished(
    data: ReplayData, specs: Sequence[Spec], *, jobs: int = 2
) -> Iterator[tuple[int, Result]]:
    """Replay every spec; yield its number and result as soon as it is there."""
    check(data, specs)
    if jobs == 1 or len(specs) == 1:
        for number, spec in enumerate(specs):
            yield _one(data, number, spec)
        return
    with needs("bench", "replays in several processes"):
        from joblib import Parallel, delayed
    yield from Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
        delayed(_one)(data, number, spec) for number, spec in enumerate(specs)
    )


def check(data: ReplayData, specs: Sequence[Spec]) -> None:
    """Raise at once what the first replay of a spec that breaks a rule would raise."""
    for spec in specs:
        SLA("stream", floor=spec.floor)
        FeedbackModel.parse(spec.feedback)
        stream_rows(data, spec)
        if policy_class(spec.policy).knows == "feedback":
            build_policy(data, spec)


def _one(data: ReplayData, number: int, spec: Spec) -> tuple[int, Result]:
    with needs("bench", "comparing replays"):
        from threadpoolctl import threadpool_limits
    # One process a core is enough; linear algebra on top of that would fight for them.
    with threadpool_limits(1):
        run = replay(data, spec)
    return number, summarise(data, run)


def summarise(data: ReplayData, run: Run) -> Result:
    """Sum up one run; only the two times differ between repetitions."""
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
    )
