"""The demo's zoos (``floorline demo --gateway``): its own runs, and replays of what else could be.

``python benchmarks/bench_demo.py --cache FOLDER`` runs the demo with its defaults over HTTP, three
times per seed, since what its users get depends on who comes first. It replays the same users'
satisfaction and costs ``cold``, ``told`` the means, ``warm`` (after 1,000 users of another zoo of
the same models, labelled for all models) and with other policies. There each label is late by 90
requests in the mean; in the demo 30 % are late by 300. ``--as before cold told`` with an earlier
package on ``PYTHONPATH`` gives the rows "before". ``--write docs/zoos.md`` runs nothing, and writes
the table of what the cache holds.
"""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench_zoos import Cache, Cell
from floorline._markdown import markdown_table
from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FakeProvider
from floorline.demo.traffic import Traffic, TrafficRecord, run_traffic
from floorline.demo.traffic_report import outcomes
from floorline.encoders import make_encoder
from floorline.optimization.floor_lp import cheapest_mix
from floorline.replay import Spec, prepare
from floorline.replay import replay as replay_policy
from floorline.replay.run import history_of
from labels import feedback
from written import write

DEMO = "the demo itself"
OURS = (DEMO, "cold", "told", "warm")
OTHERS = ("mess_plus", "sla_router", "static_mix", "best_fixed", "random", "oracle")
RUNS = 3
"""Runs of the demo itself per seed."""
PAST, OTHER_ZOO = 1000, 1000
"""Users of the history of a warm start, and what is added to a seed for that of their zoo."""


def users_of(traffic):
    """Return the labels and costs of all users and models of a demo, as replays need them."""
    zoo = SimulatedZoo(traffic.users, seed=traffic.seed)
    thresholds = np.random.default_rng([traffic.seed, 5]).random(traffic.users)
    provider, none = FakeProvider(zoo, seed=traffic.seed), np.zeros(0)
    quality, cost = outcomes(TrafficRecord(traffic, zoo, provider, thresholds, none, none))
    table = replace(zoo.table(), quality=quality, cost=cost, tokens_out=None)
    return prepare(table, make_encoder("hashed"))


def run(variant, traffic):
    """Return satisfaction − floor and cost / static mix of one run."""
    data = users_of(traffic)
    costs = data.cost.mean(axis=0)
    mix = cheapest_mix(data.quality.mean(axis=0), costs, traffic.floor) @ costs
    if variant == DEMO:
        at = np.arange(traffic.users), asyncio.run(run_traffic(traffic)).model
        return data.quality[at].mean() - traffic.floor, data.cost[at].mean() / mix
    past = history_of(data) if variant == "told" else None
    if variant == "warm":
        other = replace(traffic, users=PAST, seed=traffic.seed + OTHER_ZOO)
        past = history_of(users_of(other))
    late = traffic.late_share * traffic.delay
    labels = f"{feedback(traffic.feedback_share)}+delayed:{late:g}"
    policy = "primal_dual" if variant in OURS else variant
    parameters = {"prompts": False} if variant == "told" else {}
    spec = Spec(policy, traffic.floor, labels, traffic.seed, parameters)
    done = replay_policy(data, spec, past=past)
    return done.satisfied.mean() - traffic.floor, done.cost.mean() / mix


def table(records):
    """Floors kept and cost of each row, over seeds."""
    rows = {}
    for cell, record in records.items():
        found = rows.setdefault(", ".join(filter(None, (cell.label, cell.policy))), [])
        found.append((record["over"] >= -1e-9, record["over"], record["cost"]))
    lines = []
    for name, found in rows.items():
        met, over, cost = np.array(found, dtype=float).T
        span = f"{cost.mean():.2f} ({cost.min():.2f} to {cost.max():.2f})"
        lines.append([name, f"{met.sum():.0f} of {len(met)}", f"{over.mean():+.4f}", span])
    heads = ["policy", "floors kept", "satisfaction − floor", "cost / mix (least to most)"]
    return markdown_table(heads, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", help=", ".join((*OURS, *OTHERS)))
    parser.add_argument("--as", dest="label", default="ours", help="label of rows of our policy")
    parser.add_argument("--cache", type=Path, required=True, help="folder of records of runs")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", type=Path, help="page for the table of what the cache holds")
    given = parser.parse_args()
    cache = Cache(given.cache)
    if given.write:
        write(given.write, "bench_demo.py", table(cache.records))
        return
    for variant in given.variants or (*OURS, *OTHERS):
        label = given.label if variant in OURS else ""
        for seed in range(given.seeds):
            traffic = Traffic(seed=seed)
            for number in range(RUNS if variant == DEMO else 1):
                name = f"demo, run {number}"
                cell = Cell(label, variant, name, traffic.floor, traffic.feedback_share, seed)
                if cell not in cache.records:
                    over, cost = map(float, run(variant, traffic))
                    cache.add(cell, {**cell._asdict(), "over": over, "cost": cost})
    print(table(cache.records))


if __name__ == "__main__":
    main()
