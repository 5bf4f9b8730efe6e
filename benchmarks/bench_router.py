"""Time of a decision, of learning, of a whole replay and of the oracle; peak memory.

Run ``python benchmarks/bench_router.py``. Targets for given features: at M = 11, MESS+ decides in
at most 20 µs and takes at most 60 µs with learning. A replay of 36,497 × 11 takes at most 5 s and
1 GiB. The oracle solves this table in at most 20 s.
"""

import resource
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from floorline import SLA, Model, Router, Zoo
from floorline.core.random import CounterRng
from floorline.encoders.hashed import HashedNgrams
from floorline.optimization.floor_lp import cheapest_assignment
from floorline.policies import Request
from floorline.replay import Spec, replay
from floorline.replay.data import ReplayData
from floorline.replay.environment import GivenFeatures

MODELS = 11
ROWS = 36_497
SLA_NAME = "stream"


def features(rows, dim, rng):
    x = rng.normal(size=(rows, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def sparse_features(rows, rng):
    encoder = HashedNgrams(output="sparse")
    words = np.array(["solve", "equation", "river", "function", "why", "contract", "x", "history"])
    return [encoder.encode(" ".join(rng.choice(words, size=60))) for _ in range(rows)], encoder.dim


def zoo():
    return Zoo([Model(f"model-{m}", call_price=10.0 ** (-m / 4)) for m in range(MODELS)])


def decision_times(xs, dim, rng, warm=2000, timed=5000):
    """Return medians in µs: policy decides, router routes, folds outcome and feedback, learns."""
    encoder = GivenFeatures(dim, "given")
    router = Router(zoo(), "mess_plus", [SLA(SLA_NAME, floor=0.8)], encoder=encoder, seed=1)
    labels = rng.random((len(xs), MODELS)) < np.linspace(0.9, 0.4, MODELS)
    draws = CounterRng(2)
    clock = time.perf_counter
    decide, route, fold, train = [], [], [], []
    for step in range(warm + timed):
        x = xs[step % len(xs)]
        request = Request(x, SLA_NAME, 0.8, 50, None)
        t0 = clock()
        router.policy.decide(request, draws.at(step))
        t1 = clock()
        decision = router.route(features=x, input_tokens=50)
        t2 = clock()
        for name in decision.called:
            model = router.zoo.index(name)
            router.outcome(decision.id, model=name, cost=0.01)
            router.feedback(decision.id, model=name, score=float(labels[step % len(xs), model]))
        t3 = clock()
        router.policy.quality_.learn_one(x, step % MODELS, 1.0)
        t4 = clock()
        if step >= warm:
            decide.append(t1 - t0)
            route.append(t2 - t1)
            fold.append(t3 - t2)
            train.append(t4 - t3)
    medians = [np.percentile(times, 50) * 1e6 for times in (decide, route, fold, train)]
    return [*medians, sum(medians[1:])]


def main():
    console = Console(width=110)
    rng = np.random.default_rng(0)
    table = Table(
        "features",
        "policy decides",
        "router.route",
        "outcome, feedback",
        "train a label",
        "all",
        title=f"MESS+ at M = {MODELS}, µs p50 of 5,000",
    )
    sparse, sparse_dim = sparse_features(1000, rng)
    cases = [
        ("dense, d = 384", features(1000, 384, rng), 384),
        ("dense, d = 1,024", features(1000, 1024, rng), 1024),
        (f"sparse, d = {sparse_dim:,}", sparse, sparse_dim),
    ]
    for name, xs, dim in cases:
        table.add_row(name, *(f"{value:.1f}" for value in decision_times(xs, dim, rng)))
    console.print(table)

    quality = (rng.random((ROWS, MODELS)) < np.linspace(0.95, 0.4, MODELS)).astype(float)
    cost = np.array([m.call_price for m in zoo().models]) * rng.lognormal(0, 0.3, (ROWS, MODELS))
    data = ReplayData(
        name="random",
        zoo=zoo(),
        features=features(ROWS, 384, rng),
        quality=quality,
        cost=cost,
        input_tokens=np.full(ROWS, 50),
        output_tokens=None,
        latency=None,
        encoder="given",
        simulated=True,
    )
    started = time.perf_counter()
    replay(data, Spec("mess_plus", 0.8))
    elapsed = time.perf_counter() - started
    console.print(f"MESS+ replay of {ROWS:,} × {MODELS} at d = 384: {elapsed:.2f} s")
    started = time.perf_counter()
    cheapest_assignment(quality, cost, 0.8)
    console.print(f"hindsight oracle of the same table: {time.perf_counter() - started:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
