"""MESS+ in both readings and the baselines that users ask for, on the MESS+ logs, cold start.

``FLOORLINE_DATA=… python benchmarks/bench_baselines.py [readings] [baselines] [--seeds 3]
[--write docs/results.md]``, both parts by default; the folder needs ``messplus/*.csv``, and
``vowpal_wabbit`` the extra ``vw`` (without it, its row is left out). Each cell is the mean over the
five logs at three floors each. The rule for labels is in ``benchmarks/labels.py``. Told policies
are marked: * the means of the models, ** every label.
"""

import argparse
import importlib.util
import os
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from floorline._markdown import markdown_table
from floorline.bench.suite import load_suite
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from floorline.replay.tables import per_equal_mix
from labels import AS_CODE, under_test
from sheet import Sheet
from written import write

SHARES = (1.0, 0.2, 0.05)
READINGS = (
    ("mess_plus (paper)", "mess_plus", {}),
    ("mess_plus, V = 1e-3", "mess_plus", {"V": 1e-3}),
    ("mess_plus (paper), labels as coded", AS_CODE, {"reading": "paper"}),
    ("mess_plus (code)", AS_CODE, {}),
    ("mess_plus (code), V = 1e-4", AS_CODE, {"V": 1e-4}),
    ("mess_plus (code), c = 1", AS_CODE, {"c": 1.0}),
    ("sla_router", "sla_router", {}),
)
BASELINES = (
    ("clopper_pearson_gate", "clopper_pearson_gate", {}),
    ("conformal_arbitrage", "conformal_arbitrage", {}),
    ("vowpal_wabbit", "vowpal_wabbit", {}),
)
TOLD = (
    ("frugal_cascade, scorer right in 70 % **", "frugal_cascade", {"accuracy": 0.7}),
    ("frugal_cascade, 80 % **", "frugal_cascade", {"accuracy": 0.8}),
    ("frugal_cascade, 90 % **", "frugal_cascade", {"accuracy": 0.9}),
    ("static_mix *", "static_mix", {}),
    ("oracle **", "oracle", {}),
)
"""Policies to which labels are nothing, so they run at φ = 1 only."""
PARTS = {
    "readings": ("MESS+, both readings", READINGS),
    "baselines": ("Baselines", BASELINES + TOLD),
}


def measure(logs, name, share, seeds, parameters):
    """Return floors met, cost over static mix and cost over the mix of equal satisfaction."""
    policy, feedback, given = under_test(name, share, parameters)

    def one(data, floor, seed):
        with threadpool_limits(1):
            run = summarise(data, replay(data, Spec(policy, floor, feedback, seed, given)))
        means = data.quality.mean(axis=0), data.cost.mean(axis=0)
        scores = run.scores
        return scores.floor_met, scores.cost_per_static_mix, per_equal_mix(scores, means)

    cells = [(data, floor, seed) for data, floors in logs for floor in floors for seed in seeds]
    met, cost, equal = np.mean(Parallel(n_jobs=2)(delayed(one)(*cell) for cell in cells), axis=0)
    return f"{met:.0%}".replace("%", " %"), f"{cost:.2f}", f"{equal:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help=", ".join(PARTS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="page whose part is replaced by the tables")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/*.csv")
        return
    encoder = make_encoder("hashed")
    floors = load_suite("mess_plus").parts[0].data
    logs = [(prepare(load(name), encoder), levels) for name, levels in floors.items()]
    seeds = range(given.first, given.first + given.seeds)
    runs = sum(len(levels) for levels in floors.values()) * given.seeds
    headers = [f"φ = {s:g}: {what}" for s in SHARES for what in ("floors", "/ mix", "/ equal")]
    for part in given.parts or PARTS:
        title, policies = PARTS[part]
        span = f"seed {seeds[0]}" if given.seeds == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
        sheet = Sheet(f"{title}; {runs} runs a cell, {span}", ["policy", *headers])
        for label, name, parameters in policies:
            if name == "vowpal_wabbit" and importlib.util.find_spec("vowpalwabbit") is None:
                print("vowpal_wabbit left out: pip install 'floorline[vw]'")
                continue
            told = (label, name, parameters) in TOLD
            shares = SHARES[:1] if told else SHARES
            cells = [measure(logs, name, share, seeds, parameters) for share in shares]
            row = [value for cell in cells for value in cell]
            print(label, *row, flush=True)
            sheet.add_row(label, *row)
        sheet.show()
        if given.write:
            text = f"{sheet.title}:\n\n{markdown_table(sheet.headers, sheet.rows)}"
            write(given.write, f"bench_baselines.py {part}", text)


if __name__ == "__main__":
    main()
