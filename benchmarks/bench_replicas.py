"""1, 2 and 4 replicas: satisfaction, cost, budgets, throughput and latency.

``python benchmarks/bench_replicas.py --cache FOLDER [--simulate] [--real] [--throughput]`` makes
the runs that the folder lacks, and prints the tables of what it holds; ``--write`` puts them into
docs/replicas.md. ``--throughput`` takes about five minutes on a machine without other work, and
replaces what was measured before.

Requests, models, labels and costs are simulated, and the same ones for each number of replicas: a
request and the model that answers decide whether its user is satisfied. A fifth of the answers get
a label, some seconds later. Four fifths of the requests come under the SLA "gold" (floor 80 %), the
others under "shared", whose budget a period pays for half of what the static mix costs.

- ``--simulate``: the product's routers, learner, shares and escrow in virtual time.
- ``--real``: servers, a learner, PostgreSQL, HAProxy, provider and users as processes that speak
  HTTP on loopback. Each message is a new connection, so that labels come back through any replica.
- ``--throughput``: the same processes in a closed loop, with a provider that answers at once.
"""

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

import replica_throughput
from replica_simulation import cached_run, is_cached
from replica_users import cached_real_run, is_cached_real
from replica_world import FLOOR, GOLD, Setting, World
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "replicas.md"
SHARED = "shared"
COUNTS, PUBLISH_SECONDS = (1, 2, 4), 0.25
"""Numbers of replicas, and the pause between two states (the default of ``replicas.publish``)."""
SHARES = {GOLD: 0.8, SHARED: 0.2}
SIMULATED = Setting(160.0, 125.0, SHARES, period=30.0, label_seconds=2.0, pace=0.1)
REAL = Setting(40.0, 100.0, SHARES, period=30.0, label_seconds=2.0, pace=0.1)
CONFIDENCE, MOST_SEEDS = 0.95, 100


class Quality(NamedTuple):
    """One run: mean label and mean cost under "gold", the cost relative to the static mix's, and
    to that of the static mix with the same mean label; and parts of the budget under "shared".
    """

    satisfied: float
    cost: float
    per_mix: float
    per_equal_mix: float
    spent: float
    most_spent: float
    committed: float


def quality(world, satisfied, cost, spent, committed):
    """Return the quality of a run from (N,) labels and costs, NaN where none answered."""
    gold = (world.traffic.sla == world.names.index(GOLD)) & ~np.isnan(satisfied)
    mean, paid = satisfied[gold].mean(), cost[gold].mean()
    whole = spent if len(spent) else np.zeros(1)
    return Quality(
        float(mean),
        float(paid),
        float(paid / world.mix_cost),
        float(paid / world.mix_cost_at(mean)),
        float(whole.mean()),
        float(whole.max()),
        committed,
    )


def simulated(folder, world, replicas, staleness=PUBLISH_SECONDS, told=False):
    """Return the quality of a run in virtual time."""
    result = cached_run(folder, world, replicas, staleness, told)
    which, budget = world.names.index(SHARED), world.budget(SHARED)
    mine = world.traffic.sla == which
    period = (world.traffic.at // world.setting.period).astype(int)
    sums = np.bincount(period[mine], weights=np.nan_to_num(result.cost[mine]))
    whole = sums[: int(world.setting.seconds // world.setting.period)] / budget
    return quality(world, result.satisfied, result.cost, whole, result.peak[which] / budget)


def real(folder, world, replicas):
    """Return the quality of a run of real processes, and what its users met."""
    served, spent = cached_real_run(folder, world, replicas)
    answered, rows = served.model >= 0, np.arange(len(served.model))
    labels = np.where(answered, world.data.quality[rows, served.model], np.nan)
    cost = np.where(answered, world.data.cost[rows, served.model], np.nan)
    return quality(world, labels, cost, spent.spent, float(spent.committed)), served, spent


def interval(values):
    """Return "mean ± half the interval" of a mean over seeds, by Student's t."""
    values = np.asarray(values)
    if len(values) < 2:
        return f"{values.mean():+.2f}"
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * stats.sem(values)
    return f"{values.mean():+.2f} ± {half:.2f}"


def row(name, runs, base):
    """Return a row over seeds; ``base`` are the runs of one replica, None to compare with none."""
    mean = np.mean(runs, axis=0)
    differences = ["–", "–"]
    if base is not None:
        pairs = list(zip(runs, base, strict=True))
        differences = [
            interval([100 * (one.satisfied - other.satisfied) for one, other in pairs]),
            interval([100 * (one.cost / other.cost - 1) for one, other in pairs]),
        ]
    cells = [name, f"{len(runs)}", f"{100 * mean[0]:.2f}", differences[0]]
    cells += [f"{mean[2]:.3f}", differences[1], f"{mean[3]:.3f}"]
    most = np.max(runs, axis=0)
    over = max(0.0, most[5] - 1.0)
    cells += [f"{100 * mean[4]:.1f}", f"{100 * most[6]:.1f}", f"{100 * over:.1f}"]
    return cells


HEADERS = [
    "",
    "seeds",
    "satisfied (%)",
    "less that of one replica (points)",
    "cost / static mix",
    "cost more than one replica (%)",
    "cost / static mix of the same satisfaction",
    "spent of the budgets (%)",
    "most of a budget spent and reserved (%)",
    "most overspent of a budget (%)",
]


def reference_rows(worlds):
    """Return rows of the references, mean over worlds."""
    found = {}
    for world in worlds:
        for one in world.references():
            equal = one.cost / world.mix_cost_at(one.satisfied)
            values = (100 * one.satisfied, one.cost / world.mix_cost, equal)
            found.setdefault(one.name, []).append(values)
    rows = []
    for name, values in found.items():
        satisfied, cost, equal = np.mean(values, axis=0)
        cells = [f"{satisfied:.2f}", "–", f"{cost:.3f}", "–", f"{equal:.3f}"]
        rows.append([name, f"{len(values)}", *cells, *["–"] * 3])
    return rows


def simulated_sheet(folder, seeds):
    """Return the table of the runs in virtual time."""
    worlds = [World(SIMULATED, seed) for seed in seeds]
    runs = {count: [simulated(folder, w, count) for w in worlds] for count in COUNTS}
    base = runs[COUNTS[0]]
    rows = reference_rows(worlds)
    for name, told in (("one server, told the means", True), ("one server, alone", False)):
        has = [is_cached(folder, SIMULATED, seed, 1, 0.0, told) for seed in seeds]
        kept = [place for place, there in enumerate(has) if there]
        if kept:
            found = [simulated(folder, worlds[place], 1, 0.0, told) for place in kept]
            cells = row(name, found, [base[place] for place in kept])
            # A server that is alone has no shares.
            rows.append(cells[:-3] + ["–"] * 3)
    for count, found in runs.items():
        name = f"{count} replica" + "s" * (count > 1)
        rows.append(row(name, found, base if count > 1 else None))
    count = np.mean([len(world.traffic.at) for world in worlds])
    title = (
        f"Virtual time: {len(seeds)} seeds of {count:,.0f} requests on average, "
        f"{SIMULATED.rate:g} a second, a state every {PUBLISH_SECONDS:g} s, floor "
        f"{100 * FLOOR:g} %; a budget pays for "
        f"{worlds[0].budget(SHARED) / worlds[0].largest_call():,.0f} of the largest calls; "
        f"± {100 * CONFIDENCE:g} % over pairs of the same seed"
    )
    return Sheet(title, HEADERS, rows)


def real_sheets(folder, seeds):
    """Return the tables of the runs of real processes: quality, and what users met."""
    worlds = [World(REAL, seed) for seed in seeds]
    runs = {count: [real(folder, world, count) for world in worlds] for count in COUNTS}
    base = [one for one, _, _ in runs[COUNTS[0]]]
    rows, met = reference_rows(worlds), []
    for count, found in runs.items():
        name = f"{count} replica" + "s" * (count > 1)
        rows.append(row(name, [one for one, _, _ in found], base if count > 1 else None))
        seconds = np.concatenate([served.seconds for _, served, _ in found])
        times = [f"{1e3 * t:,.0f}" for t in np.nanpercentile(seconds, (50, 95, 99))]
        counts = [sum(int((s.model >= 0).sum()) for _, s, _ in found)]
        counts += [sum(int(s.labels) for _, s, _ in found)]
        counts += [
            sum(int(s.retries) for _, s, _ in found),
            sum(len(s.failed) for _, s, _ in found),
        ]
        opened = 100 * max(float(spent.open) for _, _, spent in found)
        met.append([name, *times, *(f"{c:,}" for c in counts), f"{opened:.1f}"])
    count = np.mean([len(world.traffic.at) for world in worlds])
    title = (
        f"Real processes: {len(seeds)} seed(s) of {count:,.0f} requests on average, at most "
        f"{REAL.rate:g} a second"
    )
    headers = ["", "p50 (ms)", "p95", "p99", "answers", "labels", "sent again", "failed"]
    headers += ["most reserved by open calls (% of a budget)"]
    return [
        Sheet(title, HEADERS, rows),
        Sheet(
            "What users met: time of an answer without the provider's wait, answers, labels that a "
            "replica acknowledged, messages that were sent again because no server was ready, and "
            "those that failed",
            headers,
            met,
        ),
    ]


def simulated_seeds(folder):
    """Return the seeds of which the folder has all runs in virtual time."""
    return [
        seed
        for seed in range(MOST_SEEDS)
        if all(is_cached(folder, SIMULATED, seed, n, PUBLISH_SECONDS) for n in COUNTS)
    ]


def real_seeds(folder):
    """Return the seeds of which the folder has all runs of real processes."""
    return [
        seed
        for seed in range(MOST_SEEDS)
        if all(is_cached_real(folder, REAL, seed, n) for n in COUNTS)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of runs that are kept")
    parser.add_argument("--simulate", action="store_true", help="run in virtual time")
    parser.add_argument("--real", action="store_true", help="run real processes")
    parser.add_argument("--throughput", action="store_true", help="measure a closed loop")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="of the closed loop")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a cell of the closed loop")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/replicas.md")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    kept = given.cache / "throughput.json"
    if given.throughput:
        kept.write_text(json.dumps(replica_throughput.rounds(given.rounds, given.seconds)))
    with threadpool_limits(1):
        for seed in range(given.seeds):
            if given.simulate:
                world = World(SIMULATED, seed)
                for told in (True, False):
                    simulated(given.cache, world, 1, 0.0, told)
                for count in COUNTS:
                    print("virtual", seed, count, simulated(given.cache, world, count), flush=True)
            if given.real:
                world = World(REAL, seed)
                for count in COUNTS:
                    print("real", seed, count, real(given.cache, world, count)[0], flush=True)
    sheets = []
    if seeds := simulated_seeds(given.cache):
        sheets.append(simulated_sheet(given.cache, seeds))
    if seeds := real_seeds(given.cache):
        sheets += real_sheets(given.cache, seeds)
    if kept.exists():
        machine = f"{os.cpu_count()} cores"
        sheets += replica_throughput.tables(json.loads(kept.read_text()), machine)
    if given.write:
        write(PAGE, "bench_replicas.py", "\n\n".join(sheet.text() for sheet in sheets))
    for sheet in sheets:
        sheet.show()


if __name__ == "__main__":
    main()
