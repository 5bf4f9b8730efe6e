"""One learner for two SLAs, or a learner for each: what is lost if they do not share labels.

``python benchmarks/bench_partition.py --cache FOLDER [--seeds 5] [--write]``; ``--write`` puts the
table into docs/sizing.md. Four replicas in virtual time (``replica_simulation.py``) with half of
160 requests a second under each of two SLAs whose floor is 0.8; a fifth of the answers gets a
label. Parted, each SLA has two replicas and a learner, and learns from its own labels only.
"""

import argparse
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from replica_simulation import Replicas, Simulation
from replica_world import FLOOR, Setting, World
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "sizing.md"
NAMES, REPLICAS, PUBLISH_SECONDS = ("gold", "silver"), 4, 0.25
SETTING = Setting(160.0, 125.0, dict.fromkeys(NAMES, 0.5), NAMES, label_seconds=2.0, pace=0.1)
BEGIN = 25.0
"""Seconds that count as the beginning: 4,000 requests."""


def run(world, parted):
    """Return (N,) labels and costs."""
    if not parted:
        result = Simulation(world, Replicas(world, REPLICAS), PUBLISH_SECONDS).run()
        return result.satisfied, result.cost
    labels, costs = np.zeros(len(world.traffic.at)), np.zeros(len(world.traffic.at))
    for number, name in enumerate(NAMES):
        servers = Replicas(world, REPLICAS // len(NAMES))
        result = Simulation(world, servers, PUBLISH_SECONDS, only=[name]).run()
        mine = world.traffic.sla == number
        labels[mine], costs[mine] = result.satisfied[mine], result.cost[mine]
    return labels, costs


def cached(folder, world, parted):
    """Return a run from the folder, or make it and keep it there."""
    path = folder / f"partition-{'parted' if parted else 'joint'}-seed{world.seed}.npy"
    if not path.exists():
        part = path.with_suffix(".part.npy")
        np.save(part, run(world, parted))
        part.rename(path)
    return np.load(path)


def measured(world, labels, costs):
    """Satisfaction and cost / static mix of the beginning, then of later requests."""
    early = world.traffic.at < BEGIN
    values = []
    for mask in (early, ~early):
        satisfied, cost = labels[mask].mean(), costs[mask].mean()
        equal = cost / world.mix_cost_at(satisfied)
        values += [100 * satisfied, cost / world.mix_cost, equal]
    return values


def table(folder, seeds):
    """Return the table over seeds."""
    found = {False: [], True: []}
    for seed in range(seeds):
        world = World(SETTING, seed)
        for parted, runs in found.items():
            runs.append(measured(world, *cached(folder, world, parted)))
            print(seed, parted, np.round(runs[-1], 3), flush=True)
    rows = []
    for name, parted in (("one learner for both SLAs", False), ("a learner for each SLA", True)):
        cells = [
            f"{v.mean():.{d}f} ({v.min():.{d}f} to {v.max():.{d}f})"
            for v, d in zip(np.array(found[parted]).T, (1, 2, 2) * 2, strict=True)
        ]
        rows.append([name, *cells])
    parts = (f"first {BEGIN:g} s", "later")
    headers = [""]
    for part in parts:
        headers += [
            f"satisfied, {part} (%)",
            f"cost / static mix, {part}",
            f"cost / static mix of the same satisfaction, {part}",
        ]
    title = (
        f"{REPLICAS} replicas, {SETTING.rate:g} requests a second, {SETTING.seconds:g} seconds, "
        f"{seeds} seeds, floor {100 * FLOOR:g} %; mean (least to most)"
    )
    return Sheet(title, headers, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of runs that are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/sizing.md")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        sheet = table(given.cache, given.seeds)
    if given.write:
        write(PAGE, "bench_partition.py", sheet.text())
    sheet.show()


if __name__ == "__main__":
    main()
