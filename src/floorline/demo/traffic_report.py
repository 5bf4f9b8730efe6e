"""What the traffic demo shows: the promise, the truth, and what else would have cost what."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from floorline.demo.traffic import Traffic, TrafficRecord, drive
from floorline.optimization.floor_lp import cheapest_mix


class Way(NamedTuple):
    """One way to serve everybody: true share of satisfied users, USD per 1,000 requests."""

    name: str
    satisfaction: float
    cost: float


def outcomes(record: TrafficRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, M) whether each user is satisfied with each model's answer, and what it costs in USD."""
    quality = (record.judgement[:, None] < record.zoo.probabilities).astype(np.float64)
    names = [model.name for model in record.zoo.models]
    cost = [
        [record.provider.answer(prompt, name).cost for name in names]
        for prompt in record.zoo.prompts
    ]
    return quality, np.array(cost)


def ways(record: TrafficRecord) -> list[Way]:
    """Floorline, and the reference points that know every model's mean; best fixed comes second.

    The best fixed model is the cheapest one that meets the floor, or the best one if none does.
    """
    quality, cost = outcomes(record)
    users = np.arange(len(quality))
    served = record.model
    floor = record.traffic.floor
    means, prices = quality.mean(axis=0), 1000.0 * cost.mean(axis=0)
    meets = means >= floor
    fixed = int(np.where(meets, prices, np.inf).argmin() if meets.any() else means.argmax())
    mix = cheapest_mix(means, prices, floor)
    names = [model.name for model in record.zoo.models]
    parts = " + ".join(f"{share:.0%} {names[m]}" for m, share in enumerate(mix) if share > 0)
    return [
        Way("Floorline", quality[users, served].mean(), 1000.0 * cost[users, served].mean()),
        Way(f"best fixed model: {names[fixed]}", means[fixed], prices[fixed]),
        Way(f"static mix: {parts}", float(mix @ means), float(mix @ prices)),
        *(Way(f"always {names[m]}", means[m], prices[m]) for m in (0, -1)),
    ]


def demonstrate(traffic: Traffic, console: Console) -> None:
    """Let the users ask, and print what came of it; errors as for ``drive``."""
    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=traffic.users)
        record = asyncio.run(drive(traffic, lambda done: bar.update(task, completed=done)))
    show(record, console)


def show(record: TrafficRecord, console: Console) -> None:
    """Print it all."""
    traffic, stand = record.traffic, record.stand
    compared = ways(record)
    true = compared[0].satisfaction
    console.print(
        f"{traffic.users:,} users asked floorline/{stand['name']} in {record.took:.0f} s, "
        f"{traffic.connections} at a time, {traffic.streamed:.0%} of them for streams; "
        f"{record.labels:,} told whether they were satisfied, {traffic.late:.0%} of these "
        f"{traffic.delay} users late. Policy {traffic.policy}, seed {traffic.seed}."
    )
    # A share of n users is known to about a standard error, and is not missed within it.
    error = float(np.sqrt(max(true * (1 - true), 1e-9) / traffic.users))
    verdict = "kept" if true >= traffic.floor else "missed"
    close = ", within one standard error" if abs(true - traffic.floor) < error else ""
    console.print(f"Promised satisfaction: [bold]{traffic.floor:.1%}[/bold]")
    console.print(
        f"True satisfaction:     [bold]{true:.1%}[/bold] (floor {verdict}{close}); "
        "only the simulation knows it"
    )
    console.print(
        f"Certificate:           {stand['lower']:.1%} to {stand['upper']:.1%} from "
        f"{stand['labels']:,} labels, verdict [bold]{stand['verdict']}[/bold]"
    )
    console.print(_costs(compared))
    console.print(_models(record))
    console.print(_latency(record))
    console.print(
        "[bold]Simulated:[/bold] users, prompts, models, prices, answers and satisfaction. "
        "Real: the gateway, its HTTP, store, routing, feedback and certificate."
    )


def _costs(compared: list[Way]) -> Table:
    table = Table(title="What it costs", title_justify="left")
    table.add_column("everybody served by")
    for name in ("satisfied", "USD per 1,000", "cost of Floorline beside it"):
        table.add_column(name, justify="right")
    ours = compared[0]
    for way in compared:
        share = "" if way is ours else f"{ours.cost / way.cost:.0%}"
        table.add_row(way.name, f"{way.satisfaction:.1%}", f"{way.cost:.3f}", share)
    return table


def _models(record: TrafficRecord) -> Table:
    table = Table(title="Who served", title_justify="left")
    table.add_column("model")
    for name in ("requests", "share", "of the last third"):
        table.add_column(name, justify="right")
    recent = record.model[-(len(record.model) // 3) :]
    for m, model in enumerate(record.zoo.models):
        count = int((record.model == m).sum())
        lately = float((recent == m).mean()) if len(recent) else 0.0
        table.add_row(model.name, f"{count:,}", f"{count / len(record.model):.0%}", f"{lately:.0%}")
    return table


def _latency(record: TrafficRecord) -> str:
    through, direct = (np.percentile(np.array(s) * 1e3, (50, 95)) for s in _seconds(record))
    return (
        f"Time to the last byte through the gateway: p50 {through[0]:.1f} ms, p95 "
        f"{through[1]:.1f} ms; asking the provider itself: {direct[0]:.1f} and {direct[1]:.1f} ms. "
        "Users, provider and gateway share this machine, so this is no benchmark."
    )


def _seconds(record: TrafficRecord) -> tuple[NDArray[np.float64], list[float]]:
    return record.seconds, record.direct
