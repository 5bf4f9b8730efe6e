"""The flagship on each MESS+ log alone, cold start, under feedback from full to sparse.

``FLOORLINE_DATA=… python benchmarks/bench_flagship.py [cells] [ablation]``, both by default; the
folder needs ``messplus/*.csv``. Users label the served response with probability φ; all calls are
counted. ``--first 0 --seeds 10`` are what docs/flagship.md prints; constants were chosen on seeds
10 to 26 of the same logs.
"""

import argparse
import os

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from floorline.bench.suite import load_suite
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, compare, prepare

SHARES = (1.0, 0.2, 0.05)
POLICIES = ("primal_dual", "sla_router")
VARIANTS = {
    "primal_dual": {},
    "no prompts": {"prompts": False},
    "no exploration": {"explore": 0.0},
    "no buffer": {"buffer": 0.0},
    "no optimism": {"optimism": 0.0},
    "optimism 2": {"optimism": 2.0},
    "no detection": {"detect": False},
    "patience 300": {"patience": 300.0},
}
console = Console(width=120)


def feedback(share):
    return "served" if share == 1.0 else f"served+sparse:{share}"


def measure(logs, policy, share, seeds, parameters=None):
    """(cells, seeds) of floor met and of cost / static mix, and medians of both times in µs."""
    met, cost, times = [], [], []
    for data, floors in logs:
        for floor in floors:
            specs = [
                Spec(policy, floor, feedback(share), seed, dict(parameters or {})) for seed in seeds
            ]
            runs = compare(data, specs)
            met.append([run.scores.floor_met for run in runs])
            cost.append([run.scores.cost_per_static_mix for run in runs])
            times.append([(run.decide_us, run.learn_us) for run in runs])
    return np.array(met), np.array(cost), np.median(np.array(times), axis=(0, 1))


def tabled(title, headers):
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for position, header in enumerate(headers):
        table.add_column(header, no_wrap=True, justify="left" if position == 0 else "right")
    return table


def cells(logs, seeds):
    """Every cell at every φ, and the means beside those of others."""
    headers = ["log, floor", *(f"φ = {share:g}: met, / mix" for share in SHARES)]
    found = {share: measure(logs, "primal_dual", share, seeds) for share in SHARES}
    table = tabled("Every cell", headers)
    names = [f"{data.name} {floor:.2f}" for data, floors in logs for floor in floors]
    for row, name in enumerate(names):
        values = [(met[row].mean(), cost[row].mean()) for met, cost, _ in found.values()]
        table.add_row(name, *(f"{kept:.0%}  {paid:.2f}" for kept, paid in values))
    console.print(table)
    table = tabled("Means over cells", [*headers, "decide µs", "learn µs"])
    for policy in POLICIES:
        if policy != "primal_dual":
            found = {share: measure(logs, policy, share, seeds) for share in SHARES}
        means = [f"{met.mean():.1%}  {cost.mean():.2f}" for met, cost, _ in found.values()]
        table.add_row(policy, *means, *(f"{time:.0f}" for time in found[1.0][2]))
    console.print(table)


def ablation(logs, seeds):
    """One ingredient on or off at a time."""
    table = tabled("Ablation", ["variant", *(f"φ = {s:g}: met, / mix" for s in SHARES[:2])])
    for label, parameters in VARIANTS.items():
        found = [measure(logs, "primal_dual", s, seeds, parameters) for s in SHARES[:2]]
        table.add_row(label, *(f"{met.mean():.1%}  {cost.mean():.2f}" for met, cost, _ in found))
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help="cells, ablation")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/*.csv")
        return
    encoder = make_encoder("hashed")
    floors = load_suite("mess_plus").parts[0].data
    logs = [(prepare(load(name), encoder), levels) for name, levels in floors.items()]
    seeds = range(given.first, given.first + given.seeds)
    for part in given.parts or ("cells", "ablation"):
        {"cells": cells, "ablation": ablation}[part](logs, seeds)


if __name__ == "__main__":
    main()
