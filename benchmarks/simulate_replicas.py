"""64 replicas in virtual time: what an old state does to floors, cost and budgets.

``python benchmarks/simulate_replicas.py --cache FOLDER [--seconds 120] [--seeds 5]`` makes the runs
that the folder lacks, one file for each age of states and seed, and prints a table; ``--show`` only
prints what the folder holds, and ``--write`` puts the tables of 2 and 11 minutes that it holds into
docs/replicas.md. Routers, fold, learner, shares and escrow are those of the product
(``replica_simulation.py``). 128 requests a second reach 64 replicas, each request a random one; a
fifth of the answers gets a label, after 10 seconds on average. The learner publishes a state every
Δ seconds, so a replica decides from one that is up to Δ seconds old and from its own calls since.
Δ = 0 is one server.

Half of the requests come under the SLA "gold", whose floor is 0.8. A quarter each come under two
SLAs with the same floor and a budget a minute that pays for half of what the static mix costs:
"shared" by shares of the replicas, as the product does, and "unshared" by what each replica knows.
"""

import argparse
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from replica_simulation import UNSHARED, cached_run, is_cached
from replica_world import FLOOR, GOLD, Setting, World
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "replicas.md"
REPLICAS, RATE = 64, 128.0
"""Number of replicas, and requests per second of all together."""
SHARED, MINUTE = "shared", 60.0
SHARES = {GOLD: 0.5, SHARED: 0.25, UNSHARED: 0.25}
LENGTHS = (120.0, 660.0)
"""Lengths of traffic whose tables are written: 1 and 10 minutes after the first one."""
ROWS = (
    ("one server, told the means", 0.0, True),
    ("one server", 0.0, False),
    ("60 s", 60.0, False),
    ("10 s", 10.0, False),
    ("1 s", 1.0, False),
    ("0.1 s", 0.1, False),
)
"""Name, pause between two states in seconds, and whether the means are told beforehand."""


def setting(seconds):
    """Return the setting of runs of a length."""
    return Setting(RATE, seconds, SHARES)


def spent(world, result, sla):
    """(periods,) cost of the calls of each whole period under an SLA, relative to its budget."""
    mine = world.traffic.sla == world.names.index(sla)
    period = (world.traffic.at // world.setting.period).astype(int)
    sums = np.bincount(period[mine], weights=np.nan_to_num(result.cost[mine]))
    return sums[: int(world.setting.seconds // world.setting.period)] / world.budget(sla)


def parts(world):
    """Return masks of the requests under "gold" by their minutes."""
    gold, at = world.traffic.sla == world.names.index(GOLD), world.traffic.at
    masks = [gold & (at < MINUTE), gold & (at >= MINUTE) & (at < 2 * MINUTE)]
    if world.setting.seconds > 2 * MINUTE:
        masks.append(gold & (at >= MINUTE))
    return masks


def part_names(seconds):
    """Return the names of what ``parts`` returns."""
    later = [f"minutes 2 to {seconds / MINUTE:g}"] if seconds > 2 * MINUTE else []
    return ["first minute", "second minute", *later]


def measured(world, result):
    """What the table says of a run: satisfaction and cost by part, then the budgets."""
    masks = parts(world)
    satisfied = [100 * result.satisfied[mask].mean() for mask in masks]
    costs = [result.cost[mask].mean() for mask in masks]
    last = satisfied[-1] / 100
    shared, unshared = (spent(world, result, name) for name in (SHARED, UNSHARED))
    return [
        *satisfied,
        *(cost / world.mix_cost for cost in costs),
        costs[-1] / world.mix_cost_at(last),
        costs[-1] / world.oracle_cost_at(last),
        100 * result.peak[world.names.index(SHARED)] / world.budget(SHARED),
        100 * shared.mean(),
        100 * unshared.max(),
    ]


def span(values, digits):
    """Return the mean of seeds, and the least and the most."""
    mean, least, most = np.mean(values), np.min(values), np.max(values)
    if len(values) == 1:
        return f"{mean:,.{digits}f}"
    return f"{mean:,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"


def reference_rows(worlds, count):
    """Return the rows of what needs no learning; ``count`` is the number of parts."""
    found = {}
    for world in worlds:
        for one in world.references():
            equal = one.cost / world.mix_cost_at(one.satisfied)
            oracle = one.cost / world.oracle_cost_at(one.satisfied)
            values = [100 * one.satisfied, one.cost / world.mix_cost, equal, oracle]
            found.setdefault(one.name, []).append(values)
    rows = []
    for name, values in found.items():
        satisfied, cost, equal, oracle = np.mean(values, axis=0)
        cells = [f"{satisfied:.1f}"] * count + [f"{cost:.2f}"] * count
        cells += [f"{equal:.2f}", f"{oracle:.2f}", "–", "–", "–"]
        rows.append([name, "–", f"{len(values)}", *cells])
    return rows


def table(folder, seconds, seeds, make):
    """Return the table of the runs of a length; None if there are none.

    ``make`` says whether runs that the folder lacks are made; else they are left out.
    """
    worlds, rows, used = {}, [], set()
    count = len(part_names(seconds))
    for name, staleness, told in ROWS:
        runs = []
        for seed in range(seeds):
            if not (make or is_cached(folder, setting(seconds), seed, REPLICAS, staleness, told)):
                continue
            if seed not in worlds:
                worlds[seed] = World(setting(seconds), seed)
            result = cached_run(folder, worlds[seed], REPLICAS, staleness, told)
            runs.append(measured(worlds[seed], result))
            used.add(seed)
            if make:
                print(name, seed, np.round(runs[-1], 3), flush=True)
        if runs:
            between = f"{RATE * staleness:,.0f}"
            rows.append([name, between, f"{len(runs)}", *_cells(np.array(runs), staleness, count)])
    if not rows:
        return None
    worlds = [worlds[seed] for seed in sorted(used)]
    requests = np.mean([len(world.traffic.at) for world in worlds])
    title = (
        f"{REPLICAS} replicas, {RATE:g} requests a second, {seconds / MINUTE:g} minutes, "
        f"{requests:,.0f} requests in each run, floor {100 * FLOOR:g} %; a budget pays for "
        f"{worlds[0].budget(SHARED) / worlds[0].largest_call():,.0f} of the largest calls; mean of "
        "seeds (least to most)"
    )
    names = part_names(seconds)
    headers = [
        *("state at most old", "requests between two states", "seeds"),
        *(f"satisfied, {name} (%)" for name in names),
        *(f"cost / static mix, {name}" for name in names),
        f"cost / static mix of the same satisfaction, {names[-1]}",
        f"cost / oracle of the same satisfaction, {names[-1]}",
        "shares: most of a budget held and spent (%)",
        "shares: spent of the budgets (%)",
        "without shares: most spent of a budget (%)",
    ]
    return Sheet(title, headers, [*reference_rows(worlds, count), *rows])


def _cells(runs, staleness, count):
    """Return the cells of a row from (seeds, values)."""
    digits = [1] * count + [2] * (count + 2) + [1, 1, 1]
    cells = [span(values, d) for values, d in zip(runs.T, digits, strict=True)]
    # A budget is a promise: the worst run counts.
    cells[-3], cells[-1] = f"{runs[:, -3].max():,.1f}", f"{runs[:, -1].max():,.1f}"
    if not staleness:
        cells[-3:-1] = ["–", "–"]
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of runs that are kept")
    parser.add_argument("--seconds", type=float, default=LENGTHS[0], help="of traffic in each run")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--show", action="store_true", help="make no runs")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/replicas.md")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        sheets = [table(given.cache, given.seconds, given.seeds, not given.show)]
        if given.write:
            sheets = [table(given.cache, seconds, given.seeds, False) for seconds in LENGTHS]
    sheets = [sheet for sheet in sheets if sheet is not None]
    if given.write:
        write(PAGE, "simulate_replicas.py", "\n\n".join(sheet.text() for sheet in sheets))
    for sheet in sheets:
        sheet.show()


if __name__ == "__main__":
    main()
