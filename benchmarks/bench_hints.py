"""The flagship with hints of models' satisfaction: right, biased, reversed, and none.

``FLOORLINE_DATA=… python benchmarks/bench_hints.py``; the folder needs ``manymodels/*.parquet`` and
``routerbench/*.csv``. Cold start, every floor with every seed; users label the served response with
probability φ, and all calls are counted.

A table's floors lie at a half, three quarters and nine tenths of the way from the mean of its
cheapest model to that of its best one. Hints are:

- ``right``: each model's mean over the table, off by up to .05 (uniform);
- ``biased``: the mean less .1 for all models, as of a harder evaluation;
- ``reversed``: the best model gets the worst one's mean, and so on: the worst case of one source;
- ``ten rows``: no hints, but ten labelled requests, each with a label of every model;
- ``right, ten rows``: both;
- ``told``: all labels beforehand, as means only: what no hint can beat.
"""

import argparse
import os
from pathlib import Path

import msgspec
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from floorline._markdown import markdown_table
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from floorline.replay.run import history_of
from floorline.zoo import DEFAULT_HINT_WEIGHT, Zoo
from labels import feedback
from written import write

TABLES = (
    "manymodels/medmcqa",
    "manymodels/llmrouter",
    "routerbench/arc_challenge",
    "routerbench/winograde",
    "routerbench/mbpp",
)
LEVELS = (0.5, 0.75, 0.9)
"""Floors, as shares of the way from the cheapest model's mean to the best one's."""
ROWS = 10
"""Labelled requests beforehand."""
VARIANTS = ("none", "right", "biased", "reversed", "ten rows", "right, ten rows", "told")


def hints_of(variant, means, rng):
    """(M,) hints of the models, or None for none."""
    if variant.startswith("right"):
        return means + rng.uniform(-0.05, 0.05, len(means))
    if variant == "biased":
        return means - 0.1
    if variant == "reversed":
        order = means.argsort()
        found = means.copy()
        found[order] = means[order[::-1]]
        return found
    return None


def hinted(data, hints, weight):
    """The data with a zoo whose models carry hints."""
    given = np.clip(hints, 0.0, 1.0).tolist()
    models = [
        msgspec.structs.replace(model, quality_hint=hint, hint_weight=weight)
        for model, hint in zip(data.zoo.models, given, strict=True)
    ]
    return data._replace(zoo=Zoo(models, data.zoo.cost_unit))


def floors_of(data):
    """Floors of a table."""
    means, costs = np.nanmean(data.quality, axis=0), np.nanmean(data.cost, axis=0)
    low, high = means[costs.argmin()], means.max()
    return [round(float(low + share * (high - low)), 3) for share in LEVELS]


def one(data, variant, floor, seed, share, weight):
    """Whether one stream met its floor, and its cost over the static mix."""
    means = np.nanmean(data.quality, axis=0)
    hints = hints_of(variant, means, np.random.default_rng([seed, 7]))
    if hints is not None:
        data = hinted(data, hints, weight)
    past = history_of(data, np.arange(data.rows)) if variant == "told" else None
    history = ROWS / data.rows if variant.endswith("ten rows") else 0.0
    labels = feedback(share)
    parameters = {"prompts": False} if variant == "told" else {}
    spec = Spec("primal_dual", floor, labels, seed, parameters, history)
    with threadpool_limits(1):
        scores = summarise(data, replay(data, spec, past=past)).scores
    return scores.floor_met, scores.cost_per_static_mix


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", help=", ".join(VARIANTS))
    parser.add_argument("--tables", nargs="*", default=TABLES, help="names of data sets")
    parser.add_argument("--shares", nargs="*", type=float, default=[1.0, 0.2], help="label rates")
    parser.add_argument(
        "--weight", type=float, default=DEFAULT_HINT_WEIGHT, help="labels of a hint"
    )
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, help="page to write the tables into")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds manymodels/ and routerbench/")
        return
    encoder = make_encoder("hashed")
    tables = {name: prepare(load(name, gaps="drop"), encoder) for name in given.tables}
    seeds = range(given.first, given.first + given.seeds)
    variants = given.variants or VARIANTS
    jobs = [
        (data, variant, floor, seed, share, given.weight)
        for share in given.shares
        for variant in variants
        for data in tables.values()
        for floor in floors_of(data)
        for seed in seeds
    ]
    runs = Parallel(n_jobs=given.jobs)(delayed(one)(*job) for job in jobs)
    shape = (len(given.shares), len(variants), len(tables), -1, 2)
    found = np.array(runs).reshape(shape).mean(axis=3)
    texts = []
    for share, per_variant in zip(given.shares, found, strict=True):
        title = f"Floors met at cost / static mix, φ = {share:g}, {given.seeds} seeds"
        names = [f"{name} ({data.rows / len(data.zoo):.0f})" for name, data in tables.items()]
        lines = []
        for variant, cells in zip(variants, per_variant, strict=True):
            rows = [*cells, cells.mean(axis=0)]
            lines.append([variant, *(f"{met:.0%} at {cost:.2f}" for met, cost in rows)])
        title += "; requests per model in brackets"
        texts.append(f"{title}:\n\n{markdown_table(['hints', *names, 'all'], lines)}")
    text = "\n\n".join(texts)
    if given.write:
        write(given.write, "bench_hints.py", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
