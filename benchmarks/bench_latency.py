"""Promises of latency on the logged runs of MESS+: whether both floors are kept, and their cost.

Prints the tables of docs/latency.md; ``FLOORLINE_DATA`` names the folder that holds ``messplus/``:

    python benchmarks/bench_latency.py promises --seeds 5
    python benchmarks/bench_latency.py promises --tables boolq --save boolq.pickle  # a part of it
    python benchmarks/bench_latency.py promises --load *.pickle                     # all parts
    python benchmarks/bench_latency.py drift --seeds 5
    python benchmarks/bench_latency.py liar --seeds 5
    python benchmarks/bench_latency.py speed
"""

import argparse
import math
import os
import pickle
import time
from functools import cache
from itertools import product
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, identity, kron

from floorline._markdown import markdown_row, markdown_table
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.events import CLIENT, RequestContext
from floorline.replay.data import prepare
from floorline.replay.environment import GivenFeatures
from floorline.replay.run import replay
from floorline.replay.spec import Spec, Timeline
from floorline.router import Router
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

FLOORS = {
    "arc_challenge": (0.45, 0.52, 0.57),
    "boolq": (0.75, 0.81, 0.85),
    "piqa": (0.755, 0.775, 0.8),
    "sciq": (0.945, 0.955, 0.963),
    "social_iqa": (0.43, 0.45, 0.47),
}
"""Floors by table: some, half and most of the way from the small model to the large one."""
SLOW_SMALL = "cheap host slow"
"""Variant with the times of the small and the large model exchanged: what is cheap is slow, as on
shared or distant hardware. Qualities and costs are as logged."""


class Promise(NamedTuple):
    """A promise, as a quantile and the two models between whose median times the limit lies."""

    text: str
    quantile: str
    between: tuple[int, int]
    exchanged: bool = False
    noise: float = 0.0


PROMISES = (
    Promise("p95, large too slow", "p95", (1, 2)),
    Promise("p50, medium and large too slow", "p50", (0, 1)),
    Promise(f"p95, {SLOW_SMALL}", "p95", (1, 0), exchanged=True),
    Promise(f"p80, {SLOW_SMALL}, times × lognormal(0.7)", "p80", (1, 0), exchanged=True, noise=0.7),
)


@cache
def table(name, exchanged=False, noise=0.0):
    """One table ready to replay, with times that are exchanged or noisy if asked for."""
    data = prepare(load(f"messplus/{name}", gaps="drop"), make_encoder("hashed"))
    times = np.asarray(data.latency, dtype=np.float64)
    if exchanged:
        times = times[:, [2, 1, 0]]
    if noise:
        times = times * np.random.default_rng(0).lognormal(0.0, noise, times.shape)
    return data._replace(latency=times)


REQUESTS = 1_000
"""Most requests of a run; the references are those of the whole table."""
KINDS = ("none", "ceiling", "promise")
"""No promise; ``max_latency`` at the limit; the promise."""


class Case(NamedTuple):
    """One table under one floor and promise."""

    name: str
    floor: float
    promise: Promise

    @property
    def data(self):
        """The table, with the times of the promise's variant."""
        return table(self.name, self.promise.exchanged, self.promise.noise)

    @property
    def limit(self):
        """Seconds: the geometric mean of two models' median times."""
        low, high = (float(np.median(self.data.latency[:, m])) for m in self.promise.between)
        return float(f"{math.sqrt(low * high):.2g}")

    @property
    def share(self):
        """Promised share."""
        return float(self.promise.quantile[1:]) / 100.0

    @property
    def within(self):
        """(N, M) whether each model answers each request within the limit."""
        return (self.data.latency <= self.limit).astype(float)

    def sla(self, kind):
        """SLA with the promise, with a ceiling at its limit or with neither."""
        if kind == "promise":
            return SLA("s", floor=self.floor, latency={self.promise.quantile: self.limit})
        ceiling = self.limit if kind == "ceiling" else None
        return SLA("s", floor=self.floor, max_latency=ceiling)


def cheapest(cost, quality, within, floor, share):
    """Cost per request of the cheapest shares (N, M) that keep both floors; None if none does."""
    n, m = cost.shape
    rows = kron(identity(n, format="csr"), csr_matrix(np.ones((1, m))), format="csr")
    bounds = csr_matrix(np.stack([-quality.ravel(), -within.ravel()]) / n)
    found = linprog(
        cost.ravel() / n, A_ub=bounds, b_ub=[-floor, -share], A_eq=rows, b_eq=np.ones(n)
    )
    return float(found.fun) if found.status == 0 else None


@cache
def references(case):
    """Costs of the static mix, of the best fixed model and of the oracle; None for none."""
    data, within = case.data, case.within
    means = [part.mean(axis=0)[None, :] for part in (data.cost, data.quality, within)]
    mix = cheapest(*means, case.floor, case.share)
    (cost,), (quality,), (fast,) = means
    able = (quality >= case.floor) & (fast >= case.share)
    fixed = float(cost[able].min()) if able.any() else None
    return mix, fixed, cheapest(data.cost, data.quality, within, case.floor, case.share)


def run_case(case, kind, policy, seed):
    """Replay one case; return satisfaction, cost, rows, models and the promise's verdict."""
    data, seen = case.data, []
    spec = Spec(policy=policy, floor=case.floor, seed=seed, horizon=min(data.rows, REQUESTS))
    timeline = Timeline((case.sla(kind),))
    run = replay(data, spec, timeline=timeline, watch=lambda step, router: seen.append(router))
    made = seen[-1].certificate()
    verdict = made.latency[0].verdict if made.latency else "-"
    return run.satisfied.mean(), run.cost.mean(), run.row, run.model, verdict


def one(job):
    return run_case(*job)


def print_promises(options):
    """Print both floors and the cost, for each promise over all tables and floors."""
    policies = options.policies
    if options.load:
        parts = [pickle.loads(file.read_bytes()) for file in options.load]
        found = {key: run for runs, _ in parts for key, run in runs.items()}
        costs = {case: cost for _, known in parts for case, cost in known.items()}
    else:
        found, costs = measure(options)
    if options.save:
        options.save.write_bytes(pickle.dumps((found, costs)))
        return
    cases = sorted(costs, key=lambda c: (PROMISES.index(c.promise), c.name, c.floor))
    if options.detail:
        print_cases(cases, policies[0], found, costs, options.seeds)
        print()
    head = ("promise", "policy", "SLA", "cells", "floor kept", "promise kept", "least share − p")
    print(markdown_table([*head, "cost / mix", "cost / oracle", "fixed / mix"]))
    for promise, feasible in product(PROMISES, (True, False)):
        mine = [c for c in cases if c.promise == promise and (costs[c][0] is not None) == feasible]
        for policy, kind in product(policies, KINDS):
            if mine:
                cells = summary(mine, policy, kind, found, costs, options.seeds, feasible)
                text = promise.text if feasible else f"{promise.text}; no mix keeps both"
                print(markdown_row([text, policy, kind, str(len(mine)), *cells]), flush=True)


def measure(options):
    """Return what each run gave, and the costs of each case's reference points."""
    policies = options.policies
    cases = [
        Case(name, floor, promise)
        for promise in PROMISES
        for name in options.tables
        for floor in FLOORS[name]
    ]
    jobs = [
        (case, kind, policy, seed)
        for case in cases
        for policy in policies
        for kind in KINDS
        for seed in range(options.seeds)
        # Without a promise times play no part, so that one run stands for all promises.
        if kind != "none" or case.promise == PROMISES[0]
    ]
    with Pool(options.jobs) as pool:
        runs = dict(zip(jobs, pool.map(one, jobs, chunksize=4), strict=True))
        costs = dict(zip(cases, pool.map(references, cases, chunksize=1), strict=True))
    found = {}
    for case, policy, kind, seed in product(cases, policies, KINDS, range(options.seeds)):
        made = case._replace(promise=PROMISES[0]) if kind == "none" else case
        satisfied, cost, rows, models, verdict = runs[made, kind, policy, seed]
        fast = float(case.within[rows, models].mean())
        found[case, kind, policy, seed] = satisfied, fast, cost, verdict
    return found, costs


def summary(cases, policy, kind, found, costs, seeds, feasible):
    runs = [(c, found[c, kind, policy, s]) for c in cases for s in range(seeds)]
    sat = np.array([r[0] - c.floor for c, r in runs])
    fast = np.array([r[1] - c.share for c, r in runs])
    shown = [f"{(sat >= 0).mean():.0%}", f"{(fast >= 0).mean():.0%}", f"{fast.min():+.3f}"]
    if not feasible:
        return [*shown, "–", "–", "–"]
    mix = np.mean([r[2] / costs[c][0] for c, r in runs])
    oracle = np.mean([r[2] / costs[c][2] for c, r in runs])
    fixed = [costs[c][1] / costs[c][0] for c in cases if costs[c][1] is not None]
    best = f"{np.mean(fixed):.2f} ({len(fixed)})" if fixed else "–"
    return [*shown, f"{mix:.3f}", f"{oracle:.2f}", best]


def print_cases(cases, policy, found, costs, seeds):
    print(
        markdown_table(["case", "limit", "sat − floor", "share − p", "cost/mix", "none", "verdict"])
    )
    for c in cases:
        runs = [found[c, "promise", policy, s] for s in range(seeds)]
        none = [found[c, "none", policy, s] for s in range(seeds)]
        mix = costs[c][0] or math.nan
        print(
            markdown_row(
                [
                    f"{c.name} {c.floor:g} {c.promise.text}",
                    f"{c.limit:g}",
                    f"{np.mean([r[0] for r in runs]) - c.floor:+.4f}",
                    f"{np.mean([r[1] for r in runs]) - c.share:+.4f}",
                    f"{np.mean([r[2] for r in runs]) / mix:.3f}",
                    f"{np.mean([r[2] for r in none]) / mix:.3f}",
                    runs[0][3],
                ]
            )
        )


SCENE = Zoo(
    [
        Model("slow", call_price=1.0),
        Model("middle", call_price=3.0),
        Model("fast", call_price=9.0),
    ]
)
SCENE_QUALITY = (0.78, 0.86, 0.9)
SCENE_SECONDS = (4.0, 1.0, 0.5)
"""Median seconds; a call takes this times lognormal(0.4)."""
SCENE_LIMIT = 2.0
SCENE_REQUESTS = 6_000
TENANTS = 10
DIM = 8


def scene(sla, seed, *, slower=0.0, lie=None, requests=SCENE_REQUESTS, policy="primal_dual"):
    """Serve requests of tenants, which call the models themselves and report the times.

    Parameters
    ----------
    slower
        Factor by which the model ``middle`` becomes slow in the middle of the stream; 0 for never.
    lie
        Seconds that the last tenant reports instead of the true ones; None for a true report.

    Returns
    -------
    Arrays over the requests of honest tenants: number, within the limit, satisfied, cost; and the
    certificate
    """
    rng = np.random.default_rng([seed, 7])
    router = Router(SCENE, policy, [sla], encoder=GivenFeatures(DIM, "drawn"), seed=seed)
    rows = []
    for t in range(requests):
        tenant = t % TENANTS
        context = RequestContext(tenant=f"t{tenant}", call_by=CLIENT)
        x = rng.normal(size=DIM).astype(np.float32)
        made = router.route(features=x, at=float(t), context=context)
        seconds = SCENE_SECONDS[made.index] * rng.lognormal(0.0, 0.4)
        if slower and t >= requests // 2 and made.model == "middle":
            seconds *= slower
        lying = lie is not None and tenant == TENANTS - 1
        cost = SCENE.models[made.index].call_price
        router.outcome(made.id, cost=cost, latency=lie if lying else seconds, at=float(t))
        satisfied = rng.random() < SCENE_QUALITY[made.index]
        if rng.random() < 0.2:
            router.feedback(made.id, satisfied=bool(satisfied), at=float(t))
        if not lying:
            rows.append((t, seconds <= SCENE_LIMIT, satisfied, cost))
    return np.array(rows, dtype=float), router.certificate()


def scene_slas():
    return {
        "none": SLA("s", floor=0.8),
        "ceiling": SLA("s", floor=0.8, max_latency=SCENE_LIMIT),
        "promise": SLA("s", floor=0.8, latency={"p90": SCENE_LIMIT}),
    }


def print_drift(options):
    """A model becomes slow in the middle of the stream."""
    head = ("SLA", "middle × 8 slower", "share within: first half", "next sixth", "last third")
    print(markdown_table([*head, "all", "satisfaction", "cost: first half", "last third"]))
    for kind, sla in scene_slas().items():
        for slower in (0.0, 8.0):
            runs = [scene(sla, seed, slower=slower)[0] for seed in range(options.seeds)]
            t = np.concatenate([r[:, 0] for r in runs]) / SCENE_REQUESTS
            fast, satisfied, cost = (np.concatenate([r[:, n] for r in runs]) for n in (1, 2, 3))
            first, next_, last = t < 0.5, (t >= 0.5) & (t < 2 / 3), t >= 2 / 3
            cells = [f"{fast[part].mean():.3f}" for part in (first, next_, last, t >= 0)]
            cells += [f"{satisfied.mean():.3f}", f"{cost[first].mean():.2f}"]
            text = "yes" if slower else "no"
            print(markdown_row([kind, text, *cells, f"{cost[last].mean():.2f}"]), flush=True)


def print_liar(options):
    """One of ten tenants reports times that are wrong."""
    head = ("one of ten reports", "SLA", "share within, honest", "satisfaction", "cost")
    print(markdown_table([*head, "certified share"]))
    slas = {
        "ceiling": scene_slas()["ceiling"],
        "p90": scene_slas()["promise"],
        "p75": SLA("s", floor=0.8, latency={"p75": SCENE_LIMIT}),
    }
    for lie in (None, 0.0, 1e4):
        for kind in slas:
            runs = [scene(slas[kind], seed, lie=lie) for seed in range(options.seeds)]
            rows = np.concatenate([rows for rows, _ in runs])
            said = [made.latency[0].within for _, made in runs if made.latency]
            shown = f"{np.mean(said):.3f}" if said else "–"
            text = "the truth" if lie is None else f"{lie:g} s"
            cells = [f"{rows[:, 1].mean():.3f}", f"{rows[:, 2].mean():.3f}"]
            print(markdown_row([text, kind, *cells, f"{rows[:, 3].mean():.2f}", shown]), flush=True)


def print_speed(options):
    """Time of a decision and of folding it, with and without promises, in turns."""
    slas = {
        "no promise": SLA("s", floor=0.8),
        "latency p95": SLA("s", floor=0.8, latency={"p95": 2.0}),
        "ttft p95, latency p50 and p95": SLA(
            "s", floor=0.8, ttft={"p95": 0.5}, latency={"p50": 1.0, "p95": 2.0}
        ),
    }
    zoo = Zoo([Model(f"m{n}", call_price=1.0 + n) for n in range(10)])
    rng = np.random.default_rng(0)
    routers = {
        text: Router(zoo, "primal_dual", [sla], encoder=GivenFeatures(64, "drawn"), seed=1)
        for text, sla in slas.items()
    }
    spent = {text: ([], []) for text in slas}
    for t in range(4_000):
        x = rng.normal(size=64).astype(np.float32)
        for text, router in routers.items():
            began = time.perf_counter()
            made = router.route(features=x, at=float(t))
            decided = time.perf_counter()
            router.outcome(made.id, cost=1.0, latency=1.0 + made.index % 3, at=float(t))
            ended = time.perf_counter()
            router.feedback(made.id, satisfied=True, at=float(t))
            spent[text][0].append(decided - began)
            spent[text][1].append(ended - decided)
    print(markdown_table(["SLA", "decision, median µs", "ratio", "outcome, median µs", "ratio"]))
    base = [np.median(part) for part in spent["no promise"]]
    for text, parts in spent.items():
        cells = []
        for part, without in zip(parts, base, strict=True):
            cells += [f"{1e6 * np.median(part):.0f}", f"{np.median(part) / without:.2f}"]
        print(markdown_row([text, *cells]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["promises", "drift", "liar", "speed"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", nargs="+", default=list(FLOORS), choices=list(FLOORS))
    parser.add_argument("--save", type=Path, help="write the runs to this file, and print nothing")
    parser.add_argument("--load", type=Path, nargs="+", help="print the runs of these files")
    parser.add_argument("--policies", nargs="+", default=["primal_dual"])
    parser.add_argument("--detail", action="store_true", help="print every table and floor, too")
    options = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/")
        return
    globals()[f"print_{options.part}"](options)


if __name__ == "__main__":
    main()
