"""Results as people and programs read them: a rich table, JSON and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from rich.box import SIMPLE
from rich.table import Table

from floorline.policies import policy_class
from floorline.replay.compare import Result
from floorline.replay.metrics import mean_and_interval
from floorline.version import __version__

_KNOWS = {"feedback": "", "means": " *", "labels": " **"}


def records(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One flat record per run, without anything that differs between repetitions."""
    return [
        {
            "data": result.data,
            "policy": result.spec.policy,
            "parameters": msgspec.json.encode(dict(result.spec.parameters)).decode(),
            "knows": policy_class(result.spec.policy).knows,
            "floor": result.spec.floor,
            "feedback": result.spec.feedback,
            "history": result.spec.history,
            "seed": result.spec.seed,
            **msgspec.structs.asdict(result.scores),
            "calls": msgspec.json.encode(result.calls).decode(),
        }
        for result in results
    ]


def save(results: Sequence[Result], folder: Path, *, about: dict[str, Any]) -> list[Path]:
    """Write ``results.parquet`` and ``results.json`` (deterministic) and ``times.json`` (not).

    ``about`` says what the numbers were measured on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = records(results)
    parquet, plain, times = (
        folder / name for name in ("results.parquet", "results.json", "times.json")
    )
    pl.DataFrame(rows).write_parquet(parquet)
    document = {"floorline": __version__, **about, "runs": rows}
    plain.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    measured = [
        {
            "policy": result.spec.policy,
            "floor": result.spec.floor,
            "seed": result.spec.seed,
            "decide_us_p50": round(result.decide_us, 1),
            "learn_us_p50": round(result.learn_us, 1),
        }
        for result in results
    ]
    times.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1))
    return [parquet, plain, times]


def rich_table(
    results: Sequence[Result], *, title: str, cost_unit: str, wide: bool = True
) -> Table:
    """Means over seeds with 95 % intervals, a block per floor; fits 80 columns unless ``wide``."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1)
    )
    per, unit = cost_scale(cost_unit)
    table.add_column("policy", no_wrap=True)
    headers = ["satisfaction", "met", "below", unit, "/ mix", "/ oracle"]
    for header in (*headers, *(("saved", "explored", "µs") if wide else ("saved",))):
        table.add_column(header, justify="right", no_wrap=True)
    for floor, block in groupby(results, key=lambda result: result.spec.floor):
        table.add_section()
        table.add_row(f"[bold]floor {floor:g}[/bold]")
        for policy, seeds in groupby(block, key=lambda result: result.spec.policy):
            cells = _cells(list(seeds), per)
            table.add_row(
                policy + _KNOWS[policy_class(policy).knows], *(cells if wide else cells[:-2])
            )
    return table


def cost_scale(cost_unit: str) -> tuple[int, str]:
    """Number of requests over which costs are shown, and how to say so: dollars are small."""
    return (1000, f"{cost_unit}/1k") if cost_unit == "USD" else (1, f"{cost_unit}/request")


def _cells(runs: Sequence[Result], per: int) -> list[str]:
    scores = [run.scores for run in runs]
    count = len(scores)
    satisfaction, half = mean_and_interval([s.satisfaction for s in scores])
    ratio, ratio_half = mean_and_interval([s.cost_per_static_mix for s in scores])
    return [
        f"{satisfaction:.3f} ±{half:.3f}",
        f"{sum(s.floor_met for s in scores):.0f}/{count}",
        f"{sum(s.violation for s in scores) / count:.0%}",
        f"{per * sum(s.cost for s in scores) / count:,.4g}",
        f"{ratio:.2f} ±{ratio_half:.2f}",
        f"{sum(s.cost_per_oracle for s in scores) / count:.2f}",
        f"{sum(s.savings for s in scores) / count:.0%}",
        f"{sum(s.explored for s in scores) / count:.1%}",
        f"{sorted(run.decide_us for run in runs)[count // 2]:.0f}",
    ]
