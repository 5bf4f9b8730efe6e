"""What it costs to keep a floor when a share φ of the labels is seen, and how near we are.

``python benchmarks/bench_sparse.py streams [--seeds 20] [--jobs 2] [--cache FOLDER]`` simulates
streams of two models, one floor and independent labels: bounds and the optimum of
``sparse_theory.py`` beside ``primal_dual``, told the means (a history with exactly these means) and
cold. ``frontier`` does so for several values of ``keep_probability``.

``FLOORLINE_DATA=… python benchmarks/bench_sparse.py tables --cache FOLDER`` puts the same bounds
beside what ``bench_zoos.py`` has in its cache: ours, told and cold, and other policies.

``--write docs/sparse.md`` writes what a part prints into that page.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from statistics import NormalDist

import msgspec
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from bench_zoos import CLEAR, STORED, TABLES, Cache, NoFeatures, floors_of, last_commit, load_tables
from floorline._markdown import markdown_table
from floorline.datasets.table import RoutingTable
from floorline.encoders import make_encoder
from floorline.estimators.running_mean import RunningMean
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies.base import History
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.replay import Spec, prepare, replay
from labels import feedback
from sparse_theory import Case, optimum
from written import write

SHARES = (1.0, 0.5, 0.2, 0.05)
REQUESTS = (500, 1000, 2000, 5000, 20000)
GAPS = (0.15, 0.05)
"""Distances of the better model's mean from the floor."""
PROBABILITIES = (0.5, 0.8, 0.95, 0.99)
LONG = 20000
"""Requests from which on a stream is simulated a quarter as often."""
TOLD_LABELS = 2000
"""Labels of each model in the history that tells the means."""
ENCODER = make_encoder("hashed")
SPARSE = (0.2, 0.05)
"""Shares of labels at which tables are compared."""
OTHERS = ("sla_router", "mess_plus, code", "mess_plus")
REFERENCES = ("static_mix", "best_fixed", "random", "oracle")
BEFORE = "before"
"""Label of runs of our policy as it was before, in the cache of ``bench_zoos.py``."""


def stream(case, seed):
    """Independent labels of both models, as a table to replay."""
    rng = np.random.default_rng([seed, case.requests])
    quality = (rng.random((case.requests, 2)) < case.means).astype(float)
    cost = np.tile(case.costs, (case.requests, 1))
    # The prompts are all the same, so that one is encoded.
    one = prepare(RoutingTable(["prompt"], ("small", "large"), quality[:1], cost[:1]), ENCODER)
    return one._replace(
        quality=quality,
        cost=cost,
        features=np.repeat(one.features, case.requests, axis=0),
        input_tokens=np.repeat(one.input_tokens, case.requests),
    )


def exact_history(case, data):
    """Return a history whose means are exactly those of the models."""
    satisfied = np.round(case.means * TOLD_LABELS)
    quality = (np.arange(TOLD_LABELS)[:, None] < satisfied).astype(float)
    cost = np.tile(case.costs, (TOLD_LABELS, 1))
    tokens = np.zeros(TOLD_LABELS, dtype=np.int64)
    return History([data.features[0]] * TOLD_LABELS, quality, cost, tokens)


def simulate(case, seed, probability, *, told):
    """Whether our policy kept the floor of one stream, and its cost over the static mix."""
    data = stream(case, seed)
    past = exact_history(case, data) if told else None
    parameters = {"prompts": False, "keep_probability": probability, "estimator": RunningMean}
    spec = Spec("primal_dual", case.floor, feedback(case.share), seed, parameters)
    with threadpool_limits(1):
        done = replay(data, spec, past=past)
    kept = float(np.mean(done.satisfied) >= case.floor - 1e-9)
    return kept, float(np.mean(done.cost)) / case.mix[1]


class Simulated:
    """Means over seeds of ``simulate``, kept in a file."""

    def __init__(self, given):
        self.given = given
        self.path = given.cache / f"sparse-{given.label}.json" if given.cache else None
        self.found = {}
        if self.path is not None and self.path.exists():
            self.found = msgspec.json.decode(self.path.read_bytes())

    def mean(self, case, probability, *, told):
        """Floors kept and cost."""
        seeds = range(self.given.first, self.given.first + self.given.seeds)
        seeds = seeds[:: 4 if case.requests >= LONG else 1]
        key = repr((*case, probability, told, *seeds))
        if key not in self.found:
            one = partial(simulate, case, probability=probability, told=told)
            runs = Parallel(n_jobs=self.given.jobs)(delayed(one)(seed) for seed in seeds)
            self.found[key] = np.mean(runs, axis=0).tolist()
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_bytes(msgspec.json.encode(self.found))
        kept, cost = self.found[key]
        return f"{kept:.0%} at {cost:.2f}"


def ratio(value):
    """A cost over the static mix; nothing where no model brings the surplus."""
    return "–" if np.isnan(value) else f"{value:.2f}"


def streams(given):
    """Price of not seeing by φ, T and gap."""
    simulated, probability = Simulated(given), given.probability
    headers = [
        "gap",
        "φ",
        "T",
        "bound, told",
        "optimum, told",
        "ours, told",
        "bound, learned",
        "ours, cold",
        "requests to tell",
    ]
    rows = []
    for gap in given.gaps:
        for share in given.shares:
            for requests in given.requests:
                case = Case(share, requests, gap)
                kept, cost = optimum(case, probability)
                row = [
                    f"{gap:g}",
                    f"{share:g}",
                    f"{requests:,}",
                    ratio(case.bound(probability, told=True)),
                    f"{kept:.0%} at {cost:.2f}",
                    simulated.mean(case, probability, told=True),
                    ratio(case.bound(probability, told=False)),
                    simulated.mean(case, probability, told=False),
                    f"{case.labels_to_tell:,.0f}",
                ]
                print(*row, sep=" | ", flush=True)
                rows.append(row)
    title = (
        f"Floor kept at cost / static mix, two models, floor .75, p = {probability:g}, "
        f"{given.seeds} streams each"
    )
    if max(given.requests) >= LONG:
        title += f" ({max(given.seeds // 4, 1)} at T = {LONG:,})"
    return f"{title}:\n\n{markdown_table(headers, rows)}"


def frontier(given):
    """Cost of the probability itself."""
    simulated, rows, requests = Simulated(given), [], min(given.requests)
    for share in given.shares:
        for probability in PROBABILITIES:
            case = Case(share, requests, GAPS[0])
            row = [f"{share:g}", f"{probability:g}"]
            for told in (True, False):
                row.append(ratio(case.bound(probability, told=told)))
                row.append(simulated.mean(case, probability, told=told))
            print(*row, sep=" | ", flush=True)
            rows.append(row)
    headers = ["φ", "p", "bound, told", "ours, told", "bound, learned", "ours, cold"]
    title = (
        f"Floor kept at cost / static mix, T = {requests:,}, gap {GAPS[0]:g}, {given.seeds} seeds"
    )
    return f"{title}:\n\n{markdown_table(headers, rows)}"


def table_bound(data, floor, share, probability, *, told):
    """Cost over the static mix of the mix that has the extra surplus, and whether one has it."""
    quality, cost = data.quality.mean(axis=0), data.cost.mean(axis=0)
    hidden = (1.0 - share) * floor * (1.0 - floor) / data.rows
    extra = NormalDist().inv_cdf(probability) * np.sqrt(hidden if told else hidden / share)
    asked = min(floor + extra, float(quality.max()))
    price = cheapest_mix(quality, cost, asked) @ cost
    return float(price / (cheapest_mix(quality, cost, floor) @ cost)), asked == floor + extra


def tables(given):
    """Bounds of every clear floor beside what the cache of ``bench_zoos.py`` has."""
    data = load_tables(list(TABLES), NoFeatures())
    records = Cache(given.cache, STORED).records
    texts = []
    ours = [
        (name, label, policy)
        for policy, name in (("ours", "ours"), ("ours, told", "ours, told the means"))
        for name, label in ((f"**{name}**", given.label), (f"{name}, before", BEFORE))
    ]
    for share in SPARSE:
        rows = []
        cells = [
            (name, floor)
            for name, table in data.items()
            if table.rows <= given.longest
            for floor in floors_of(table.quality.mean(axis=0))
            if table.quality.mean(axis=0).max() - floor >= CLEAR
        ]
        groups = {
            "3 or 4 models": [cell for cell in cells if len(data[cell[0]].zoo) <= 4],
            "more models": [cell for cell in cells if len(data[cell[0]].zoo) > 4],
            "all": cells,
        }
        for told, label in ((True, "bound, told the means"), (False, "bound, means learned")):
            row = [label]
            for part in groups.values():
                found = np.array(
                    [
                        table_bound(data[name], floor, share, given.probability, told=told)
                        for name, floor in part
                    ]
                )
                row.append(f"{found[:, 1].mean():.0%} reach it at {found[:, 0].mean():.2f}")
            rows.append([*row, ""])
        others = [(policy, "", policy) for policy in (*OTHERS, *REFERENCES)]
        for name, label, policy in (*ours, *others):
            at = 1.0 if policy in REFERENCES else share
            found = {}
            for cell, record in records.items():
                if (cell.label, cell.policy, cell.share) == (label, policy, at):
                    found.setdefault((cell.table, cell.floor), []).append(
                        (record["met"], record["cost"])
                    )
            if not all(cell in found for cell in cells):
                continue
            row = [name]
            for part in groups.values():
                met, cost = np.mean([np.mean(found[cell], axis=0) for cell in part], axis=0)
                row.append(f"{met:.0%} at {cost:.2f}")
            counts = sorted({len(found[cell]) for cell in cells})
            rows.append([*row, " to ".join(str(n) for n in {counts[0]: 0, counts[-1]: 0})])
        headers = ["", *(f"{name} ({len(part)} floors)" for name, part in groups.items()), "seeds"]
        title = f"φ = {share:g}: floors met at mean cost / static mix, p = {given.probability:g}"
        texts.append(f"{title}:\n\n{markdown_table(headers, rows)}")
    return "\n\n".join(texts)


PARTS = {"streams": streams, "frontier": frontier, "tables": tables}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--gaps", nargs="*", type=float, default=GAPS)
    parser.add_argument("--shares", nargs="*", type=float, default=SHARES, help="values of φ")
    parser.add_argument("--requests", nargs="*", type=int, default=REQUESTS)
    parser.add_argument("--longest", type=float, default=np.inf, help="skip longer tables")
    parser.add_argument("--probability", type=float, default=PrimalDualConfig().keep_probability)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="folder of records of runs")
    parser.add_argument("--as", dest="label", default=None, help="label of runs of our policy")
    parser.add_argument("--write", type=Path, help="page that the tables are written into")
    given = parser.parse_args()
    if given.part == "tables" and (not os.environ.get("FLOORLINE_DATA") or given.cache is None):
        print("skipped: set FLOORLINE_DATA, and give the --cache of bench_zoos.py")
        return
    given.label = given.label or last_commit()
    text = PARTS[given.part](given)
    if given.write:
        write(given.write, f"bench_sparse.py {given.part}", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
