"""Replays with floors that change over time: step, ramp, tiers and bursts (arXiv 2601.19402)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table

from floorline.core.display import show_ratio
from floorline.optimization.floor_lp import cheapest_mix
from floorline.replay.data import ReplayData
from floorline.replay.metrics import cost_ratio, mean_and_interval
from floorline.replay.proteus.protocol import default_range
from floorline.replay.run import history_of, replay, stream_means
from floorline.replay.spec import Spec
from floorline.replay.tables import cost_scale

REQUESTS, SEEDS = 1000, 5
"""Number of requests per replay, 10 windows, and number of seeds."""
WINDOW = 100
"""Number of requests over which satisfaction and floor are compared."""

Floors = NDArray[np.float64]


def _step(low: float, high: float, count: int, rng: np.random.Generator) -> Floors:
    return np.where(np.arange(count) < count // 2, low, high)


def _ramp(low: float, high: float, count: int, rng: np.random.Generator) -> Floors:
    return np.linspace(low, high, count)


def _tiers(low: float, high: float, count: int, rng: np.random.Generator) -> Floors:
    levels = np.array([low, 0.5 * (low + high), high])
    return levels[rng.choice(3, size=count, p=[0.6, 0.3, 0.1])]


def _bursts(low: float, high: float, count: int, rng: np.random.Generator) -> Floors:
    period, length = count // 5, count // 20
    start = rng.integers(period - length)
    at = (np.arange(count) - start) % period
    return np.where(at < length, high, low)


SCENARIOS: dict[str, Callable[[float, float, int, np.random.Generator], Floors]] = {
    "step": _step,
    "ramp": _ramp,
    "tiers": _tiers,
    "bursts": _bursts,
}
"""Functions (lowest floor, highest floor, number of requests, generator) → floor of each request.

Step: low in the first half, high in the second. Ramp: linear from low to high. Tiers: three floors,
of 60, 30 and 10 % of the requests. Bursts: low with five short periods of the high floor. The paper
names the scenarios and leaves the numbers open."""


class Tracking(msgspec.Struct, frozen=True):
    """Metrics of one scenario under one seed.

    Groups of requests are windows of ``WINDOW`` requests, or, in the scenarios tiers and bursts,
    all requests with the same floor.

    Parameters
    ----------
    policy, scenario, seed
        What was replayed.
    accuracy
        Mean satisfaction.
    floor
        Mean floor.
    kept
        Share of groups whose mean satisfaction reached the mean of their floors.
    error
        Mean absolute difference of the two.
    cost
        Mean cost per request.
    cost_per_mix
        Cost relative to the static mixes that know every floor.
    """

    policy: str
    scenario: str
    seed: int
    accuracy: float
    floor: float
    kept: float
    error: float
    cost: float
    cost_per_mix: float


def track(
    data: ReplayData,
    policy: str,
    *,
    targets: tuple[float, float] | None = None,
    requests: int = REQUESTS,
    seeds: int = SEEDS,
    history: ReplayData | None = None,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    **spec: Any,
) -> list[Tracking]:
    """Replay every scenario under every seed, on held-out rows drawn with replacement.

    Parameters
    ----------
    data
        Held-out rows.
    policy
        Name of the policy.
    targets
        Lowest and highest floor. Default: ``default_range``.
    requests
        Number of requests per replay.
    seeds
        Number of seeds.
    history
        Labelled rows that the policy learns from beforehand.
    scenarios
        Names of the scenarios.
    spec
        Further fields of ``Spec``, such as ``parameters``.
    """
    low, high = default_range(data) if targets is None else targets
    past = None if history is None else history_of(history)
    mean_quality, mean_cost = stream_means(data, np.arange(data.rows))
    found = []
    for scenario in scenarios:
        for seed in range(seeds):
            rng = np.random.default_rng([seed, 1])
            drawn = data.take(rng.integers(data.rows, size=requests))
            floors = SCENARIOS[scenario](low, high, requests, rng)
            full_spec = Spec(policy, low, seed=seed, floors=tuple(floors.tolist()), **spec)
            run = replay(drawn, full_spec, past=past)
            kept, error = _kept_and_error(scenario, floors, run.satisfied)
            mixes = {
                floor: float(cheapest_mix(mean_quality, mean_cost, floor) @ mean_cost)
                for floor in set(floors.tolist())
            }
            cost = float(run.cost.mean())
            found.append(
                Tracking(
                    policy=policy,
                    scenario=scenario,
                    seed=seed,
                    accuracy=float(run.satisfied.mean()),
                    floor=float(floors.mean()),
                    kept=kept,
                    error=error,
                    cost=cost,
                    cost_per_mix=cost_ratio(
                        cost, float(np.mean([mixes[f] for f in floors.tolist()]))
                    ),
                )
            )
    return found


def _kept_and_error(scenario: str, floors: Floors, satisfied: Floors) -> tuple[float, float]:
    """Return the share of groups that met their floor and the mean absolute difference."""
    if scenario in ("tiers", "bursts"):
        groups = [floors == floor for floor in np.unique(floors)]
    else:
        window = np.arange(len(floors)) // WINDOW
        groups = [window == number for number in np.unique(window)]
    shortfall = np.array([floors[group].mean() - satisfied[group].mean() for group in groups])
    return float((shortfall <= 1e-9).mean()), float(np.abs(shortfall).mean())


def tracking_table(found: Sequence[Tracking], *, cost_unit: str) -> Table:
    """Return a table with one row per policy and scenario, of means over seeds."""
    per, unit = cost_scale(cost_unit)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("scenario", no_wrap=True)
    table.add_column("policy", no_wrap=True)
    for header in ("mean τ", "accuracy", "floors kept", "mean error", unit, "/ mix"):
        table.add_column(header, justify="right", no_wrap=True)
    for scenario, policy in dict.fromkeys((t.scenario, t.policy) for t in found):
        runs = [t for t in found if (t.scenario, t.policy) == (scenario, policy)]
        accuracy, half = mean_and_interval([t.accuracy for t in runs])
        table.add_row(
            scenario,
            policy,
            f"{np.mean([t.floor for t in runs]):.3f}",
            f"{accuracy:.3f} ±{half:.3f}",
            f"{np.mean([t.kept for t in runs]):.0%}",
            f"{np.mean([t.error for t in runs]):.3f}",
            f"{per * np.mean([t.cost for t in runs]):,.4g}",
            show_ratio(float(np.mean([t.cost_per_mix for t in runs]))),
        )
    return table
