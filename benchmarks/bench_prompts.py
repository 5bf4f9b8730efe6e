"""What prompts buy and whether they keep floors: with and without them, by encoder, warm and cold.

``FLOORLINE_DATA=… python benchmarks/bench_prompts.py [policy] [areas] [encoders] [stream]``, all by
default. The folder needs ``messplus/``, ``routerbench/``, ``paretobandit/`` and ``manymodels/``. A
*warm* start learns one half of a table, with all labels, and serves the other half; a *cold* one
serves the whole table. Users label served responses with probability φ (``--share``, default 1).

- ``policy``: every table, with and without prompts;
- ``areas``: AUC and encoding time of hashed, LSA and MiniLM (float and int8);
- ``encoders``: floors and cost with the encoders of ``--encoders``;
- ``stream``: cost on the longest table by part of the stream, cold, with and without prompts.

A table's floors are those of the MESS+ paper on its logs, and elsewhere a half, three quarters and
nine tenths of the way from the mean of the cheapest model to that of the best one. *Worst* is mean
satisfaction − floor over seeds, on the floor of a table where that is lowest.

MiniLM needs ``--minilm FOLDER`` (``benchmarks/minilm_onnx.py`` writes it). Its vectors and all runs
are kept in the folder ``--cache``, so that a run that was cut off goes on where it was.
"""

import argparse
import itertools
import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from floorline.encoders import Lsa, MiniLm, make_encoder
from floorline.estimators import SharedDifficulty
from floorline.replay import Spec, replay
from floorline.replay.run import stream_rows
from prompt_runs import ENCODERS, HISTORY, MARKS, MINILM_FILES, POLICY, TABLES, Case, PromptRuns
from sheet import Sheet

LONGEST = "manymodels/logparse"
TIMED = 100
"""Prompts of each table whose encoding is timed, one at a time."""


def starts(given):
    """Return the starts to measure: warm, cold."""
    return [start == "warm" for start in given.starts]


def worst(runs, cases):
    """Lowest mean over seeds of satisfaction − floor, over the floors of the cases."""
    floors = dict.fromkeys(case.floor for case in cases)
    return min(runs.mean([c for c in cases if c.floor == floor])["over"] for floor in floors)


def cases_of(runs, table, seeds, **fields):
    """Every floor of a table with every seed."""
    return [Case(table, floor=f, seed=s, **fields) for s in seeds for f in runs.floors(table)]


def shown(found, low):
    """Floors met, cost and worst shortfall, as tables print them."""
    return f"{found['met']:.0%}  {found['cost']:.2f}  {low:+.4f}"


def policy(runs, given, seeds):
    """Every table with and without prompts, beside what others cost."""
    for warm in starts(given):
        start = "warm, on one half" if warm else "cold"
        title = f"Prompts on and off, {start}, φ = {given.share:g}, {len(seeds)} seeds"
        variants = [*given.encoders, "without prompts", "told the means"]
        heads = [f"{name}: met, / mix, worst" for name in variants]
        others = ["best fixed / mix", "oracle / mix"]
        sheet = Sheet(title, ["table", "requests per model", *heads, *others])
        every = {name: [] for name in variants}
        for table in given.tables:
            for name in variants:
                encoder = name if name in ENCODERS else "hashed"
                told = name == "told the means"
                fields = {"encoder": encoder, "prompts": name in ENCODERS, "told": told}
                cases = cases_of(runs, table, seeds, warm=warm, share=given.share, **fields)
                every[name].append((runs.mean(cases), worst(runs, cases)))
                progress(f"{start} {table} {name}: {shown(*every[name][-1])}")
            data, last = runs.plain(table), every[variants[-1]][-1][0]
            length = data.rows * (1.0 - HISTORY if warm else 1.0)
            per_model = f"{length / len(data.zoo):.0f}"
            cells = (shown(*each[-1]) for each in every.values())
            sheet.add_row(
                table, per_model, *cells, f"{last['best_fixed']:.2f}", f"{last['oracle']:.2f}"
            )
        means = [
            shown(
                {key: np.mean([found[key] for found, _ in each]) for key in ("met", "cost")},
                min(low for _, low in each),
            )
            for each in every.values()
        ]
        sheet.add_row("mean of tables, worst of all", "", *means)
        sheet.show()


def encoders(runs, given, seeds):
    """Every encoder on every table: floors, cost and time of a decision."""
    heads = ["encoder", "decide µs", "met", "/ mix", "worst"]
    for warm in starts(given):
        start = "warm, on one half" if warm else "cold"
        sheet = Sheet(f"Encoders, {start}, {len(seeds)} seeds", ["table", *heads])
        for table in given.tables:
            for name in given.encoders:
                fields = {"encoder": name, "warm": warm, "prompts": True, "share": given.share}
                cases = cases_of(runs, table, seeds, **fields)
                found, low = runs.mean(cases), worst(runs, cases)
                row = (f"{found['decide_us']:.0f}", f"{found['met']:.0%}", f"{found['cost']:.2f}")
                sheet.add_row(table, name, *row, f"{low:+.4f}")
                progress(f"{start} {table} {name}: {' '.join(row)} {low:+.4f}")
        sheet.show()


def areas(runs, given, seeds):
    """AUC of every encoder on every table, and the time that it takes for a prompt."""
    for warm in starts(given):
        start = "of all labels of one half" if warm else "of the labels served in the first half"
        sheet = Sheet(f"AUC on the other half, {start}, {len(seeds)} seeds", ["table", *ENCODERS])
        for table in given.tables:
            row = []
            for name in ENCODERS:
                if not runs.has(table, name):
                    row.append("–")
                    continue
                area = auc(runs, table, name, seeds, warm=warm)
                row.append(f"{area:.3f}, {encode_us(runs, table, name):,.0f} µs")
                progress(f"{start} {table} {name}: {row[-1]}")
            sheet.add_row(table, *row)
        sheet.show()


def auc(runs, table, encoder, seeds, *, warm):
    """Mean AUC of models on one half, learned from all labels of the other, or from those served.

    A label counts as positive above its model's mean. Cold, the policy serves the first half at the
    middle floor.
    """
    found = []
    for seed in seeds:
        data = runs.data(table, encoder, seed)
        half, rest = stream_rows(data, Spec(POLICY, 0.5, seed=seed, history=HISTORY))
        with threadpool_limits(1):
            if warm:
                learner = SharedDifficulty(data.features.shape[1], data.zoo.names)
                learner.learn_many(data.features[half], data.quality[half])
            else:
                learner = served_first(data, runs.floors(table)[1], seed, len(half))
            predicted = np.array([learner.predict_one(x) for x in data.features[rest]])
        labels = data.quality[rest]
        positive = labels > labels.mean(axis=0)
        for y, score in zip(positive.T, predicted.T, strict=True):
            found.append(roc_auc_score(y, score))
    return float(np.mean(found))


def served_first(data, floor, seed, requests):
    """Return the estimator of the flagship after the first requests of a cold stream."""
    kept = {}

    def watch(step, router):
        kept["quality"] = router.policy.quality_

    replay(data, Spec(POLICY, floor, seed=seed, horizon=requests), watch=watch)
    return kept["quality"]


def encode_us(runs, table, name):
    """Median CPU time in µs to encode one prompt of a table."""
    prompts = runs.table(table).prompts[:TIMED]
    if name == "lsa":
        encoder = Lsa().fit(runs.table(table).prompts[:1000])
    elif name in MINILM_FILES:
        encoder = MiniLm(runs.minilm, file=MINILM_FILES[name])
    else:
        encoder = make_encoder(name)
    times = []
    for prompt in prompts:
        started = time.process_time()
        encoder.encode(prompt)
        times.append(time.process_time() - started)
    return float(np.median(times)) * 1e6


def stream(runs, given, seeds):
    """Cost and satisfaction by part of the longest table, cold, with and without prompts."""
    rows = runs.plain(LONGEST).rows
    marks = [*(mark for mark in MARKS if mark < rows), rows]
    heads = [f"{first:,} to {last:,}" for first, last in itertools.pairwise(marks)]
    title = f"Cost / static mix and satisfaction − floor by request, cold, {LONGEST}"
    sheet = Sheet(f"{title}, {len(seeds)} seeds", ["floor", "prompts", *heads])
    for floor in runs.floors(LONGEST):
        for name in (*given.encoders, "none"):
            encoder = "hashed" if name == "none" else name
            cases = [
                Case(LONGEST, encoder, False, name != "none", floor, seed, given.share)
                for seed in seeds
            ]
            parts = [f"{cost:.2f}  {over:+.3f}" for over, cost in runs.mean(cases)["parts"]]
            sheet.add_row(f"{floor:g}", name, *parts)
            progress(f"{LONGEST} {floor:g} {name}: {' | '.join(parts)}")
    sheet.show()


def progress(line):
    """Print what was found, so that a run that is cut off shows something."""
    print(line, file=sys.stderr, flush=True)


PARTS = {"policy": policy, "areas": areas, "encoders": encoders, "stream": stream}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--tables", nargs="*", default=TABLES, help="names of data sets")
    parser.add_argument("--encoders", nargs="*", default=["hashed"], choices=ENCODERS)
    parser.add_argument("--starts", nargs="*", default=["warm", "cold"], choices=["warm", "cold"])
    parser.add_argument("--share", type=float, default=1.0, help="share φ of labels revealed")
    parser.add_argument("--minilm", type=Path, help="folder of the MiniLM models")
    parser.add_argument("--cache", type=Path, default=Path("bench-out/prompts"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/ and the others")
        return
    runs = PromptRuns(given.cache, given.minilm)
    seeds = range(given.first, given.first + given.seeds)
    Sheet.markdown = given.markdown
    for part in given.parts or PARTS:
        PARTS[part](runs, given, seeds)


if __name__ == "__main__":
    main()
