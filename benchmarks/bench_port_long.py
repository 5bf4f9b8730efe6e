"""PORT at its paper's size on a real table: 10,000 requests after a labelled history of 22,000.

``FLOORLINE_DATA=… python benchmarks/bench_port_long.py [--encoders hashed minilm] [--seeds 5]
[--minilm FOLDER] [--cache FOLDER] [--write docs/published.md]``. The data folder needs
``manymodels/logparse.parquet`` (32,000 log lines, 8 models), and ``minilm`` needs a folder with
``tokenizer.json`` and ``model.onnx``. ``--cache`` keeps embeddings and the metrics of every replay,
so that a second run does only what is missing there.

Policies, splits and budgets are those of ``bench_port.py`` at the smaller total budget: the cost of
the cheapest model for all requests. Every seed is replayed under the split "weighted", and seed 0
under the five others, too. Streams of ``SIZES`` requests after the same history show the
competitive ratio as a function of their length.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from bench_port import FACTORS, cell, record
from bench_published import LOST, NEXT, port_ratios
from floorline._markdown import markdown_table
from floorline.datasets import load
from floorline.encoders import MiniLm, make_encoder
from floorline.replay import Spec, prepare
from floorline.replay.budgets import SPLITS, BudgetScores
from written import write

HISTORY, REQUESTS = 22_000, 10_000
SIZES = (250, 1_000, 4_000)
RESOLVED = "port, resolved"
RESOLUTIONS = 40
"""Number of times that ``RESOLVED`` solves its prices during a stream."""
FIELDS = BudgetScores.__struct_fields__
MAIN = "weighted"
"""Split under which every seed is replayed: in proportion to √(quality / cost)."""
SHOWN = (
    "port",
    "port, resolved",
    "random",
    "greedy_perf",
    "greedy_cost",
    "knn_perf",
    "knn_cost",
    "batch_split",
    "classifier_perf",
    "classifier_cost",
    "budget_fill",
    "lp_on_estimates",
    "budget_oracle",
)
MARKS = {"budget_fill": " *", "lp_on_estimates": " °", "budget_oracle": " **"}


def encoded(table, name, minilm, cache):
    """Return the table with the features of an encoder; equal prompts are encoded once."""
    data = prepare(table, make_encoder("hashed"))
    if name == "hashed":
        return data
    kept = cache / f"{name}.npy"
    if kept.exists():
        return data._replace(features=np.load(kept))
    distinct = list(dict.fromkeys(table.prompts))
    row = {prompt: number for number, prompt in enumerate(distinct)}
    vectors = MiniLm(minilm, file="model.onnx").encode_batch(distinct)
    features = vectors[[row[prompt] for prompt in table.prompts]]
    np.save(kept, features)
    return data._replace(features=features)


def cells_of(seed):
    """Return the cells (requests, split) of a seed, those of all seeds first."""
    others = [split for split in SPLITS if split != MAIN] if seed == 0 else []
    return [(size, MAIN) for size in (REQUESTS, *SIZES)] + [(REQUESTS, split) for split in others]


def measure(data, name, seed, done, file):
    """Replay the cells that ``done`` lacks, and add their metrics to it and to the file."""
    missing = [cell for cell in cells_of(seed) if (name, seed, *cell) not in done]
    if not missing:
        return
    history = HISTORY / data.rows
    started = time.perf_counter()
    made = record(data, Spec("random", 0.0, seed=seed, history=history, horizon=REQUESTS))
    print(f"{name}, seed {seed}: estimates in {time.perf_counter() - started:.0f} s", flush=True)
    for size, split in missing:
        started = time.perf_counter()
        every = size // RESOLUTIONS
        few = size < REQUESTS
        found = cell(data, made, seed, history, size, split, FACTORS[0], every, few)[2]
        scores = {
            (label.replace(f"every {every}", "resolved"), mode): one
            for (label, mode), one in found.items()
        }
        done[name, seed, size, split] = scores
        rows = [[*key, *(getattr(s, f) for f in FIELDS)] for key, s in scores.items()]
        with file.open("a") as lines:
            lines.write(json.dumps([name, seed, size, split, rows]) + "\n")
        print(f"{size} requests, {split}: {time.perf_counter() - started:.0f} s", flush=True)


def kept_results(file):
    """Return the metrics in a file by encoder, seed, size and split."""
    done = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        name, seed, size, split, rows = json.loads(line)
        done[name, seed, size, split] = {
            (label, mode): BudgetScores(*values) for label, mode, *values in rows
        }
    return done


def policies(cells):
    """Yield the rows of one encoder: means over replays; lost → next best."""
    for label in SHOWN:
        modes = [mode for mode in (LOST, NEXT) if (label, mode) in cells[0]]
        columns = []
        for field, scale, digits in (
            ("performance", 1, 0),
            ("to_estimates", 100, 1),
            ("to_optimum", 100, 1),
            ("efficiency", 1, 0),
            ("throughput", 1, 0),
        ):
            means = [scale * np.mean([getattr(c[label, m], field) for c in cells]) for m in modes]
            columns.append(" → ".join(f"{mean:,.{digits}f}" for mean in means))
        yield label + MARKS.get(label, ""), *columns


def spread(values):
    """Return the mean, and the lowest and the highest of several."""
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def headlines(done, names, keys):
    """Yield PORT over the mean of its baselines by encoder; ``keys`` are pairs (seed, split)."""
    for name in names:
        for label in ("port", RESOLVED):
            each = [
                port_ratios([(split, FACTORS[0], done[name, seed, REQUESTS, split])], label)
                for seed, split in keys
            ]
            for mode in (LOST, NEXT):
                columns = zip(*(ratios[mode] for ratios in each), strict=True)
                shown = [spread(column) for column in columns]
                yield f"{label}, {name}; baselines: {mode}", *shown


def lengths(done, names, seeds):
    """Yield the competitive ratio of PORT by the length of the stream."""
    for name in names:
        for label in ("port", RESOLVED, "batch_split"):
            for field, what in (("to_estimates", "/ LP °"), ("to_optimum", "/ optimum **")):
                row = [
                    np.mean(
                        [
                            getattr(done[name, seed, size, MAIN][label, LOST], field)
                            for seed in seeds
                        ]
                    )
                    for size in (*SIZES, REQUESTS)
                ]
                yield f"{label}, {name}: {what}", *(f"{value:.2f}" for value in row)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", nargs="*", default=["hashed", "minilm"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minilm", type=Path, default=os.environ.get("FLOORLINE_MINILM"))
    parser.add_argument("--cache", type=Path, default=Path(".bench_port_long"))
    parser.add_argument("--write", type=Path, help="page whose part is replaced by the tables")
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder with manymodels")
        return
    names = [name for name in given.encoders if name != "minilm" or given.minilm]
    if names != given.encoders:
        print("minilm left out: give its folder by --minilm or FLOORLINE_MINILM")
    given.cache.mkdir(parents=True, exist_ok=True)
    file = given.cache / "replays.jsonl"
    table, seeds, done = load("manymodels/logparse"), range(given.seeds), kept_results(file)
    logs = {name: encoded(table, name, given.minilm, given.cache) for name in names}
    for seed in seeds:
        for name, data in logs.items():
            measure(data, name, seed, done, file)
    distinct = len(set(table.prompts))
    headers = ["PORT / mean of its baselines", "performance", "performance / cost", "throughput"]
    by_seed, by_split = [(seed, MAIN) for seed in seeds], [(0, split) for split in SPLITS]
    parts = [
        f"{len(table.models)} models, {len(table.prompts):,} log lines ({distinct:,} different), "
        f"{REQUESTS:,} requests after a history of {HISTORY:,}. "
        f"Split 'weighted', mean (lowest to highest) of {len(seeds)} seeds:",
        markdown_table(headers, [*headlines(done, names, by_seed)]),
        "Six splits, mean (lowest to highest), seed 0:",
        markdown_table(headers, [*headlines(done, names, by_split)]),
        f"Split 'weighted', {len(seeds)} seeds:",
    ]
    headers = ["satisfied", "/ LP, %", "/ optimum, %", "satisfied / USD", "served"]
    for name in names:
        cells = [done[name, seed, REQUESTS, MAIN] for seed in seeds]
        parts.append(markdown_table([f"policy, {name}", *headers], [*policies(cells)]))
    sizes = [f"{size:,} requests" for size in (*SIZES, REQUESTS)]
    parts.append(markdown_table(["competitive ratio", *sizes], [*lengths(done, names, seeds)]))
    text = "\n\n".join(parts)
    print(text)
    if given.write:
        write(given.write, "bench_port_long.py", text)


if __name__ == "__main__":
    main()
