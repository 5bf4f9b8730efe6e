"""What replays of scenarios are judged by, stretch by stretch between changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.optimization.budget_lp import solve_budgets
from floorline.optimization.floor_lp import cheapest_assignment, cheapest_mix
from floorline.policies.base import DECLINED
from floorline.replay.scenarios.streams import ScenarioStream
from floorline.replay.spec import Run
from floorline.router import Router

Floats = NDArray[np.float64]

SHARE_WINDOW = 200
"""Number of requests over which a model's share of the calls is taken."""


class ReferencePoint(NamedTuple):
    """A reference point in expectation over a stretch: mean satisfaction and cost per request."""

    satisfaction: float
    cost: float


class RegimeScores(msgspec.Struct, frozen=True):
    """One run between two changes.

    ``lowest`` is the lowest that Σ (s − τ) gets below where it stood at the beginning: how many
    satisfied requests went missing before the policy made up for it.
    """

    satisfaction: float
    cost: float
    cost_per_mix: float
    explored: float
    lowest: float


class Detections:
    """Watches a replay for changes of quality that its policy calls itself."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self._seen = 0

    def __call__(self, step: int, router: Router) -> None:
        """Note the step if the number of changes rose."""
        count = router.policy.changes_detected
        if count > self._seen:
            self.steps.append(step)
        self._seen = count

    def first_after(self, change: int) -> float:
        """Requests from a change to the next detection; infinity if there was none."""
        return min((step - change for step in self.steps if step >= change), default=math.inf)


def _labels(scene: ScenarioStream, first: int, end: int) -> tuple[Floats, Floats]:
    """(n, M) quality and cost of a stretch; those who cannot serve satisfy nobody and cost ∞."""
    zoo = scene.zoo_at(first)
    able = np.array([name in zoo for name in scene.data.zoo.names])
    quality, cost = scene.data.quality[first:end], scene.data.cost[first:end]
    gaps = np.isnan(quality) | ~able
    return np.where(gaps, 0.0, quality), np.where(gaps, np.inf, cost)


def _means(quality: Floats, cost: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """(M,) mean quality and cost over rows that all who can serve answer, and who can."""
    able = np.asarray(np.isfinite(cost).any(axis=0))
    complete = np.isfinite(cost[:, able]).all(axis=1)
    mean, price = np.zeros(len(able)), np.zeros(len(able))
    mean[able] = quality[complete][:, able].mean(axis=0)
    price[able] = cost[complete][:, able].mean(axis=0)
    return mean, price, able


def references(
    scene: ScenarioStream, first: int, end: int, *, floor: float | None = None
) -> dict[str, ReferencePoint]:
    """Points of those who need no learning, over one stretch.

    ``static mix`` and ``best fixed`` are told the means of this stretch, ``old mix`` those before
    the first change, ``oracle`` every label. An old mix with a model that left answers fewer.
    """
    floor = scene.timeline.slas[0].floor if floor is None else floor
    quality, cost = _labels(scene, first, end)
    mean, price, able = _means(quality, cost)
    best = np.eye(len(able))[int(np.where(able, mean, -1.0).argmax())]
    before = _means(*_labels(scene, *scene.regimes[0]))
    shares = {
        "static mix": cheapest_mix(mean, price, floor, able),
        "old mix": cheapest_mix(before[0], before[1], floor, before[2]),
        "best fixed": best,
        "random": able / able.sum(),
    }
    found = {
        name: ReferencePoint(float(weights @ mean), float(weights @ price))
        for name, weights in shares.items()
    }
    served = cheapest_assignment(quality, cost, floor)
    rows = np.arange(len(quality))
    found["oracle"] = ReferencePoint(
        float(quality[rows, served].mean()), float(cost[rows, served].mean())
    )
    return found


def stretches(scene: ScenarioStream, run: Run) -> list[RegimeScores]:
    """Sum up a run between changes."""
    floor = scene.timeline.slas[0].floor
    found = []
    for first, end in scene.regimes:
        at = slice(first, end)
        gained = np.cumsum(run.satisfied[at] - floor)
        cost = float(run.cost[at].mean())
        mix = references(scene, first, end)["static mix"].cost
        found.append(
            RegimeScores(
                satisfaction=float(run.satisfied[at].mean()),
                cost=cost,
                cost_per_mix=cost / mix,
                explored=float(run.explored[at].mean()),
                lowest=max(0.0, -float(gained.min())),
            )
        )
    return found


def running_share(run: Run, model: int, *, window: int = SHARE_WINDOW) -> Floats:
    """(T,) share of the latest requests that a model served, fewer at the beginning."""
    served = np.cumsum(run.model == model, dtype=np.float64)
    before = np.concatenate([np.zeros(window), served])[: len(served)]
    count = np.minimum(np.arange(1, len(served) + 1), window)
    return np.asarray((served - before) / count)


def until_halved(run: Run, model: int, change: int) -> float:
    """Requests until a model's share is half of what it was in the 1,000 before the change.

    Counted over half a window of latest requests. Infinity if it never falls so far, NaN if the
    model had less than a twentieth of the calls.
    """
    before = float((run.model[max(0, change - 1000) : change] == model).mean())
    if before < 0.05:
        return math.nan
    window = SHARE_WINDOW // 2
    share = running_share(run, model, window=window)[change + window :]
    low = np.flatnonzero(share <= 0.5 * before)
    return float(low[0]) + window if len(low) else math.inf


def until_settled(run: Run, model: int, change: int) -> float:
    """Requests until a model's share comes within a fifth of that in the last quarter after it.

    NaN if that is less than a twentieth: the model found no use.
    """
    last = (3 * len(run.model) + change) // 4
    final = float((run.model[last:] == model).mean())
    if final < 0.05:
        return math.nan
    share = running_share(run, model)[change:]
    # The window must hold the new regime only.
    near = np.flatnonzero(np.abs(share - final) <= 0.2 * final)
    near = near[near >= SHARE_WINDOW // 2]
    return float(near[0]) if len(near) else math.inf


class Period(msgspec.Struct, frozen=True):
    """One budget period of a run.

    ``spent`` is the largest share of any bounded amount that was spent where ``each`` lists them;
    ``dry`` the share of the period after the last request that could be served, if any after it
    could not; ``served`` the share of requests that some model served. ``fill`` and ``best`` are
    the mean satisfaction of the prompt-less fill that is told the period's number of requests and
    means, and of the program over the labels.
    """

    spent: float
    each: tuple[float, ...]
    dry: float
    served: float
    satisfaction: float
    fill: float
    best: float
    requests: int


def periods(scene: ScenarioStream, run: Run) -> list[Period]:
    """Sum up every budget period of a run over a scene made by ``budgeted``."""
    sla = scene.timeline.slas[0]
    budget = sla.budget
    if budget is None:
        return []
    names = scene.data.zoo.names
    caps = np.array([budget.per_model.get(name, math.inf) for name in names])
    total = math.inf if budget.total is None else budget.total
    at = np.array(scene.timeline.at)
    found = []
    for number in range(int(at[-1]) + 1):
        rows = np.flatnonzero(np.floor(at) == number)
        if len(rows) == 0:
            continue
        served = run.model[rows] != DECLINED
        paid = np.bincount(
            run.model[rows][served], run.served_cost[rows][served], minlength=len(names)
        )
        shares = [float(paid[m] / caps[m]) for m in np.flatnonzero(np.isfinite(caps))]
        if math.isfinite(total):
            shares.append(float(run.cost[rows].sum() / total))
        quality, cost = scene.data.quality[rows], scene.data.cost[rows]
        mean = quality.mean(axis=0)[None, :], cost.mean(axis=0)[None, :]
        fill = solve_budgets(*mean, caps / len(rows), total / len(rows)).value
        best = solve_budgets(quality, cost, caps, total).value / len(rows)
        found.append(
            Period(
                spent=max(shares),
                each=tuple(shares),
                dry=_dry(at[rows] - number, served),
                served=float(served.mean()),
                satisfaction=float(run.satisfied[rows].mean()),
                fill=fill,
                best=best,
                requests=len(rows),
            )
        )
    return found


def _dry(moment: Floats, served: NDArray[np.bool_]) -> float:
    """Share of a period after its last served request, if nobody served those that came then."""
    last = np.flatnonzero(served)
    if len(last) == len(served) or (len(last) and last[-1] == len(served) - 1):
        return 0.0
    return 1.0 - (float(moment[last[-1]]) if len(last) else 0.0)


def running_spend(scene: ScenarioStream, run: Run) -> Floats:
    """(T,) share of its period's total budget that was spent up to every request."""
    budget = scene.timeline.slas[0].budget
    if budget is None or budget.total is None:
        return np.zeros(len(run.cost))
    number = np.floor(np.array(scene.timeline.at))
    spent = np.cumsum(run.cost)
    first = np.searchsorted(number, number, side="left")
    return np.asarray((spent - spent[first] + run.cost[first]) / budget.total)


def mean_of(values: Sequence[float]) -> float:
    """Mean of finite values; NaN without any."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan
