"""The verdict 'unreachable': how often it is false, and how soon it is given.

Prints a table of docs/guarantees.md with each part:

    python benchmarks/bench_unreachable.py bounds
    python benchmarks/bench_unreachable.py routers
"""

import argparse
import math
import time
from functools import partial
from itertools import product
from multiprocessing import Pool

import numpy as np

from floorline._markdown import markdown_row, markdown_table
from floorline.guarantees.betting import betting_wealth
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

FLOOR = 0.85
CONFIDENCE = 0.95
ALPHA = (1.0 - CONFIDENCE) / 2.0
GAPS = (0.05, 0.1, 0.2)
RATES = (1.0, 0.2, 0.05)
STREAMS = 1000
"""Number of streams of labels of the best model."""

PRICES = (1.0, 3.0, 8.0, 20.0)
BELOW_BEST = np.array([0.3, 0.0, 0.15, 0.05])
"""By how much the models' mean satisfaction is below that of the best, which is a cheap one."""
DIM = 8
EVERY = 10
"""Number of requests between two certificates."""


def labels_needed(mean, error, runs, length, rng):
    """(runs,) labels of a model until its upper bound is below the floor; infinity if never."""
    missed = (rng.random((runs, length)) >= mean).cumsum(axis=1)
    count = np.arange(1, length + 1)
    below = betting_wealth(count, missed, 1.0 - FLOOR) > -math.log(error)
    return np.where(below.any(axis=1), below.argmax(axis=1) + 1.0, np.inf)


def print_bounds(options):
    """Print how many labels the best model needs, whatever rule chose it.

    All other models count as shown to be below the floor from the first label on. So no rule of
    choosing models gives more false findings, and none needs fewer labels.
    """
    rng = np.random.default_rng(0)
    head = ("best model - floor", "found", "within a budget", "labels until then: 10 %", "median")
    print(markdown_table([*head, "90 %"]))
    for gap in (-0.02, -0.01, 0.0, 0.02, *GAPS):
        alone, mixed = (
            labels_needed(FLOOR - gap, error, STREAMS, options.length, rng)
            for error in (ALPHA, ALPHA / 2.0)
        )
        shares = [f"{100 * np.isfinite(found).mean():.1f} %" for found in (alone, mixed)]
        times = np.sort(alone)[[len(alone) // 10, len(alone) // 2, len(alone) * 9 // 10]]
        cells = [f"{n:,.0f}" if np.isfinite(n) else "-" for n in times]
        print(markdown_row([f"{0.0 - gap:+.2f}", *shares, *cells]), flush=True)
    print(f"\n{STREAMS:,} streams of {options.length:,} labels")


def run_router(gap, rate, length, seed):
    """Route requests to models of which the best is ``gap`` below the floor.

    Returns the number of requests until the verdict (None if it is not given), the mean
    satisfaction, less the best model's, and the cost per call of the best model.
    """
    rng = np.random.default_rng([seed, 1])
    zoo = Zoo([Model(f"m{n}", call_price=price) for n, price in enumerate(PRICES)])
    encoder = GivenFeatures(DIM, "drawn")
    sla = SLA("s", floor=FLOOR, confidence=CONFIDENCE)
    router = Router(zoo, "primal_dual", [sla], encoder=encoder, seed=seed)
    quality = FLOOR - gap - BELOW_BEST
    best = int(quality.argmax())
    said, lost, cost = None, 0.0, 0.0
    for t in range(1, length + 1):
        decision = router.route(features=rng.normal(size=DIM).astype(np.float32))
        router.outcome(decision.id, cost=PRICES[decision.index])
        lost += quality[best] - quality[decision.index]
        cost += PRICES[decision.index] / PRICES[best]
        labelled, satisfied = rng.random(2) < (rate, quality[decision.index])
        if labelled:
            router.feedback(decision.id, satisfied=bool(satisfied))
        if said is None and t % EVERY == 0 and router.certificate().verdict == "unreachable":
            said = t
    return said, lost / length, cost / length


def print_routers(options):
    """Print how many requests the flagship needs, and what it loses until then."""
    head = ("best model - floor", "φ", "said", "median requests", "satisfaction lost")
    print(markdown_table([*head, "cost / best model's"]))
    with Pool(options.jobs) as pool:
        for gap, rate in product(GAPS, RATES):
            run = partial(run_router, gap, rate, options.length)
            said, lost, cost = zip(*pool.map(run, range(options.runs)), strict=True)
            # Runs in which it is not said count as longer than all others.
            middle = sorted(math.inf if t is None else t for t in said)[len(said) // 2]
            cells = [
                f"{0.0 - gap:+.2f}",
                f"{rate:g}",
                f"{sum(t is not None for t in said)} of {len(said)}",
                f"{middle:,.0f}" if middle < math.inf else f"> {options.length:,}",
                f"{np.mean(lost):.3f}",
                f"{np.mean(cost):.2f}",
            ]
            print(markdown_row(cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["bounds", "routers"])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--length", type=int, default=1500)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    started = time.perf_counter()
    {"bounds": print_bounds, "routers": print_routers}[options.part](options)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
