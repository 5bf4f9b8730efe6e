"""The evaluation protocol of PROTEUS (arXiv 2601.19402): nine floors on held-out rows.

It works for every policy. A policy that learns online starts again for every floor, with the given
history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table
from scipy import stats

from floorline.core.display import show_ratio
from floorline.optimization.floor_lp import cheapest_mix
from floorline.replay.data import ReplayData
from floorline.replay.metrics import cost_ratio
from floorline.replay.run import build_policy, history_of, replay, stream_means
from floorline.replay.spec import Spec
from floorline.replay.tables import cost_scale
from floorline.sla import SLA

LEVELS = 9
"""Number of floors, as in the paper."""

_ROUNDING = 1e-9
"""Shortfall at which a floor still counts as met: a mean of labels is exact only to rounding."""


class Level(msgspec.Struct, frozen=True):
    """Metrics of one floor.

    Parameters
    ----------
    floor
        The floor τ.
    accuracy
        Mean satisfaction.
    mu
        Mean of PROTEUS's preference μ; None for other policies.
    cost
        Mean cost per request.
    cost_per_mix
        Cost relative to the static mix for the floor.
    cost_per_equal_mix
        Cost relative to the static mix of the same satisfaction.
    savings
        1 minus the cost relative to the model with the highest mean quality.
    decide_us
        Median time of a decision in microseconds.
    """

    floor: float
    accuracy: float
    mu: float | None
    cost: float
    cost_per_mix: float
    cost_per_equal_mix: float
    savings: float
    decide_us: float


class Protocol(msgspec.Struct, frozen=True):
    """Metrics of all floors, as reported in the paper.

    Parameters
    ----------
    policy, data
        Names of the policy and of the table.
    rows
        Number of held-out rows.
    levels
        Metrics of each floor, in increasing order.
    compliance
        Share of floors with accuracy ≥ τ.
    pearson, spearman
        Correlation of τ and accuracy; None if the accuracy is constant.
    pearson_mu
        Correlation of τ and mean μ; None if μ is constant or the policy has none.
    within_2, within_5
        Share of floors with |accuracy − τ| ≤ 0.02 and ≤ 0.05.
    cost_range
        Cost at the highest τ relative to the cost at the lowest.
    oracle
        Accuracy of the best model of every request.
    gap
        ``oracle`` minus the highest accuracy of a floor.
    best_fixed
        Mean quality of the best model.
    """

    policy: str
    data: str
    rows: int
    levels: tuple[Level, ...]
    compliance: float
    pearson: float | None
    spearman: float | None
    pearson_mu: float | None
    within_2: float
    within_5: float
    cost_range: float
    oracle: float
    gap: float
    best_fixed: float


def default_range(data: ReplayData) -> tuple[float, float]:
    """Return the range of τ from the mean of the cheapest model to that of the best model.

    Below it the cheapest model meets every floor; above it no fixed model does.
    """
    quality, cost = stream_means(data, np.arange(data.rows))
    return float(quality[cost.argmin()]), float(quality.max())


def measure(
    data: ReplayData,
    policy: str,
    *,
    targets: tuple[float, float] | None = None,
    levels: int = LEVELS,
    history: ReplayData | None = None,
    seed: int = 0,
    **spec: Any,
) -> Protocol:
    """Replay all rows once at every floor.

    Parameters
    ----------
    data
        Held-out rows.
    policy
        Name of the policy.
    targets
        Lowest and highest τ. Default: ``default_range``.
    levels
        Number of floors, equally spaced.
    history
        Labelled rows that the policy learns from beforehand.
    seed
        Seed of the replays.
    spec
        Further fields of ``Spec``, such as ``parameters``.
    """
    low, high = default_range(data) if targets is None else targets
    past = None if history is None else history_of(history)
    mean_quality, mean_cost = stream_means(data, np.arange(data.rows))
    best = int(mean_quality.argmax())
    found = []
    for floor in np.linspace(low, high, levels).tolist():
        full_spec = Spec(policy, floor, seed=seed, **spec)
        run = replay(data, full_spec, past=past)
        accuracy, cost = float(run.satisfied.mean()), float(run.cost.mean())
        found.append(
            Level(
                floor=floor,
                accuracy=accuracy,
                mu=_mean_preference(data, full_spec),
                cost=cost,
                cost_per_mix=cost_ratio(cost, _mix_cost(mean_quality, mean_cost, floor)),
                cost_per_equal_mix=cost_ratio(cost, _mix_cost(mean_quality, mean_cost, accuracy)),
                savings=1.0 - cost_ratio(cost, mean_cost[best]),
                decide_us=float(np.median(run.seconds)) * 1e6,
            )
        )
    return _summarise(data, policy, found, float(mean_quality[best]))


def _summarise(
    data: ReplayData, policy: str, levels: Sequence[Level], best_fixed: float
) -> Protocol:
    floor = np.array([level.floor for level in levels])
    accuracy = np.array([level.accuracy for level in levels])
    error = np.abs(accuracy - floor)
    mu = [level.mu for level in levels]
    oracle = float(np.nanmax(data.quality, axis=1).mean())
    return Protocol(
        policy=policy,
        data=data.name,
        rows=data.rows,
        levels=tuple(levels),
        compliance=float((accuracy >= floor - _ROUNDING).mean()),
        pearson=_correlation(floor, accuracy),
        spearman=_correlation(stats.rankdata(floor), stats.rankdata(accuracy)),
        pearson_mu=None if None in mu else _correlation(floor, np.array(mu, dtype=np.float64)),
        within_2=float((error <= 0.02).mean()),
        within_5=float((error <= 0.05).mean()),
        cost_range=cost_ratio(levels[-1].cost, levels[0].cost),
        oracle=oracle,
        gap=oracle - float(accuracy.max()),
        best_fixed=best_fixed,
    )


def records(protocols: Sequence[Protocol]) -> list[dict[str, Any]]:
    """Return one flat record per policy and floor, for Parquet and JSON."""
    return [
        {
            "policy": protocol.policy,
            "data": protocol.data,
            "rows": protocol.rows,
            **msgspec.structs.asdict(level),
            **{name: getattr(protocol, name) for name in _SUMMARY},
        }
        for protocol in protocols
        for level in protocol.levels
    ]


_SUMMARY = (
    *("compliance", "pearson", "spearman", "pearson_mu", "within_2", "within_5", "cost_range"),
    *("oracle", "gap", "best_fixed"),
)


def level_table(protocol: Protocol, *, cost_unit: str) -> Table:
    """Return a table with one row per floor."""
    per, unit = cost_scale(cost_unit)
    title = f"{protocol.policy} on {protocol.data}: {protocol.rows:,} held-out requests"
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for header in ("τ", "accuracy", "kept", "μ", unit, "/ mix", "/ equal mix", "saved"):
        table.add_column(header, justify="right", no_wrap=True)
    for level in protocol.levels:
        table.add_row(
            f"{level.floor:.3f}",
            f"{level.accuracy:.3f}",
            "yes" if level.accuracy >= level.floor - _ROUNDING else "no",
            _maybe(level.mu),
            f"{per * level.cost:,.4g}",
            show_ratio(level.cost_per_mix),
            show_ratio(level.cost_per_equal_mix),
            show_ratio(round(level.savings, 2) + 0.0, ".0%"),
        )
    return table


def summary_table(protocols: Sequence[Protocol], *, title: str = "") -> Table:
    """Return a table with one row per policy and the columns of the paper's tables."""
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    headers = (
        "floors kept",
        "r(τ, acc)",
        "ρ",
        "r(τ, μ)",
        "±2 %",
        "±5 %",
        "cost range",
        "to oracle",
    )
    for header in (*headers, "saved"):
        table.add_column(header, justify="right", no_wrap=True)
    for protocol in protocols:
        saved = [round(level.savings, 2) + 0.0 for level in protocol.levels]
        table.add_row(
            protocol.policy,
            f"{protocol.compliance:.0%}",
            _maybe(protocol.pearson),
            _maybe(protocol.spearman),
            _maybe(protocol.pearson_mu),
            f"{protocol.within_2:.0%}",
            f"{protocol.within_5:.0%}",
            f"{show_ratio(protocol.cost_range, '.1f')}×",
            f"{protocol.gap:.3f}",
            f"{show_ratio(min(saved), '.0%')} to {show_ratio(max(saved), '.0%')}",
        )
    return table


def _mean_preference(data: ReplayData, spec: Spec) -> float | None:
    """Return the mean of μ over all rows; None for policies without μ."""
    policy = build_policy(data, spec)
    preference = getattr(policy, "preference", None)
    if preference is None:
        return None
    policy.start(data.zoo, {"stream": SLA("stream", floor=spec.floor)}, data.features.shape[1])
    found = [preference(x, spec.floor) for x in data.features]
    return None if None in found else float(np.mean(found))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _mix_cost(quality: NDArray[np.float64], cost: NDArray[np.float64], floor: float) -> float:
    return float(cheapest_mix(quality, cost, floor) @ cost)


def _maybe(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
