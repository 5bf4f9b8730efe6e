"""Headlines of the papers beside what this repository measures.

``FLOORLINE_DATA=… python benchmarks/bench_published.py [floors] [port] [--seeds 2]
[--results FILE] [--write docs/published.md]``; the folder needs ``messplus/*.csv`` and
``routerbench/*.csv``. It measures the headlines of MESS+, SLARouter and PORT; those of PORT at its
paper's size are in ``bench_port_long.py``. Those of PROTEUS need PyTorch and have their own
commands, which the page names. ``--results`` keeps the replays of part floors, so that a second run
replays only what is missing.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench_port import FACTORS, grid, routerbench
from floorline._markdown import markdown_table
from floorline.bench.suite import load_suite
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from labels import AS_CODE, under_test
from written import write

SHARES = (1.0, 0.2, 0.05)
OTHERS = ("random", "best_fixed", "carrot", "routellm", "static_mix")
"""What MESS+ is compared with; ``best_fixed`` and ``static_mix`` are told the models' means."""
LOST, NEXT = "lost", "next best"


class Floors:
    """Replays of the logs of MESS+ at their floors, kept in a file by policy, share and seed."""

    def __init__(self, file):
        self.file, self.kept = file, {}
        for line in file.read_text().splitlines() if file and file.exists() else ():
            name, share, seed, cells = json.loads(line)
            self.kept[name, share, seed] = cells
        self._logs = None

    def replay(self, name, share, seed):
        """Replay all cells (log, floor) unless they are kept."""
        if (name, share, seed) in self.kept:
            return
        started = time.perf_counter()
        policy, feedback, given = under_test(name, share)
        cells = []
        for data, floors in self.logs():
            for floor in floors:
                run = summarise(data, replay(data, Spec(policy, floor, feedback, seed, given)))
                cells.append([run.scores.satisfaction - floor, run.scores.cost])
        self.kept[name, share, seed] = cells
        if self.file:
            with self.file.open("a") as lines:
                lines.write(json.dumps([name, share, seed, cells]) + "\n")
        taken = time.perf_counter() - started
        print(f"{name}, φ = {share:g}, seed {seed}: {taken:.0f} s", flush=True)

    def logs(self):
        """Return the encoded logs and their floors; they are read when first needed."""
        if self._logs is None:
            cells, encoder = load_suite("mess_plus").parts[0].data, make_encoder("hashed")
            self._logs = [(prepare(load(name), encoder), levels) for name, levels in cells.items()]
        return self._logs

    def means(self, name, share, seeds):
        """Return (cells,) mean satisfaction minus floor, and mean cost."""
        return np.mean([self.kept[name, share, seed] for seed in seeds], axis=0).T


def floors(runs, seeds):
    """Yield the rows of MESS+ and SLARouter."""
    alone = [(name, 1.0) for name in (*OTHERS, "mess_plus", AS_CODE)]
    tested = [(n, s) for s in SHARES for n in ("sla_router", "mess_plus", AS_CODE)]
    for seed in seeds:
        for name, share in dict.fromkeys([*alone, *tested]):
            with threadpool_limits(1):
                runs.replay(name, share, seed)
    for other in OTHERS:
        above, cost = runs.means(other, 1.0, seeds)
        for name in ("mess_plus", AS_CODE):
            ours, price = runs.means(name, 1.0, seeds)
            both = (above >= 0.0) & (ours >= 0.0)
            ratio = f"{np.mean(cost[both] / price[both]):.2f}" if both.any() else "–"
            yield f"{other} / {name}", f"{both.sum()} of {len(both)}", ratio
    for share in SHARES:
        above, cost = runs.means("sla_router", share, seeds)
        for name in ("mess_plus", AS_CODE):
            ours, price = runs.means(name, share, seeds)
            both = (above >= 0.0) & (ours >= 0.0)
            ratios = price[both] / cost[both]
            shown = f"{ratios.mean():.2f}, up to {ratios.max():.2f}" if both.any() else "–"
            yield f"{name} / sla_router, φ = {share:g}", f"{both.sum()} of {len(both)}", shown


def port_ratios(results, port):
    """Return PORT's performance, efficiency and throughput over those of its baselines, by mode.

    Each is a ratio of sums over splits and seeds, and then a mean over the baselines.
    """
    sums = defaultdict(lambda: np.zeros(3))
    for _, factor, scores in results:
        for (label, mode), found in scores.items():
            if factor == FACTORS[0]:
                values = found.performance, found.cost, found.throughput
                sums[label, mode] += np.array(values)
    ours = sums[port, LOST]
    ratios = {}
    for mode in (LOST, NEXT):
        # Random has one mode only: it never chooses a model that cannot pay.
        others = [
            ours / total
            for (label, kind), total in sums.items()
            if not label.startswith(("port", "lp_on", "budget_"))
            and (kind == mode or label == "random")
        ]
        performance, _, served = np.mean(others, axis=0)
        efficiency = np.mean([ratio[0] / ratio[1] for ratio in others])
        ratios[mode] = performance, efficiency, served
    return ratios


def port(seeds):
    """Yield the rows of PORT; ``bench_port.py simulated`` has the paper's number of requests."""
    bench = routerbench()
    results = grid(bench, seeds, 1 - 1000 / bench.rows, 1000, 50, 2)
    first = [scores for _, factor, scores in results if factor == FACTORS[0]]
    for name in ("port", "port, every 50"):
        ratios = port_ratios(results, name)
        optimum = np.mean([scores[name, LOST].to_optimum for scores in first])
        for mode in (LOST, NEXT):
            shown = [f"{ratio:.2f}" for ratio in ratios[mode]]
            yield f"{name}, RouterBench; baselines: {mode}", *shown, f"{optimum:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help="floors, port")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--results", type=Path, help="file that keeps replays of part floors")
    parser.add_argument("--write", type=Path, help="page whose parts are replaced by the tables")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder with messplus and routerbench")
        return
    seeds = range(given.seeds)
    for part in given.parts or ("floors", "port"):
        if part == "floors":
            table = markdown_table(
                ["cost of … / cost of …", "cells", "ratio"], [*floors(Floors(given.results), seeds)]
            )
        else:
            headers = ["policy", "performance", "performance / cost", "throughput", "/ optimum"]
            table = markdown_table(headers, [*port(seeds)])
        print(table, flush=True)
        if given.write:
            write(given.write, f"bench_published.py {part}", f"Seeds: {given.seeds}.\n\n{table}")


if __name__ == "__main__":
    main()
