"""PORT, its eight baselines and its reference points, under budgets.

``FLOORLINE_DATA=… python benchmarks/bench_port.py [routerbench] [simulated] [sweeps] [time]``, all
four by default; ``routerbench`` and the sweep over models need ``routerbench/*.csv``.

Every router runs twice. As published, a request whose model has no budget left is declined
("lost"). With ``fallback``, it goes to the next best model whose budget covers it. Performance is
the sum of the labels of served requests. "/ LP" is performance relative to the linear program over
the estimates of the whole stream, "/ optimum" relative to that over its labels; both are replayed
under the same hard budgets.
"""

import argparse
import itertools
import os
import time

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from floorline.datasets import load, simulate
from floorline.encoders import Lsa
from floorline.estimators import NearestNeighbours
from floorline.estimators.linear import TrainedLinear
from floorline.policies import History, Request, make_policy
from floorline.replay import Spec, prepare, replay
from floorline.replay.budgets import SPLITS, budget_scores, budgets_for, spent
from floorline.replay.run import stream_rows
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo

FACTORS = (1, 4)
TWICE = (
    "greedy_perf",
    "greedy_cost",
    "knn_perf",
    "knn_cost",
    "batch_split",
    "classifier_perf",
    "classifier_cost",
)
KINDS = {
    "ann": lambda dim, names: NearestNeighbours(dim, names, k=5, shrink=0.0),
    "exact": lambda dim, names: NearestNeighbours(dim, names, k=5, shrink=0.0, exact=True),
    "trained": TrainedLinear,
}
console = Console(width=130)


class Recorded:
    """Estimator that returns stored estimates; the feature of a request is its row number.

    The neighbours of a row are searched once for all replays.
    """

    def __init__(self, dim, models, quality, cost):
        # joblib shares large arrays as memory maps, which the check of choices refuses.
        self.quality, self.cost = np.asarray(quality), np.asarray(cost)

    def estimate_one(self, x):
        """Return the estimates of a row."""
        row = int(x[0])
        return self.quality[row], self.cost[row]

    def learn_many(self, x, labels, costs):
        """Do nothing, because the estimates are stored already."""


class MakeRecorded:
    """Constructor of ``Recorded``; a class, because processes must be able to pickle it."""

    def __init__(self, quality, cost):
        self.quality, self.cost = quality, cost

    def __call__(self, dim, models):
        """Construct the estimator; the arguments are ignored."""
        return Recorded(dim, models, self.quality, self.cost)


def record(data, spec):
    """Return the estimates of all rows of the stream, by kind of estimator."""
    past, stream = stream_rows(data, spec)
    made = {}
    for kind, build in KINDS.items():
        estimator = build(data.features.shape[1], data.zoo.names)
        estimator.learn_many(data.features[past], data.quality[past], data.cost[past])
        quality, cost = np.full_like(data.quality, np.nan), np.full_like(data.cost, np.nan)
        for row in stream.tolist():
            quality[row], cost[row] = estimator.estimate_one(data.features[row])
        made[kind] = MakeRecorded(quality, cost)
    return made


def kind_of(policy):
    return {"knn": "exact", "classifier": "trained"}.get(policy.split("_")[0], "ann")


def variants(every, few=False):
    """Yield label, policy and parameters."""
    yield "port", "port", {"fallback": False}
    yield "port", "port", {}
    yield f"port, every {every}", "port", {"resolve_every": every, "fallback": False}
    yield f"port, every {every}", "port", {"resolve_every": every}
    if not few:
        yield "port, reference", "port", {"reference": True, "fallback": False}
        yield "port, reference", "port", {"reference": True}
    yield "random", "random", {}
    for policy in ("greedy_cost", "batch_split") if few else TWICE:
        yield policy, policy, {"fallback": False}
        yield policy, policy, {}
    for policy in ("budget_fill", "lp_on_estimates", "budget_oracle"):
        yield policy, policy, {}


def cell(data, made, seed, history, horizon, split, factor, every, few=False):
    """Replay all variants on one stream under one split."""
    base = Spec("random", 0.0, seed=seed, history=history, horizon=horizon)
    budgets = budgets_for(data, base, split, factor)
    rows = np.arange(data.rows, dtype=np.float32)[:, None]
    light = data._replace(features=rows)
    runs = {}
    with threadpool_limits(1):
        for label, policy, parameters in variants(every, few):
            mode = "lost" if parameters.get("fallback") is False else "next best"
            given = dict(parameters)
            if policy not in ("random", "budget_fill", "budget_oracle"):
                given["estimator"] = made[kind_of(policy)]
            spec = Spec(
                policy,
                0.0,
                seed=seed,
                history=history,
                horizon=horizon,
                budgets=budgets,
                parameters=given,
            )
            key = policy if policy in ("lp_on_estimates", "budget_oracle") else (label, mode)
            runs[key] = replay(light, spec)
            paid = spent(data, runs[key])
            assert (paid <= np.array(list(budgets.values())) * (1 + 1e-9)).all(), "over budget"
    scores = {}
    for key, value in budget_scores(runs).items():
        scores[key if isinstance(key, tuple) else (key, "next best")] = value
    return split, factor, scores


def percent(values):
    return "–" if not values else f"{100 * np.mean(values):.1f}"


def show(title, results):
    for factor in FACTORS:
        cells = [scores for _, f, scores in results if f == factor]
        table = Table(
            title=f"{title}, total budget {factor} × the cost of the cheapest model",
            title_justify="left",
        )
        table.add_column("policy", no_wrap=True)
        for header in (
            "/ LP %\nlost",
            "/ LP %\nnext best",
            "/ optimum %\nlost",
            "/ optimum %\nnext best",
            "perf. / USD\nlost",
            "perf. / USD\nnext best",
            "served\nlost",
            "served\nnext best",
        ):
            table.add_column(header, justify="right")
        for label in dict.fromkeys(key[0] for key in cells[0]):
            by_mode = [
                [scores[label, mode] for scores in cells if (label, mode) in scores]
                for mode in ("lost", "next best")
            ]
            row = [percent([s.to_estimates for s in part]) for part in by_mode]
            row += [percent([s.to_optimum for s in part]) for part in by_mode]
            for field in ("efficiency", "throughput"):
                row += [
                    f"{np.mean([getattr(s, field) for s in part]):,.0f}" if part else "–"
                    for part in by_mode
                ]
            table.add_row(label, *row)
        console.print(table)
    table = Table(title=f"{title}: / LP % by split (next best)", title_justify="left")
    table.add_column("policy", no_wrap=True)
    columns = list(itertools.product(FACTORS, SPLITS))
    for factor, split in columns:
        table.add_column(f"{factor}×\n{split[:7]}", justify="right")
    for label, mode in results[0][2]:
        if mode == "next best":
            row = [
                percent([r[label, mode].to_estimates for s, f, r in results if (f, s) == column])
                for column in columns
            ]
            table.add_row(label, *row)
    console.print(table)


def grid(data, seeds, history, horizon, every, jobs):
    results = []
    for seed in seeds:
        made = record(data, Spec("random", 0.0, seed=seed, history=history, horizon=horizon))
        results += Parallel(n_jobs=jobs)(
            delayed(cell)(data, made, seed, history, horizon, split, factor, every)
            for split in SPLITS
            for factor in FACTORS
        )
    return results


def routerbench():
    table, _ = load("routerbench").complete()
    return prepare(table, Lsa(64).fit(table.prompts))


def check_recorded(data, history):
    """Check that a replay on stored estimates equals the replay that searches."""
    spec = Spec("port", 0.0, history=history, horizon=300)
    budgets = budgets_for(data, spec, "weighted", 1)
    live = Spec("port", 0.0, history=history, horizon=300, budgets=budgets)
    made = record(data, spec)["ann"]
    light = data._replace(features=np.arange(data.rows, dtype=np.float32)[:, None])
    again = Spec(
        "port", 0.0, history=history, horizon=300, budgets=budgets, parameters={"estimator": made}
    )
    assert np.array_equal(replay(data, live).model, replay(light, again).model)


def sweep(title, cells, jobs):
    """Print a table with one row per policy and one column per value.

    The split is "weighted", the total budget 1 × the cost of the cheapest model.
    """
    done = Parallel(n_jobs=jobs)(delayed(cell)(*arguments, few=True) for _, arguments in cells)
    values = list(dict.fromkeys(value for value, _ in cells))
    table = Table(title=f"{title}: / LP % (next best)", title_justify="left")
    table.add_column("policy", no_wrap=True)
    for value in values:
        table.add_column(f"{value:,}", justify="right")
    labels = [label for label, mode in done[0][2] if mode == "next best"]
    labels = ["port, resolved" if "every" in label else label for label in labels]
    for position, label in enumerate(labels):
        row = []
        for value in values:
            found = [r for (v, _), (_, _, r) in zip(cells, done, strict=True) if v == value]
            scores = [[s for (_, mode), s in r.items() if mode == "next best"] for r in found]
            row.append(percent([part[position].to_estimates for part in scores]))
        table.add_row(label, *row)
    console.print(table)


def subset(data, names):
    columns = [data.zoo.index(name) for name in names]
    return data._replace(
        zoo=Zoo([data.zoo.models[c] for c in columns], cost_unit=data.zoo.cost_unit),
        quality=data.quality[:, columns],
        cost=data.cost[:, columns],
        output_tokens=None if data.output_tokens is None else data.output_tokens[:, columns],
        latency=None if data.latency is None else data.latency[:, columns],
    )


def timed(call, seconds):
    """Return a function that calls ``call`` and appends the time to ``seconds``."""

    def wrapped(*arguments):
        started = time.perf_counter()
        result = call(*arguments)
        seconds.append(time.perf_counter() - started)
        return result

    return wrapped


def decision_time():
    """Print the p50 of a decision and of its search, on a 25,000 × 384 history of 11 models."""
    rng = np.random.default_rng(0)
    rows, dim, models = 25_000, 384, 11
    centres = rng.normal(size=(300, dim))
    x = (centres[rng.integers(0, 300, rows)] + rng.normal(size=(rows, dim))).astype(np.float32)
    quality = (rng.random((rows, models)) < np.linspace(0.3, 0.9, models)).astype(float)
    cost = rng.lognormal(0, 0.5, (rows, models)) * np.geomspace(1e-5, 1e-2, models)
    zoo = Zoo([Model(f"m{m}", call_price=float(c)) for m, c in enumerate(cost.mean(axis=0))])
    budget = Budget(per_model=dict.fromkeys(zoo.names, 1.0))
    slas = {"gold": SLA("gold", floor=0.0, budget=budget)}
    table = Table(
        "policy", title="Decision, p50 µs on a 25,000 × 384 history", title_justify="left"
    )
    for header in ("total", "search", "without the search"):
        table.add_column(header, justify="right")
    for name in ("port", "greedy_perf", "greedy_cost"):
        policy = make_policy(name)
        policy.start(zoo, slas, dim)
        policy.warm_start(History(list(x), quality, cost, np.full(rows, 100)))
        if name == "port":
            sample = policy.samples_["gold"]
            for q, c in zip(quality[:250], cost[:250], strict=True):
                sample.add(q, c)
            sample.prices_ = policy._solve("gold")
        allowed = np.ones(models, dtype=bool)
        total, search = [], []
        policy.quality_.neighbours_one = timed(policy.quality_.neighbours_one, search)
        for query in x[rng.integers(0, rows, 2000)] + rng.normal(0, 0.3, (2000, dim)):
            request = Request(query.astype(np.float32), "gold", 0.0, 100, allowed)
            started = time.perf_counter()
            policy.decide(request, rng)
            total.append(time.perf_counter() - started)
        p50, rest = np.median(total) * 1e6, np.median(np.subtract(total, search)) * 1e6
        table.add_row(name, f"{p50:.0f}", f"{np.median(search) * 1e6:.0f}", f"{rest:.0f}")
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("routerbench", "simulated", "sweeps", "time")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--seeds", type=int, default=5, help="on RouterBench")
    parser.add_argument("--simulated-seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    chosen = set(arguments.parts or parts)
    real = "FLOORLINE_DATA" in os.environ
    if "time" in chosen:
        decision_time()
    if real and chosen & {"routerbench", "sweeps"}:
        bench = routerbench()
        history, size = 1 - 1000 / bench.rows, 1000
    if "routerbench" in chosen and real:
        check_recorded(bench, history)
        results = grid(bench, range(arguments.seeds), history, size, 50, arguments.jobs)
        show(f"RouterBench, N = 1,000, six splits, {arguments.seeds} seeds", results)
    if "sweeps" in chosen and real:
        cells = []
        for count, seed in itertools.product((3, 5, 7, 9, 11), range(arguments.seeds)):
            chosen_models = (
                np.random.default_rng(seed).permutation(bench.zoo.names)[:count].tolist()
            )
            part = subset(bench, chosen_models)
            made = record(part, Spec("random", 0.0, seed=seed, history=history, horizon=size))
            cells.append((count, (part, made, seed, history, size, "weighted", 1, 50)))
        sweep("RouterBench, number of models", cells, arguments.jobs)
    if not chosen & {"simulated", "sweeps"}:
        return
    table = simulate(36_497)
    data = prepare(table, Lsa(64).fit(table.prompts[::4]))
    history = 26_497 / 36_497
    if "simulated" in chosen:
        seeds = range(arguments.simulated_seeds)
        results = grid(data, seeds, history, 10_000, 250, arguments.jobs)
        show(
            f"Simulated zoo, N = 10,000, history 26,497, six splits, {len(seeds)} seed(s)", results
        )
    if "sweeps" in chosen:
        made = record(data, Spec("random", 0.0, history=history, horizon=10_000))
        cells = [
            (size, (data, made, 0, history, size, "weighted", 1, size // 40))
            for size in (500, 1000, 2500, 5000, 10_000)
        ]
        sweep("Simulated zoo, number of requests", cells, arguments.jobs)


if __name__ == "__main__":
    main()
