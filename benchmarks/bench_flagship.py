"""The flagship on each MESS+ log alone, cold start, under feedback from full to sparse.

``FLOORLINE_DATA=… python benchmarks/bench_flagship.py [cells] [verdicts] [frontier] [ablation]``,
all by default; the folder needs ``messplus/*.csv``. Users label each response with probability φ
(``benchmarks/labels.py``), and all calls are counted. ``--seeds 10`` is what docs/flagship.md
prints; constants were chosen on seeds 10 to 26 of the same logs.

A floor is *clear* where the best model's mean over the whole log is at least .01 above it. Two of
the fifteen are not (.0084 and .001): there even the best model throughout keeps or misses the floor
by chance, and so does whoever knows the means of all models.
"""

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from floorline.bench.suite import load_suite
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from floorline.replay.run import history_of
from floorline.replay.spec import Timeline
from floorline.replay.tables import per_equal_mix
from floorline.report.plots import PERCENT
from floorline.sla import SLA
from labels import AS_CODE, feedback, under_test
from sheet import Sheet

SHARES = (1.0, 0.2, 0.05)
POLICIES = ("primal_dual", "sla_router", "mess_plus", AS_CODE)
REFERENCES = ("static_mix", "best_fixed", "random", "oracle")
"""Policies that learn nothing from labels, so φ is nothing to them."""
CLEAR = 0.01
VARIANTS = {
    "primal_dual": {},
    "prompts=False": {"prompts": False},
    "exploration_cost_share=0": {"exploration_cost_share": 0.0},
    "keep_probability=0.5": {"keep_probability": 0.5},
    "keep_probability=0.99": {"keep_probability": 0.99},
    "optimism_sds=0": {"optimism_sds": 0.0},
    "optimism_sds=2": {"optimism_sds": 2.0},
    "detect=False": {"detect": False},
    "correction_requests=300": {"correction_requests": 300.0},
}
FRONTIER = {
    "keep_probability": (0.5, 0.8, 0.9, 0.95, 0.98, 0.99),
    "optimism_sds": (0.65, 1.0, 1.3, 2.0, 3.0),
}


class Measured(NamedTuple):
    """(cells, seeds) of floors and costs, and medians of both times in µs.

    ``cost`` is over the static mix for the floor, ``equal`` over the one that satisfies as many as
    the policy did: what is left of "cheap" where floors were missed.
    """

    met: np.ndarray
    cost: np.ndarray
    equal: np.ndarray
    times: np.ndarray

    def shown(self, cells=slice(None)):
        """Means of ``met`` and ``cost`` over cells and seeds, as tables print them."""
        return f"{self.met[cells].mean():.1%}  {self.cost[cells].mean():.2f}"

    def all_shown(self, cells):
        """The same with ``equal``."""
        return f"{self.shown(cells)}  {self.equal[cells].mean():.2f}"


def measure(logs, policy, share, seeds, parameters=None, told=False):
    """Replay a policy over every cell; ``told`` gives it all labels beforehand, as means only."""
    jobs = [(data, floor, seed) for data, floors in logs for floor in floors for seed in seeds]
    kind, labels, parameters = under_test(policy, share, parameters)

    def one(data, floor, seed):
        spec = Spec(kind, floor, labels, seed, parameters)
        past = history_of(data, np.arange(data.rows)) if told else None
        means = data.quality.mean(axis=0), data.cost.mean(axis=0)
        with threadpool_limits(1):
            run = summarise(data, replay(data, spec, past=past))
        return run, per_equal_mix(run.scores, means)

    runs = Parallel(n_jobs=2)(delayed(one)(*job) for job in jobs)
    found = [(r.scores.floor_met, r.scores.cost_per_static_mix, equal) for r, equal in runs]
    met, cost, equal = np.array(found).reshape(-1, len(seeds), 3).transpose(2, 0, 1)
    times = np.median([(r.decide_us, r.learn_us) for r, _ in runs], axis=0)
    return Measured(met, cost, equal, times)


def clear(logs):
    """(cells,) whether the best model is at least ``CLEAR`` above the floor."""
    best = [(data.quality.mean(axis=0).max(), floors) for data, floors in logs]
    return np.array([top - floor >= CLEAR for top, floors in best for floor in floors])


def cells(logs, seeds, folder):
    """Every cell at every φ, and means over logs and over all, beside those of others."""
    headers = [f"φ = {share:g}: met, / mix" for share in SHARES]
    found = {p: {s: measure(logs, p, s, seeds) for s in SHARES} for p in POLICIES}
    ours = found["primal_dual"]
    table = Sheet("Every cell", ["log, floor", *headers])
    names = [(data.name, floor) for data, floors in logs for floor in floors]
    sure = clear(logs)
    for row, (name, floor) in enumerate(names):
        mark = "" if sure[row] else " (not clear)"
        table.add_row(f"{name} {floor:.2f}{mark}", *(ours[share].shown(row) for share in SHARES))
    table.show()
    headers = [f"{header}, / equal" for header in headers]
    table = Sheet("Every log", ["log", "policy", *headers])
    for log in dict.fromkeys(name for name, _ in names):
        rows = np.array([name == log for name, _ in names])
        for policy, measured in found.items():
            table.add_row(log, policy, *(measured[share].all_shown(rows) for share in SHARES))
    table.show()
    table = Sheet("Means", ["policy", "floors", *headers, "decide µs", "learn µs"])
    for policy, measured in found.items():
        for label, rows in (("all", slice(None)), ("clear", sure)):
            times = (f"{time:.0f}" for time in measured[1.0].times)
            shown = (measured[share].all_shown(rows) for share in SHARES)
            table.add_row(policy, label, *shown, *times)
    for policy in REFERENCES:
        measured = measure(logs, policy, 1.0, seeds)
        for label, rows in (("all", slice(None)), ("clear", sure)):
            table.add_row(policy, label, measured.all_shown(rows))
    for share in (1.0, 0.2):
        told = measure(logs, "primal_dual", share, seeds, {"prompts": False}, told=True)
        shown = [told.all_shown(sure) if share == s else "" for s in SHARES]
        table.add_row("primal_dual, told all means", "clear", *shown)
    table.show()


def verdicts(logs, seeds, folder):
    """What certificates say at the end, and how often that was false."""
    kinds = ("kept", "at risk", "broken", "unknown")
    headers = ["SLA", "φ", *kinds, "false kept", "false broken", "floor met", "/ mix"]
    table = Sheet("Verdicts at the end", headers)
    jobs = [(data, floor, seed) for data, floors in logs for floor in floors for seed in seeds]

    def one(data, floor, seed, share, guarded):
        promise = Timeline((SLA("stream", floor=floor, guarded=guarded),))
        kept = {}

        def watch(step, router):
            kept["router"] = router

        with threadpool_limits(1):
            spec = Spec("primal_dual", floor, feedback(share), seed)
            run = replay(data, spec, timeline=promise, watch=watch)
        scores = summarise(data, run).scores
        # What was to be expected of the models served, which is what a certificate is about.
        expected = data.quality.mean(axis=0)[run.model].mean()
        verdict = kept["router"].certificate("stream").verdict
        return verdict, bool(expected >= floor), scores.floor_met, scores.cost_per_static_mix

    for guarded in (False, True):
        for share in SHARES:
            found = Parallel(n_jobs=2)(delayed(one)(*job, share, guarded) for job in jobs)
            said = Counter(verdict for verdict, *_ in found)
            right = Counter((verdict, true) for verdict, true, *_ in found)
            false = (right["kept", False], right["broken", True])
            met, cost = np.mean([numbers for _, _, *numbers in found], axis=0)
            label = "guarded" if guarded else "usual"
            counts = (str(said[kind]) for kind in kinds)
            shown = (f"{met:.1%}", f"{cost:.2f}")
            table.add_row(label, f"{share:g}", *counts, *map(str, false), *shown)
    table.show()


def frontier(logs, seeds, folder):
    """Floors met against cost while one constant moves; clear floors."""
    sure = clear(logs)
    table = Sheet(
        "Floors met against cost, clear floors", ["constant", *(f"φ = {s:g}" for s in SHARES)]
    )
    figure = Figure(figsize=(4.2 * len(SHARES), 3.6), layout="constrained")
    axes = figure.subplots(1, len(SHARES), sharey=True)
    for name, values in FRONTIER.items():
        points = {share: [] for share in SHARES}
        for value in values:
            found = [measure(logs, "primal_dual", s, seeds, {name: value}) for s in SHARES]
            table.add_row(f"{name} {value:g}", *(each.shown(sure) for each in found))
            for share, each in zip(SHARES, found, strict=True):
                points[share].append((each.cost[sure].mean(), each.met[sure].mean()))
        for axis, share in zip(axes, SHARES, strict=True):
            axis.plot(*zip(*points[share], strict=True), marker="o", ms=3, label=name)
    table.show()
    for axis, (share, met, cost) in zip(
        axes, ((1.0, 0.95, 1.25), (0.2, 0.9, 1.6), (0.05, None, None)), strict=True
    ):
        axis.set_title(f"φ = {share:g}")
        axis.set_xlabel("cost / static mix")
        axis.yaxis.set_major_formatter(PERCENT)
        if met is not None:
            axis.plot(cost, met, "k*", ms=9, label="aim")
    axes[0].set_ylabel("clear floors met")
    axes[0].legend(loc="lower right", fontsize=8)
    if folder is not None:
        figure.savefig(folder / "frontier.svg")


def ablation(logs, seeds, folder):
    """One ingredient on or off at a time; clear floors."""
    sure = clear(logs)
    headers = [f"φ = {s:g}: met, / mix" for s in SHARES[:2]]
    table = Sheet("Ablation, clear floors", ["variant", *headers])
    for label, parameters in VARIANTS.items():
        found = [measure(logs, "primal_dual", s, seeds, parameters) for s in SHARES[:2]]
        table.add_row(label, *(each.shown(sure) for each in found))
    table.show()


PARTS = {"cells": cells, "verdicts": verdicts, "frontier": frontier, "ablation": ablation}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help=", ".join(PARTS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--plots", type=Path, help="folder for plots")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    given = parser.parse_args()
    Sheet.markdown = given.markdown
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/*.csv")
        return
    encoder = make_encoder("hashed")
    floors = load_suite("mess_plus").parts[0].data
    logs = [(prepare(load(name), encoder), levels) for name, levels in floors.items()]
    seeds = range(given.first, given.first + given.seeds)
    for part in given.parts or PARTS:
        PARTS[part](logs, seeds, given.plots)


if __name__ == "__main__":
    main()
