"""Verdicts of certificates of real routers: how often they are false.

A router reacts to its labels, so the expectations of its labels depend on earlier labels. Prints a
table of docs/guarantees.md:

    python benchmarks/bench_verdicts.py --runs 200
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np

from floorline._markdown import markdown_row, markdown_table
from floorline.policies import make_policy
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

ZOO = Zoo(
    [Model("small", call_price=1), Model("medium", call_price=4), Model("large", call_price=20)]
)
DIM = 8
TILT = np.array([1, 0, -1])
"""Influence of the second feature on each model, so that prompts differ between models."""
EVERY = 10
"""Number of requests between two certificates."""


def run_router(policy, share, floor, length, seed):
    """Return whether a verdict was ever falsely kept or broken, the last verdict and last gap."""
    rng = np.random.default_rng([seed, 1])
    encoder = GivenFeatures(DIM, "drawn")
    router = Router(ZOO, make_policy(policy), [SLA("s", floor=floor)], encoder=encoder, seed=seed)
    expected, false_kept, false_broken = 0.0, False, False
    for t in range(1, length + 1):
        x = rng.normal(size=DIM).astype(np.float32)
        quality = 1 / (1 + np.exp(-(np.array([0.2, 1.2, 2.4]) + 1.5 * x[0] + x[1] * TILT)))
        decision = router.route(features=x)
        router.outcome(decision.id, cost=ZOO.models[decision.index].call_price)
        expected += quality[decision.index]
        labelled, satisfied = rng.random(2) < (share, quality[decision.index])
        if labelled:
            router.feedback(decision.id, satisfied=bool(satisfied))
        if t % EVERY == 0:
            verdict = router.certificate().verdict
            false_kept |= verdict == "kept" and expected / t < floor
            false_broken |= verdict == "broken" and expected / t >= floor
    return false_kept, false_broken, verdict, expected / length - floor


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--length", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    started = time.perf_counter()
    ever = "ever falsely kept", "ever falsely broken"
    at_end = "at the end: kept", "at risk", "broken", "unknown"
    print(markdown_table(["policy", "φ", "floor", "mean − floor", *ever, *at_end]))
    with ProcessPoolExecutor(options.jobs) as pool:
        for (policy, floor), share in product(
            [("sla_router", 0.75), ("random", 0.687)], [1.0, 0.2, 0.05]
        ):
            runs = range(options.runs)
            fixed = ([value] * options.runs for value in (policy, share, floor, options.length))
            results = pool.map(run_router, *fixed, runs)
            kept, broken, verdicts, gaps = zip(*results, strict=True)
            ends = [
                np.mean([v == w for v in verdicts])
                for w in ("kept", "at risk", "broken", "unknown")
            ]
            shares = [np.mean(kept), np.mean(broken), *ends]
            cells = [f"{100 * value:.1f} %" for value in shares]
            where = [policy, f"{share:g}", floor, f"{np.mean(gaps):+.3f}"]
            print(markdown_row([*where, *cells]), flush=True)
    print(
        f"\n{options.runs} runs of {options.length:,} requests, "
        f"{time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
