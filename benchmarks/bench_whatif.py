"""Off-policy estimates compared with the truth: log one policy, estimate another, and replay it.

Prints the tables of docs/guarantees.md:

    python benchmarks/bench_whatif.py --seeds 20
    python benchmarks/bench_whatif.py --coverage 200 --workers 2
    FLOORLINE_DATA=... python benchmarks/bench_whatif.py --coverage 40 --data routerbench

"truth" is the satisfaction of the policy's choices on the logged requests, according to the table.
"replayed" is the satisfaction when the policy serves itself. They differ for policies that learn
from the stream, because on a log such a policy receives labels only where it chose the logged
model.

--coverage N evaluates N small logs of each logging policy and prints how often the truth lies in
the intervals, and how often the estimate is refused.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np

from floorline._markdown import markdown_row, markdown_table
from floorline.datasets import load, simulate
from floorline.encoders import make_encoder
from floorline.estimators import RunningMean
from floorline.events import Decision
from floorline.policies import make_policy
from floorline.policies.base import DECLINED, mixed
from floorline.policies.estimating_policy import EstimatingPolicy
from floorline.replay.data import prepare
from floorline.replay.environment import Environment, GivenFeatures
from floorline.replay.run import history_of, replay, stream_means
from floorline.replay.spec import Run, Spec
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.event_log import MemoryLog
from floorline.whatif.counterfactual import Counterfactual, NoSupport

LOGGERS = [("random", {}, 1.0), ("random", {}, 0.2), ("sla_router", {"c": 3.0}, 1.0)]
TARGETS = [("cheapest", {}), ("static_mix", {}), ("carrot", {"c": 0}), ("sla_router", {})]
COVERED_LOGGERS = [
    ("primal_dual", {}, 1.0),
    ("random", {}, 1.0),
    ("random", {}, 0.3),
    ("epsilon_greedy", {"epsilon": 0.5}, 1.0),
    ("sla_router", {"c": 3.0}, 1.0),
    ("sla_router", {}, 1.0),
    ("mess_plus", {}, 1.0),
    ("static_mix", {}, 1.0),
]
COVERED_TARGETS = [("cheapest", {}), ("best_fixed", {}), ("static_mix", {}), ("sla_router", {})]
KINDS = "IPS", "SNIPS", "DR"


class EpsilonGreedy(EstimatingPolicy):
    """Serve the cheapest model that seems to meet the floor; a random one with probability ε."""

    name = "epsilon_greedy"

    def __init__(self, *, epsilon=0.5):
        super().__init__(estimator=RunningMean)
        self.epsilon = epsilon

    def decide(self, request, rng):
        """Draw a model."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens)
        meets = quality >= request.floor
        best = np.where(meets, cost, np.inf).argmin() if meets.any() else quality.argmax()
        weights = np.full(len(cost), self.epsilon / len(cost))
        weights[best] += 1.0 - self.epsilon
        return mixed(weights, quality, cost, rng)


def built(data, policy, parameters):
    given = knowledge(data, policy, parameters)
    return EpsilonGreedy(**given) if policy == EpsilonGreedy.name else make_policy(policy, **given)


def serve_and_log(data, policy, parameters, share, floor, seed):
    """Serve the stream with a policy; return its log."""
    spec = Spec(policy, floor, seed=seed, feedback=f"served+sparse:{share}")
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    log, slas = MemoryLog(), [SLA("stream", floor=floor)]
    router = Router(
        data.zoo, built(data, policy, parameters), slas, encoder=encoder, seed=seed, log=log
    )
    world, count = Environment(data, spec, router), data.rows
    rows = np.random.default_rng([seed, 0]).permutation(count)
    zeros = [np.zeros(count) for _ in range(5)]
    model, explored = np.full(count, DECLINED), np.zeros(count, dtype=bool)
    run = Run(spec, rows, model, explored, *zeros[:3], np.zeros(count, dtype=np.int64), *zeros[3:])
    for step, row in enumerate(rows.tolist()):
        (decision,) = router.decide([world.request(row)], at=float(step))
        world.answer(run, step, row, decision)
    return log


def knowledge(data, policy, parameters):
    if policy not in ("static_mix", "best_fixed"):
        return parameters
    quality, cost = stream_means(data, np.arange(data.rows))
    return {"mean_quality": quality, "mean_cost": cost}


def folded(data, history, log, policy, parameters, floor, seed):
    """Fold a log into a policy; return the evaluation and the true satisfaction and cost."""
    other_policy = built(data, policy, parameters)
    slas = [SLA("stream", floor=floor)]
    other = Counterfactual(other_policy, data.zoo, slas, data.features.shape[1], seed=seed)
    if policy == "carrot":
        other_policy.warm_start(history)
    rows = iter(np.random.default_rng([seed, 0]).permutation(data.rows).tolist())
    real = []
    for event in log.read():
        other.fold(event)
        if isinstance(event, Decision):
            chosen, row = other.router.find(event.id).decision.propensities, next(rows)
            real.append((chosen @ data.quality[row], chosen @ data.cost[row]))
    return other, np.mean(real, axis=0)


def estimate(*arguments):
    """Return the result, also a refused one, and the true satisfaction and cost."""
    other, real = folded(*arguments)
    try:
        return other.result(min_effective_labels=20), real
    except NoSupport as error:
        if error.result is None:
            raise
        return error.result, real


def replayed(data, history, policy, parameters, share, floor, seeds):
    """Return the mean satisfaction and cost of replays of the policy."""
    feedback = f"served+sparse:{share}"
    past = history if policy == "carrot" else None
    runs = [
        replay(
            data,
            Spec(policy, floor, seed=100 + seed, feedback=feedback, parameters=parameters),
            past=past,
        )
        for seed in seeds
    ]
    return np.mean([[run.satisfied.mean(), run.cost.mean()] for run in runs], axis=0)


def inside(estimates, values):
    within = [
        [e.lower <= value <= e.upper for e in three]
        for three, value in zip(estimates, values, strict=True)
    ]
    return ", ".join(f"{100 * share:.0f}" for share in np.mean(within, axis=0))


@cache
def prompts(name):
    """Table of a data set with features, the same in each process."""
    table = simulate(5000, seed=0) if name == "simulated" else load(name, gaps="drop")
    return prepare(table, make_encoder("hashed"))


def covered(name, requests, floor, logger, seed):
    """Evaluate one log: for each target whether intervals and bounds hold the truth, and widths."""
    whole = prompts(name)
    rows = np.random.default_rng([seed, 1]).permutation(whole.rows)[:requests]
    data, (policy, parameters, share) = whole.take(rows), logger
    log = serve_and_log(data, policy, parameters, share, floor, seed)
    found = []
    for target, given in COVERED_TARGETS:
        other, real = folded(data, None, log, target, given, floor, seed + 10_000)
        try:
            result, given_up = other.result(), False
        except NoSupport as error:
            result, given_up = error.result, True
        if result is None:
            found.append(None)
            continue
        quantities = []
        for value, three, bounds in zip(
            real.tolist(),
            (result.satisfaction, result.cost),
            (result.satisfaction_bounds, result.cost_bounds),
            strict=True,
        ):
            inside = [e.lower <= value <= e.upper for e in three]
            width = three[2].upper - three[2].lower if three else np.nan
            within = bounds.lower - 1e-12 <= value <= bounds.upper + 1e-12
            quantities.append((value, inside, width, within, bounds.upper - bounds.lower))
        overlap = result.satisfaction_overlap
        found.append((given_up, quantities, overlap.unsupported, overlap.mean_weight))
    return found


def percent(flags):
    return f"{100 * np.mean(flags):.1f}" if len(flags) else ""


def coverage(options):
    """Print the coverage of the intervals over many small logs."""
    first = "log", "φ", "other policy", "mean weight", "unsupported", "refused, %"
    quantity = "held by IPS, SNIPS, DR, %", "width", "held by bounds, %", "width of bounds"
    header = [*first, *quantity, *(f"cost: {name}" for name in quantity)]
    print(markdown_table(header, left=(0, 2)))
    totals = {}
    with ProcessPoolExecutor(options.workers) as pool:
        for logger in COVERED_LOGGERS:
            task = partial(covered, options.data, options.requests, options.floor, logger)
            logs = list(pool.map(task, range(options.coverage), chunksize=4))
            for position, (target, _) in enumerate(COVERED_TARGETS):
                found = [log[position] for log in logs]
                kept = [one for one in found if one is not None]
                refused = [one is None or one[0] for one in found]
                cells = [logger[0], f"{logger[2]:g}", target]
                if "c" in logger[1]:
                    cells[0] += f" (c={logger[1]['c']:g})"
                weights = f"{np.mean([one[3] for one in kept]):.2f}"
                cells += [weights, f"{np.mean([one[2] for one in kept]):.2f}", percent(refused)]
                for quantity in (0, 1):
                    rows = [one[1][quantity] for one in kept]
                    scale = np.mean([row[0] for row in rows]) if quantity else 1.0
                    given = [row for row in rows if row[1]]
                    held = [percent([row[1][kind] for row in given]) for kind in range(3)]
                    cells.append(", ".join(held) if given else "")
                    cells.append(f"{np.mean([r[2] for r in given]) / scale:.2f}" if given else "")
                    cells.append(percent([row[3] for row in rows]))
                    cells.append(f"{np.mean([row[4] for row in rows]) / scale:.2f}")
                    total = totals.setdefault(quantity, ([], []))
                    total[0].extend(row[1] for row in given)
                    total[1].extend(row[3] for row in rows)
                print(markdown_row(cells), flush=True)
    for quantity, (given, bounds) in totals.items():
        name = ("satisfaction", "cost")[quantity]
        shares = ", ".join(
            f"{kind} {percent([three[i] for three in given])} %" for i, kind in enumerate(KINDS)
        )
        print(f"\n{name}: of {len(given):,} intervals of each estimator {shares}; ", end="")
        print(f"of {len(bounds):,} bounds {percent(bounds)} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", default="simulated")
    parser.add_argument("--floor", type=float, default=0.75)
    parser.add_argument("--coverage", type=int, default=0, metavar="LOGS")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    started = time.perf_counter()
    if options.coverage:
        coverage(options)
        print(f"\n{options.coverage} logs each, {time.perf_counter() - started:.0f} s")
        return
    whole = prompts(options.data)
    rows = np.random.default_rng(0).permutation(whole.rows)
    history = history_of(whole, rows[: whole.rows // 2])
    data = whole.take(rows[whole.rows // 2 :])
    forms = "truth", "IPS", "SNIPS", "DR", "inside, %"
    first = "log", "φ", "other policy", "labels, worth", "replayed"
    print(markdown_table([*first, *forms, f"cost: {forms[0]}", *forms[1:]], left=(0, 2)))
    seeds = range(options.seeds)
    for logger, given, share in LOGGERS:
        logs = [serve_and_log(data, logger, given, share, options.floor, seed) for seed in seeds]
        for target, parameters in TARGETS:
            where = logger, f"{share:g}", target
            arguments = (target, parameters, options.floor)
            found = [estimate(data, history, logs[s], *arguments, s) for s in seeds]
            made, real = zip(*found, strict=True)
            labels = np.mean([w.labels for w in made])
            effective = np.mean([w.effective_labels for w in made])
            cells = [f"{labels:,.0f}, {effective:,.0f}"]
            refused = sum(bool(w.refused) for w in made)
            if refused:
                cells += [f"refused: {refused} of {len(made)}", *[""] * 10]
                print(markdown_row([*where, *cells]), flush=True)
                continue
            served = replayed(data, history, target, parameters, share, options.floor, seeds)[0]
            cells.append(f"{served:.3f}")
            for position, (name, scale) in enumerate((("satisfaction", 1), ("cost", 1000))):
                values = np.array(real)[:, position]
                three = [getattr(w, name) for w in made]
                means = np.mean([[e.value for e in t] for t in three], axis=0)
                cells += [f"{scale * value:.3f}" for value in (values.mean(), *means)]
                cells += [inside(three, values)]
            print(markdown_row([*where, *cells]), flush=True)
    print(f"\n{options.seeds} seeds each, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
