"""Off-policy estimates compared with the truth: log one policy, estimate another, and replay it.

Prints a table of docs/guarantees.md:

    python benchmarks/bench_whatif.py --seeds 20
    FLOORLINE_DATA=... python benchmarks/bench_whatif.py --seeds 20 --data routerbench

"truth" is the satisfaction of the policy's choices on the logged requests, according to the table.
"replayed" is the satisfaction when the policy serves itself. They differ for policies that learn
from the stream, because on a log such a policy receives labels only where it chose the logged
model.
"""

import argparse
import time

import numpy as np

from floorline._markdown import markdown_row, markdown_table
from floorline.datasets import load, simulate
from floorline.encoders import make_encoder
from floorline.events import Decision
from floorline.policies import make_policy
from floorline.policies.base import DECLINED
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


def serve_and_log(data, policy, parameters, share, floor, seed):
    """Serve the stream with a policy; return its log."""
    spec = Spec(policy, floor, seed=seed, feedback=f"served+sparse:{share}")
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    log, slas = MemoryLog(), [SLA("stream", floor=floor)]
    built = make_policy(policy, **parameters)
    router = Router(data.zoo, built, slas, encoder=encoder, seed=seed, log=log)
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
    if policy != "static_mix":
        return parameters
    quality, cost = stream_means(data, np.arange(data.rows))
    return {"mean_quality": quality, "mean_cost": cost}


def estimate(data, history, log, policy, parameters, floor, seed):
    built = make_policy(policy, **knowledge(data, policy, parameters))
    slas = [SLA("stream", floor=floor)]
    other = Counterfactual(built, data.zoo, slas, data.features.shape[1], seed=seed)
    if policy == "carrot":
        built.warm_start(history)
    rows = iter(np.random.default_rng([seed, 0]).permutation(data.rows).tolist())
    real = []
    for event in log.read():
        other.fold(event)
        if isinstance(event, Decision):
            chosen, row = other.router.find(event.id).decision.propensities, next(rows)
            real.append((chosen @ data.quality[row], chosen @ data.cost[row]))
    return other.result(min_effective_labels=20), np.mean(real, axis=0)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", default="simulated")
    parser.add_argument("--floor", type=float, default=0.75)
    options = parser.parse_args()
    started = time.perf_counter()
    simulated = options.data == "simulated"
    table = simulate(5000, seed=0) if simulated else load(options.data, gaps="drop")
    whole = prepare(table, make_encoder("hashed"))
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
            try:
                found = [estimate(data, history, logs[s], *arguments, s) for s in seeds]
            except NoSupport as error:
                print(markdown_row([*where, f"no estimate: {error}"]), flush=True)
                continue
            made, real = zip(*found, strict=True)
            labels = np.mean([w.labels for w in made])
            effective = np.mean([w.effective_labels for w in made])
            served = replayed(data, history, target, parameters, share, options.floor, seeds)[0]
            cells = [f"{labels:,.0f}, {effective:,.0f}", f"{served:.3f}"]
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
