"""MESS+ on the logs of its paper, compared with the results in the paper.

Run ``FLOORLINE_DATA=… python benchmarks/bench_mess_plus.py``; the folder needs ``messplus/*.csv``.
The published results are those of arXiv 2505.19947 at V = 1e-4, c = 0.1. The floor is the paper's
α, the call mix the share of requests served by the large / medium / small model.
"""

import os

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, compare, prepare
from floorline.replay.metrics import mean_and_interval

SEEDS = 10
PUBLISHED = {
    "arc_challenge": (0.50, 0.536, (43, 38, 19)),
    "boolq": (0.80, 0.822, (34, 42, 25)),
    "piqa": (0.78, 0.792, (36, 45, 20)),
    "sciq": (0.96, 0.951, (16, 31, 53)),
    "social_iqa": (0.44, 0.456, (18, 37, 46)),
}


def main():
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder with messplus/*.csv")
        return
    table = Table(title=f"MESS+ on its own logs, {SEEDS} seeds", box=SIMPLE, pad_edge=False)
    for header in ("log", "floor", "satisfaction", "published", "difference", "met"):
        table.add_column(header, no_wrap=True)
    for header in ("L/M/S %", "published", "/ mix", "/ oracle"):
        table.add_column(header, no_wrap=True)
    encoder = make_encoder("hashed")
    for name, (floor, satisfaction, mix) in PUBLISHED.items():
        data = prepare(load(f"messplus/{name}"), encoder)
        results = compare(data, [Spec("mess_plus", floor, seed=seed) for seed in range(SEEDS)])
        scores = [result.scores for result in results]
        mean, half = mean_and_interval([score.satisfaction for score in scores])
        calls = [
            100 * float(np.mean([result.calls[model] for result in results]))
            for model in ("large", "medium", "small")
        ]
        table.add_row(
            name,
            f"{floor:.2f}",
            f"{mean:.3f} ±{half:.3f}",
            f"{satisfaction:.3f}",
            f"{mean - satisfaction:+.3f}",
            f"{sum(score.floor_met for score in scores):.0f}/{SEEDS}",
            "/".join(f"{share:.0f}" for share in calls),
            "/".join(map(str, mix)),
            f"{np.mean([score.cost_per_static_mix for score in scores]):.2f}",
            f"{np.mean([score.cost_per_oracle for score in scores]):.2f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
