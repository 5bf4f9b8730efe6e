"""PROTEUS by the protocol of its paper, on RouterBench rows that are not in training.

Run ``FLOORLINE_DATA=… python benchmarks/bench_proteus.py`` with the extra ``train`` installed; the
folder needs ``routerbench/*.csv``. Published (arXiv 2601.19402, on all of RouterBench, τ from .85
to .91): floors kept 100 %, correlation .97 to .98, 90.1 % accuracy (oracle: 91.4 %), 89.8 % saved
relative to the best model, 8.7 ms per decision.

The choices that the paper leaves open were made on split 0, so its rows are not a clean test.
Splits 1 and 2 are other random splits of the same table; they were measured after all choices were
made.
"""

import importlib.util
import time
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

from floorline.bench.protocol import average
from floorline.datasets import RoutingTable, load
from floorline.encoders import make_encoder
from floorline.policies import Request, make_policy
from floorline.replay import prepare
from floorline.replay.proteus.moving_floors import track, tracking_table
from floorline.replay.proteus.protocol import level_table, measure, summary_table
from floorline.sla import SLA
from floorline.training import TrainingSettings, split_parts, target_range

SPLITS = 3
VARIANTS: dict[str, dict[str, Any]] = {
    "PROTEUS": {},
    "PROTEUS, margin .03": {"margin": 0.03},
    "PROTEUS, one dual": {"duals": 1, "anchor": 0.0},
}
ONCE = ("PROTEUS, one dual",)
"""Variants that are measured on split 0 only."""
OTHERS: dict[str, dict[str, Any]] = {
    "static_mix": {},
    "carrot": {"c": 0.0},
    "mess_plus": {},
    "oracle": {},
}


def main():
    console = Console(width=130)
    if importlib.util.find_spec("torch") is None:
        console.print("skipped: training needs the extra 'train' (make test-train installs it)")
        return
    from floorline.training.proteus_trainer import ProteusTrainer

    encoder = make_encoder("hashed")
    table = load("routerbench", gaps="drop")
    found: dict[str, list[Any]] = {}
    moving = []
    for seed in range(SPLITS):
        parts = split_parts(table, seed=seed)
        targets = target_range(parts.train)
        test = prepare(parts.test, encoder)
        past = prepare(RoutingTable.concat([parts.train, parts.validation], table.name), encoder)
        sizes = " / ".join(f"{len(part):,}" for part in parts[:3])
        console.print(f"split {seed}: {sizes} rows, floors {targets[0]:.3f} to {targets[1]:.3f}")
        for name, changes in VARIANTS.items():
            if name in ONCE and seed:
                continue
            settings = TrainingSettings(targets=targets, **changes)
            trainer = ProteusTrainer(parts, encoder, settings)
            started = time.perf_counter()
            trainer.run()
            console.print(f"  {name}: trained in {time.perf_counter() - started:.0f} s")
            parameters = {"network": trainer.trained()}
            measured = measure(test, "proteus", targets=targets, parameters=parameters)
            measured = msgspec.structs.replace(measured, policy=name)
            found.setdefault(name, []).append(measured)
            if seed == 0:
                console.print(level_table(measured, cost_unit=table.cost_unit))
            if seed == 0 and name not in ONCE:
                tracked = track(test, "proteus", targets=targets, parameters=parameters)
                moving += [msgspec.structs.replace(run, policy=name) for run in tracked]
            if seed == 0 and not changes:
                console.print(f"decision: p50 {decision_time(test, parameters):.0f} µs")
        for name, parameters in OTHERS.items():
            history = past if name in ("carrot", "mess_plus") else None
            measured = measure(test, name, targets=targets, history=history, parameters=parameters)
            found.setdefault(name, []).append(measured)
        if seed == 0:
            moving += track(test, "static_mix", targets=targets)
    summaries = [
        msgspec.structs.replace(average(runs), policy=name + (" *" if name in ONCE else ""))
        for name, runs in found.items()
    ]
    console.print(summary_table(summaries, title=f"means over {SPLITS} splits (* one split)"))
    order = ("step", "ramp", "tiers", "bursts")
    console.print(
        tracking_table(
            sorted(moving, key=lambda run: order.index(run.scenario)), cost_unit=table.cost_unit
        )
    )


def decision_time(data, parameters):
    policy = make_policy("proteus", **parameters)
    policy.start(data.zoo, {"stream": SLA("stream", floor=0.8)}, data.features.shape[1])
    rng = np.random.default_rng(0)
    requests = [Request(x, "stream", 0.8, 300) for x in data.features]
    seconds = []
    for request in requests * 4:
        started = time.perf_counter()
        policy.decide(request, rng)
        seconds.append(time.perf_counter() - started)
    return 1e6 * float(np.median(seconds))


if __name__ == "__main__":
    main()
