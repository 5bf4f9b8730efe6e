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
are kept in the folder ``--cache``, so that a run that was cut off goes on where it was. ``--write
docs/prompts.md`` runs nothing, and writes the tables of what the cache holds into that page.
"""

import argparse
import itertools
import os
import sys
import time
from functools import partial
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
from written import write

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


def seeds_asked(given):
    """Return the seeds of the command line."""
    return range(given.first, given.first + given.seeds)


def seeds_of(runs, given, table, variants):
    """Return the seeds of a table: all, or where nothing is to be run, those that were run."""
    asked = seeds_asked(given)
    if not given.write:
        return asked
    every = [cases_of(runs, table, [seed], **fields) for seed in asked for fields in variants]
    missing = {case.seed for cases in every for case in cases if tuple(case) not in runs.done}
    return [seed for seed in asked if seed not in missing]


def shown(found, low):
    """Floors met, cost and worst shortfall, as tables print them."""
    return f"{found['met']:.0%}  {found['cost']:.2f}  {low:+.4f}"


def policy(runs, given):
    """Every table with and without prompts, beside what others cost."""
    for warm in starts(given):
        same = {"warm": warm, "share": given.share}
        variants = {
            **{name: same | {"encoder": name, "prompts": True} for name in given.encoders},
            "without prompts": same | {"encoder": "hashed", "prompts": False},
            "told the means": same | {"encoder": "hashed", "prompts": False, "told": True},
            "random": same | {"encoder": "hashed", "prompts": False, "policy": "random"},
        }
        start = "warm, on one half" if warm else "cold"
        heads = [f"{name}: met, / mix, worst" for name in variants]
        others = ["best fixed / mix", "oracle / mix", "seeds"]
        sheet = Sheet(
            f"Prompts on and off, {start}, φ = {given.share:g}",
            ["table", "requests per model", *heads, *others],
        )
        every = []
        for table in given.tables:
            seeds = seeds_of(runs, given, table, variants.values())
            if not seeds:
                continue
            found = []
            for name, fields in variants.items():
                cases = cases_of(runs, table, seeds, **fields)
                found.append((runs.mean(cases), worst(runs, cases)))
                progress(f"{start} {table} {name}: {shown(*found[-1])}")
            data, last = runs.plain(table), found[0][0]
            length = data.rows * (1.0 - HISTORY if warm else 1.0)
            references = (f"{last['best_fixed']:.2f}", f"{last['oracle']:.2f}", str(len(seeds)))
            cells = (shown(*each) for each in found)
            sheet.add_row(table, f"{length / len(data.zoo):.0f}", *cells, *references)
            every.append(found)
        means = [
            shown(
                {key: np.mean([each[key] for each, _ in found]) for key in ("met", "cost")},
                min(low for _, low in found),
            )
            for found in zip(*every, strict=True)
        ]
        sheet.add_row("mean of tables, worst of all", "", *means)
        yield sheet


def encoders(runs, given):
    """Every encoder on every table: floors, cost and time of a decision."""
    for warm in starts(given):
        start = "warm, on one half" if warm else "cold"
        heads = [f"{name}: met, / mix, worst, decide µs" for name in given.encoders]
        sheet = Sheet(f"Encoders, {start}, φ = {given.share:g}", ["table", *heads, "seeds"])
        same = {"warm": warm, "prompts": True, "share": given.share}
        for table in given.tables:
            variants = {name: same | {"encoder": name} for name in given.encoders}
            if given.write:
                seeds = {name: seeds_of(runs, given, table, [variants[name]]) for name in variants}
                variants = {name: variants[name] for name in variants if seeds[name]}
            seeds = seeds_of(runs, given, table, variants.values())
            if not variants or not seeds:
                continue
            row = dict.fromkeys(given.encoders, "–")
            for name, fields in variants.items():
                cases = cases_of(runs, table, seeds, **fields)
                found = runs.mean(cases)
                row[name] = f"{shown(found, worst(runs, cases))}  {found['decide_us']:.0f}"
                progress(f"{start} {table} {name}: {row[name]}")
            sheet.add_row(table, *row.values(), str(len(seeds)))
        yield sheet


def areas(runs, given):
    """AUC of every encoder on every table, and the time that it takes for a prompt."""
    for warm in starts(given):
        start = "of all labels of one half" if warm else "of the labels served in the first half"
        sheet = Sheet(f"AUC on the other half, {start}", ["table", *given.encoders, "seeds"])
        for table in given.tables:
            row, counts = [], set()
            for name in given.encoders:
                keys = [("auc", table, name, seed, warm) for seed in seeds_asked(given)]
                if given.write or not runs.has(table, name):
                    keys = [key for key in keys if key in runs.done]
                if not keys:
                    row.append("–")
                    continue
                found = [runs.keep(key, partial(auc, runs, *key[1:])) for key in keys]
                key = ("encode_us", table, name)
                spent = runs.keep(key, partial(encode_us, runs, table, name))
                row.append(f"{np.mean(found):.3f}, {spent:,.0f} µs")
                counts.add(len(keys))
                progress(f"{start} {table} {name}: {row[-1]}")
            if counts:
                sheet.add_row(
                    table, *row, " to ".join(map(str, sorted({min(counts), max(counts)})))
                )
        yield sheet


def auc(runs, table, encoder, seed, warm):
    """Mean AUC of models on one half, learned from all labels of the other, or from those served.

    A label counts as positive above its model's mean. Cold, the policy serves the first half at the
    middle floor.
    """
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
    pairs = zip(positive.T, predicted.T, strict=True)
    return float(np.mean([roc_auc_score(y, score) for y, score in pairs]))


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


def stream(runs, given):
    """Cost and satisfaction by part of the longest table, cold, with and without prompts."""
    rows = runs.plain(LONGEST).rows
    marks = [*(mark for mark in MARKS if mark < rows), rows]
    heads = [f"{first:,} to {last:,}" for first, last in itertools.pairwise(marks)]
    title = f"Cost / static mix and satisfaction − floor by request, cold, {LONGEST}"
    sheet = Sheet(title, ["floor", "prompts", *heads, "all", "seeds"])
    variants = {
        name: {
            "encoder": "hashed" if name == "none" else name,
            "warm": False,
            "prompts": name != "none",
            "share": given.share,
        }
        for name in (*given.encoders, "none")
    }
    seeds = seeds_of(runs, given, LONGEST, variants.values())
    for floor in runs.floors(LONGEST) if seeds else ():
        for name, fields in variants.items():
            found = runs.mean([Case(LONGEST, floor=floor, seed=s, **fields) for s in seeds])
            parts = [f"{cost:.2f}  {over:+.3f}" for over, cost in found["parts"]]
            all_of_it = f"{found['cost']:.2f}  {found['over']:+.3f}"
            sheet.add_row(f"{floor:g}", name, *parts, all_of_it, str(len(seeds)))
            progress(f"{LONGEST} {floor:g} {name}: {' | '.join(parts)}")
    yield sheet


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
    parser.add_argument("--write", type=Path, help="page for the tables of what the cache holds")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/ and the others")
        return
    runs = PromptRuns(given.cache, given.minilm)
    Sheet.markdown = given.markdown
    for part in given.parts or PARTS:
        sheets = list(PARTS[part](runs, given))
        if given.write:
            text = "\n\n".join(sheet.text() for sheet in sheets if sheet.rows)
            if text:
                write(given.write, f"bench_prompts.py {part}", text)
            continue
        for sheet in sheets:
            sheet.show()


if __name__ == "__main__":
    main()
