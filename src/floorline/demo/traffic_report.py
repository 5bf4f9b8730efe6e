"""The printed report of the traffic demo: satisfaction, certificate, costs and latency."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from floorline.demo.traffic import Traffic, TrafficRecord, run_traffic
from floorline.optimization.floor_lp import cheapest_mix


class ServingOption(NamedTuple):
    """One way to serve all users.

    Parameters
    ----------
    name
        Name in the table.
    satisfaction
        True share of satisfied users.
    cost
        Cost in USD per 1,000 requests.
    """

    name: str
    satisfaction: float
    cost: float


def outcomes(record: TrafficRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, M) labels of all users and models, and (N, M) costs in USD."""
    quality = (record.thresholds[:, None] < record.zoo.probabilities).astype(np.float64)
    names = [model.name for model in record.zoo.models]
    cost = [
        [record.provider.answer(prompt, name).cost for name in names]
        for prompt in record.zoo.prompts
    ]
    return quality, np.array(cost)


def serving_options(record: TrafficRecord) -> list[ServingOption]:
    """Return Floorline, the best fixed model, the static mix, the cheapest and the best model.

    The best fixed model is the cheapest one that meets the floor, or the best one if none does. The
    reference points know the mean quality and cost of every model.
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
        ServingOption(
            "Floorline", quality[users, served].mean(), 1000.0 * cost[users, served].mean()
        ),
        ServingOption(f"best fixed model: {names[fixed]}", means[fixed], prices[fixed]),
        ServingOption(f"static mix: {parts}", float(mix @ means), float(mix @ prices)),
        *(ServingOption(f"always {names[m]}", means[m], prices[m]) for m in (0, -1)),
    ]


def demonstrate(traffic: Traffic, console: Console) -> None:
    """Run the simulated users and print the report.

    Raises
    ------
    FloorlineError
        If the gateway does not start, or answers a user with an error.
    """
    columns = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=traffic.users)
        record = asyncio.run(run_traffic(traffic, lambda done: bar.update(task, completed=done)))
    show(record, console)


def show(record: TrafficRecord, console: Console) -> None:
    """Print the report."""
    traffic, status = record.traffic, record.status
    options = serving_options(record)
    true = options[0].satisfaction
    console.print(
        f"{traffic.users:,} users sent a request to floorline/{status['name']} in "
        f"{record.duration:.0f} s, {traffic.connections} at a time, {traffic.stream_share:.0%} of "
        f"them for a stream. {record.labels:,} sent feedback, {traffic.late_share:.0%} of these "
        f"after {traffic.delay} further users. Policy {traffic.policy}, seed {traffic.seed}."
    )
    # The share of n users varies by about a standard error around its expectation.
    error = float(np.sqrt(max(true * (1 - true), 1e-9) / traffic.users))
    verdict = "met" if true >= traffic.floor else "missed"
    close = ", within one standard error" if abs(true - traffic.floor) < error else ""
    console.print(f"Floor:             [bold]{traffic.floor:.1%}[/bold]")
    console.print(
        f"True satisfaction: [bold]{true:.1%}[/bold] (floor {verdict}{close}); "
        "known in the simulation only"
    )
    console.print(
        f"Certificate:       {status['lower']:.1%} to {status['upper']:.1%} from "
        f"{status['labels']:,} labels, verdict [bold]{status['verdict']}[/bold]"
    )
    console.print(_costs(options))
    console.print(_models(record))
    console.print(_latency(record))
    console.print(
        "[bold]Simulated:[/bold] users, prompts, models, prices, answers and satisfaction. "
        "Real: the gateway, its HTTP, store, routing, feedback and certificate."
    )


def _costs(options: list[ServingOption]) -> Table:
    table = Table(title="Costs", title_justify="left")
    table.add_column("all users served by")
    for name in ("satisfied", "USD per 1,000", "Floorline's cost relative to it"):
        table.add_column(name, justify="right")
    floorline = options[0]
    for option in options:
        share = "" if option is floorline else f"{floorline.cost / option.cost:.0%}"
        table.add_row(option.name, f"{option.satisfaction:.1%}", f"{option.cost:.3f}", share)
    return table


def _models(record: TrafficRecord) -> Table:
    table = Table(title="Served models", title_justify="left")
    table.add_column("model")
    for name in ("requests", "share", "share of the last third"):
        table.add_column(name, justify="right")
    last_third = record.model[-(len(record.model) // 3) :]
    for m, model in enumerate(record.zoo.models):
        count = int((record.model == m).sum())
        recent = float((last_third == m).mean()) if len(last_third) else 0.0
        table.add_row(model.name, f"{count:,}", f"{count / len(record.model):.0%}", f"{recent:.0%}")
    return table


def _latency(record: TrafficRecord) -> str:
    gateway, direct = (np.percentile(np.array(s) * 1e3, (50, 95)) for s in _seconds(record))
    return (
        f"Time to the last byte through the gateway: p50 {gateway[0]:.1f} ms, p95 "
        f"{gateway[1]:.1f} ms; directly from the provider: {direct[0]:.1f} and {direct[1]:.1f} ms. "
        "Users, provider and gateway share this machine, so this is not a benchmark."
    )


def _seconds(record: TrafficRecord) -> tuple[NDArray[np.float64], list[float]]:
    return record.seconds, record.direct
