"""Headlines of the papers beside what this repository measures.

``FLOORLINE_DATA=… python benchmarks/bench_published.py [floors] [port] [--seeds 2]
[--write docs/published.md]``; the folder needs ``messplus/*.csv`` and ``routerbench/*.csv``. It
measures the headlines of MESS+, SLARouter and PORT. Those of PROTEUS need PyTorch and have their
own commands, which the page names.
"""

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
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


def spent(logs, name, share, seeds):
    """Return (cells,) mean satisfaction minus floor, and mean cost."""
    policy, feedback, given = under_test(name, share)

    def one(data, floor, seed):
        with threadpool_limits(1):
            run = summarise(data, replay(data, Spec(policy, floor, feedback, seed, given)))
        return run.scores.satisfaction - floor, run.scores.cost

    jobs = [(data, floor, seed) for data, floors in logs for floor in floors for seed in seeds]
    found = np.array(Parallel(n_jobs=2)(delayed(one)(*job) for job in jobs))
    return found.reshape(-1, len(seeds), 2).mean(axis=1).T


def floors(logs, seeds):
    """Yield the rows of MESS+ and SLARouter."""
    mess = {name: spent(logs, name, 1.0, seeds) for name in ("mess_plus", AS_CODE)}
    for other in OTHERS:
        above, cost = spent(logs, other, 1.0, seeds)
        for name, (ours, price) in mess.items():
            both = (above >= 0.0) & (ours >= 0.0)
            ratio = f"{np.mean(cost[both] / price[both]):.2f}" if both.any() else "–"
            yield f"{other} / {name}", f"{both.sum()} of {len(both)}", ratio
    for share in SHARES:
        above, cost = spent(logs, "sla_router", share, seeds)
        for name in ("mess_plus", AS_CODE):
            ours, price = spent(logs, name, share, seeds)
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
    parser.add_argument("--write", type=Path, help="page whose parts are replaced by the tables")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder with messplus and routerbench")
        return
    seeds = range(given.seeds)
    for part in given.parts or ("floors", "port"):
        if part == "floors":
            cells = load_suite("mess_plus").parts[0].data
            encoder = make_encoder("hashed")
            logs = [(prepare(load(name), encoder), levels) for name, levels in cells.items()]
            table = markdown_table(
                ["cost of … / cost of …", "cells", "ratio"], [*floors(logs, seeds)]
            )
        else:
            headers = ["policy", "performance", "performance / cost", "throughput", "/ optimum"]
            table = markdown_table(headers, [*port(seeds)])
        print(table, flush=True)
        if given.write:
            write(given.write, f"bench_published.py {part}", f"Seeds: {given.seeds}.\n\n{table}")


if __name__ == "__main__":
    main()
