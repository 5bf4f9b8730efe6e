"""PORT at its paper's size on a real table: 10,000 requests after a labelled history of 22,000.

``FLOORLINE_DATA=… python benchmarks/bench_port_long.py [--encoders hashed minilm] [--seeds 5]
[--minilm FOLDER] [--cache FOLDER] [--write docs/published.md]``. The data folder needs
``manymodels/logparse.parquet`` (32,000 log lines, 8 models), and ``minilm`` needs a folder with
``tokenizer.json`` and ``model.onnx``. ``--cache`` keeps embeddings and the metrics of every replay,
so that a second run does only what is missing there.

Policies, splits and budgets are those of ``bench_port.py`` at the smaller total budget: the cost of
the cheapest model for all requests. Every seed is replayed under the split "weighted", and seed 0
under ``OTHERS``, too. Streams of ``SIZES`` requests after the same history show the
competitive ratio as a function of their length.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from bench_port import FACTORS, MakeRecorded, cell, record
from bench_published import LOST, NEXT, port_ratios
from floorline._markdown import markdown_table
from floorline.datasets import load
from floorline.encoders import MiniLm, make_encoder
from floorline.policies import BUDGET_REFERENCE_POINTS
from floorline.replay import Spec, prepare
from floorline.replay.budgets import BudgetScores
from floorline.replay.run import stream_rows
from written import write

HISTORY, REQUESTS = 22_000, 10_000
SIZES = (250, 1_000, 4_000)
REPLAYS = "replays.jsonl"
RESOLVED = "port, resolved"
RESOLUTIONS = 40
"""Number of times that ``RESOLVED`` solves its prices during a stream."""
FIELDS = BudgetScores.__struct_fields__
MAIN = "weighted"
"""Split under which every seed is replayed: in proportion to √(quality / cost)."""
OTHERS = ("extreme", "random")
"""Splits under which seed 0 is replayed, too."""
SHOWN = ("port", RESOLVED, *BUDGET_REFERENCE_POINTS)
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


def estimates(data, name, seed, cache):
    """Return what ``record`` does, and keep it in a file."""
    file = cache / f"{name}-{seed}.npz"
    if not file.exists():
        started = time.perf_counter()
        spec = Spec("random", 0.0, seed=seed, history=HISTORY / data.rows, horizon=REQUESTS)
        made = record(data, spec)
        np.savez(file, **{kind: np.stack([m.quality, m.cost]) for kind, m in made.items()})
        print(
            f"{name}, seed {seed}: estimates in {time.perf_counter() - started:.0f} s", flush=True
        )
    return {kind: MakeRecorded(*kept) for kind, kept in np.load(file).items()}


def measure(data, name, seed, cells, done, cache):
    """Replay the cells (requests, split) that ``done`` lacks, and keep their metrics."""
    missing = [cell for cell in cells if (name, seed, *cell) not in done]
    if not missing:
        return
    made = estimates(data, name, seed, cache)
    history = HISTORY / data.rows
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
        with (cache / REPLAYS).open("a") as lines:
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


def seen_before(table, data):
    """Return the share of the requests of seed 0 whose prompt is in the history."""
    spec = Spec("random", 0.0, seed=0, history=HISTORY / data.rows, horizon=REQUESTS)
    past, stream = stream_rows(data, spec)
    known = {table.prompts[row] for row in past}
    return float(np.mean([table.prompts[row] in known for row in stream]))


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
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def headlines(done, keys):
    """Yield PORT over the mean of its baselines; ``keys`` has pairs (seed, split) by encoder."""
    for name, pairs in keys.items():
        for label in ("port", RESOLVED):
            each = [
                port_ratios([(split, FACTORS[0], done[name, seed, REQUESTS, split])], label)
                for seed, split in pairs
            ]
            for mode in (LOST, NEXT):
                columns = zip(*(ratios[mode] for ratios in each), strict=True)
                shown = [spread(column) for column in columns]
                yield f"{label}, {name}; baselines: {mode}", str(len(pairs)), *shown


def lengths(done, seeds):
    """Yield the competitive ratio of PORT by the length of the stream; ``seeds`` by encoder."""
    for name, number in seeds.items():
        for label in ("port", RESOLVED, "batch_split"):
            for field, what in (("to_estimates", "/ LP °"), ("to_optimum", "/ optimum **")):
                row = [
                    np.mean(
                        [
                            getattr(done[name, seed, size, MAIN][label, LOST], field)
                            for seed in range(number)
                        ]
                    )
                    for size in (*SIZES, REQUESTS)
                ]
                yield f"{label}, {name}: {what}", str(number), *(f"{value:.2f}" for value in row)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", nargs="*", default=["hashed", "minilm"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[5], help="one or by encoder")
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
    table, done = load("manymodels/logparse"), kept_results(given.cache / REPLAYS)
    logs = {name: encoded(table, name, given.minilm, given.cache) for name in names}
    numbers = given.seeds if len(given.seeds) > 1 else given.seeds * len(names)
    seeds = dict(zip(names, numbers, strict=True))
    first = [(size, MAIN) for size in (REQUESTS, *SIZES)]
    for name, data in logs.items():
        for seed in range(seeds[name]):
            measure(data, name, seed, first, done, given.cache)
        measure(data, name, 0, [(REQUESTS, split) for split in OTHERS], done, given.cache)
    distinct, known = len(set(table.prompts)), seen_before(table, logs[names[0]])
    headers = ["performance", "performance / cost", "throughput"]
    by_seed = {name: [(seed, MAIN) for seed in range(number)] for name, number in seeds.items()}
    by_split = {name: [(0, split) for split in (MAIN, *OTHERS)] for name in names}
    parts = [
        f"{len(table.models)} models, {len(table.prompts):,} log lines ({distinct:,} different), "
        f"{REQUESTS:,} requests after a history of {HISTORY:,}, "
        f"which has {100 * known:.0f} % of the requests' lines. PORT over the mean of its "
        f'baselines, split "{MAIN}", mean (lowest to highest) over seeds:',
        markdown_table(["", "seeds", *headers], [*headlines(done, by_seed)]),
        f"The same for seed 0 over the splits {', '.join((MAIN, *OTHERS))}:",
        markdown_table(["", "splits", *headers], [*headlines(done, by_split)]),
        f'Policies, split "{MAIN}", means over the same seeds:',
    ]
    headers = ["satisfied", "/ LP, %", "/ optimum, %", "satisfied / USD", "served"]
    for name in names:
        cells = [done[name, seed, REQUESTS, MAIN] for seed in range(seeds[name])]
        parts.append(markdown_table([f"policy, {name}", *headers], [*policies(cells)]))
    sizes = [f"{size:,} requests" for size in (*SIZES, REQUESTS)]
    parts += [
        f'Competitive ratio by the length of the stream, split "{MAIN}":',
        markdown_table(["", "seeds", *sizes], [*lengths(done, seeds)]),
    ]
    text = "\n\n".join(parts)
    print(text)
    if given.write:
        write(given.write, "bench_port_long.py", text)


if __name__ == "__main__":
    main()
