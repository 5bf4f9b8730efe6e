"""The flagship where prompts help, under budgets, and on the grounds of PORT and of PROTEUS.

``FLOORLINE_DATA=… python benchmarks/bench_flagship_grounds.py [prompts] [budgets] [port]
[proteus]``, all four by default. Needs ``messplus/*.csv`` and ``routerbench/*.csv``. PROTEUS's own
rows come from ``floorline bench --suite proteus``, which trains it.

docs/flagship.md says which constants were chosen with which of these seeds and splits in view;
``--first 40`` starts at seeds that nothing was chosen on. Users label every served response
("full") unless a row says otherwise; all calls are counted.
"""

import argparse
from functools import partial

import numpy as np

from floorline.datasets import RoutingTable, load
from floorline.encoders import make_encoder
from floorline.estimators import OnlineLogistic
from floorline.replay import Spec, prepare, replay
from floorline.replay.budgets import SPLITS, budget_scores, budgets_for, cheapest_bill
from floorline.replay.metrics import references, score
from floorline.replay.proteus.protocol import measure
from floorline.training import split_parts, target_range
from sheet import Sheet

FLOORS = {"messplus": (0.65, 0.70, 0.73, 0.75), "routerbench": (0.80,)}
VARIANTS = {
    "primal_dual": ("primal_dual", {}),
    "target_surplus_sds=0.75": ("primal_dual", {"target_surplus_sds": 0.75}),
    "target_surplus_sds=0": ("primal_dual", {"target_surplus_sds": 0.0}),
    "OnlineLogistic": ("primal_dual", {"estimator": OnlineLogistic}),
    "no prompts": ("primal_dual", {"prompts": False}),
    **{name: (name, {}) for name in ("static_mix", "best_fixed", "random", "oracle")},
}
PORT_RUNS = {
    "primal_dual": ("primal_dual", "full"),
    "primal_dual, no labels": ("primal_dual", "full+sparse:0"),
    "port, next best": ("port", "full"),
    "port, every 50": ("port", "full"),
    "greedy_cost": ("greedy_cost", "full"),
    "batch_split": ("batch_split", "full"),
    "budget_fill": ("budget_fill", "full"),
    "lp_on_estimates": ("lp_on_estimates", "full"),
    "budget_oracle": ("budget_oracle", "full"),
}


def prompts(data, seeds):
    """Warm start from one half, serve the other."""
    for name, floors in FLOORS.items():
        rows = []
        for label, (policy, parameters) in VARIANTS.items():
            ratios, met, above, times = [], [], [], []
            for floor in floors:
                runs = [
                    replay(
                        data[name],
                        Spec(policy, floor, seed=s, history=0.5, parameters=parameters),
                    )
                    for s in seeds
                ]
                scores = [score(run, references(data[name], run)) for run in runs]
                ratios.append(np.mean([s.cost_per_static_mix for s in scores]))
                met.append(np.mean([s.floor_met for s in scores]))
                above.append(np.mean([s.satisfaction for s in scores]) - floor)
                times.append(np.median([np.median(run.seconds) for run in runs]))
            rows.append(
                [
                    label,
                    *(f"{r:.2f}" for r in ratios),
                    f"{np.mean(ratios):.3f}",
                    f"{np.mean(met):.0%}",
                    f"{np.mean(above):+.4f}",
                    f"{1e6 * np.median(times):.0f}",
                ]
            )
        headers = ["", *(f"τ = {f:g}" for f in floors), "/ static mix", "met", "above", "µs"]
        title = f"{name}: cost / static mix, {len(seeds)} seeds, warm start from the other half"
        Sheet(title, headers, rows).show()


def budgets(data, seeds):
    """How evenly and how wholly one budget for all models is spent."""
    rows = []
    for name, history in (("routerbench", 0.0), ("routerbench", 0.5), ("messplus", 0.0)):
        for factor in (1.5, 3.0, 6.0):
            use = []
            for seed in seeds:
                bare = Spec("primal_dual", 0.0, seed=seed, history=history)
                total = factor * cheapest_bill(data[name], bare)
                spec = Spec("primal_dual", 0.0, seed=seed, history=history, total_budget=total)
                run = replay(data[name], spec)
                so_far = run.cost.cumsum() / total
                marks = [so_far[int(q * len(so_far)) - 1] for q in (0.25, 0.5, 0.75, 1.0)]
                use.append([*marks, run.satisfied.mean(), (run.model >= 0).mean()])
            spent = [u[3] for u in use]
            mean = np.mean(use, axis=0)
            rows.append(
                [
                    f"{name}, {'warm' if history else 'cold'}, {factor:g} ×",
                    *(f"{100 * m:.1f}" for m in mean[:3]),
                    f"{100 * mean[3]:.2f}",
                    f"{100 * min(spent):.2f} to {100 * max(spent):.2f}",
                    f"{mean[4]:.3f}",
                    f"{mean[5]:.0%}",
                ]
            )
    headers = ["budget in cheapest bills", "25 %", "50 %", "75 %", "end", "range", "satisfied"]
    title = f"Percent of one budget spent after a share of the requests, {len(seeds)} seeds"
    Sheet(title, [*headers, "served"], rows).show()


def port(data, seeds):
    """PORT's six splits at 1 × and 4 ×."""
    data = data["routerbench"]
    history = 1.0 - 1000 / data.rows
    found = {}
    for seed in seeds:
        for factor in (1.0, 4.0):
            for split in SPLITS:
                bare = Spec("port", 0.0, seed=seed, history=history)
                amounts = budgets_for(data, bare, split, factor)
                runs = {}
                for label, (policy, feedback) in PORT_RUNS.items():
                    given = {"resolve_every": 50} if label.endswith("50") else {}
                    spec = Spec(
                        policy,
                        0.0,
                        feedback,
                        seed=seed,
                        history=history,
                        budgets=amounts,
                        parameters=given,
                    )
                    runs[label] = replay(data, spec)
                for label, scores in budget_scores(runs).items():
                    cell = found.setdefault((factor, label), {})
                    cell.setdefault(split, []).append(scores.to_estimates)
    for factor in (1.0, 4.0):
        rows = []
        for label in PORT_RUNS:
            by = found[factor, label]
            means = [100 * np.mean(by[split]) for split in SPLITS]
            rows.append([label, *(f"{m:.1f}" for m in means), f"{np.mean(means):.1f}"])
        title = f"RouterBench, 1,000 requests, budgets {factor:g} ×: % of LP-on-estimates"
        Sheet(f"{title}, {len(seeds)} seeds", ["", *SPLITS, "mean"], rows).show()


def proteus(encoder):
    """Nine floors on held-out rows of three splits."""
    table = load("routerbench", gaps="drop")
    runs = {
        "primal_dual": {},
        "primal_dual, target_surplus_sds=4": {"target_surplus_sds": 4.0},
        "primal_dual, target_surplus_sds=0": {"target_surplus_sds": 0.0},
    }
    rows = []
    for label, parameters in runs.items():
        made = []
        for seed in range(3):
            parts = split_parts(table, seed=seed)
            past = RoutingTable.concat([parts.train, parts.validation], table.name)
            made.append(
                measure(
                    prepare(parts.test, encoder),
                    "primal_dual",
                    targets=target_range(parts.train),
                    history=prepare(past, encoder),
                    parameters=parameters,
                    seed=seed,
                )
            )
        levels = [level for protocol in made for level in protocol.levels]
        reachable = [
            level.accuracy >= level.floor - 1e-9
            for protocol in made
            for level in protocol.levels
            if level.floor <= protocol.best_fixed
        ]
        rows.append(
            [
                label,
                " / ".join(f"{p.compliance:.0%}" for p in made),
                f"{np.mean([p.compliance for p in made]):.0%}",
                f"{np.mean(reachable):.0%}",
                f"{np.mean([p.pearson for p in made]):.3f}",
                f"{np.mean([level.accuracy - level.floor for level in levels]):+.3f}",
                f"{np.mean([1000 * level.cost for level in levels]):.3f}",
                f"{np.mean([level.cost_per_equal_mix for level in levels]):.2f}",
            ]
        )
    headers = ["", "by split", "floors kept", "reachable ones", "r(τ, acc)", "above", "USD/1k"]
    Sheet("PROTEUS's protocol, three splits", [*headers, "/ equal mix"], rows).show()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    chosen = ("prompts", "budgets", "port", "proteus")
    parser.add_argument("parts", nargs="*", choices=[*chosen, []], default=[])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    encoder = make_encoder("hashed")
    data = {name: prepare(load(name, gaps="drop"), encoder) for name in FLOORS}
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    parts = {
        "prompts": partial(prompts, data, seeds),
        "budgets": partial(budgets, data, seeds[:5]),
        "port": partial(port, data, seeds[:5]),
        "proteus": partial(proteus, encoder),
    }
    for part in arguments.parts or chosen:
        parts[part]()


if __name__ == "__main__":
    main()
