"""The policies on many zoos of different sizes, cold, under feedback from full to sparse.

``FLOORLINE_DATA=… python benchmarks/bench_zoos.py --cache FOLDER``; the folder with the data needs
``messplus/*.csv``, ``routerbench/*.csv``, ``paretobandit/*.jsonl`` and ``manymodels/*.parquet``.

Every run (policy, table, floor, φ, seed) is appended to a file in the cache as soon as it ends, so
a run that was cut goes on where it stopped. Runs in ``benchmarks/results/zoos.jsonl.xz`` are not
made again; ``--store`` adds those of the cache to that file. ``--print`` and ``--write
docs/zoos.md`` make the tables of both, and run nothing. Runs of our own policy are kept by a label:
the last commit that changed it, or ``--as``. ``--as before`` with the package of an earlier commit
on ``PYTHONPATH`` gives the rows "before".

Floors lie a third, .6 and .85 of the way from a low mean to the mean of the best model. The low
mean is the median of the models' means, since floors are promised that some models cannot keep
alone. It is the minimum among three models or fewer, where the median would leave one model to
choose from, and where the floors from the median on would all be less than .01 below the best
mean. A floor is *clear* where the best model's mean over the table is at least .01 above it.
"""

import argparse
import lzma
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

import floorline
from bench_hints import ROWS, hinted, hints_of
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies import policy_class
from floorline.replay import Spec, prepare, replay
from floorline.replay.metrics import References, running_mean, score
from floorline.replay.run import history_of, stream_means
from floorline.zoo import DEFAULT_HINT_WEIGHT
from labels import AS_CODE, under_test
from zoos_tables import MARKS, pages

TABLES = {
    "messplus/arc_challenge": (),
    "messplus/boolq": (),
    "messplus/piqa": (),
    "messplus/sciq": (),
    "messplus/social_iqa": (),
    "paretobandit/val_k4": (),
    "routerbench/arc_challenge": (),
    "routerbench/winograde": (),
    "routerbench/mbpp": (),
    "manymodels/llmrouter": (2500, 1000),
    "manymodels/medmcqa": (500,),
    "manymodels/logparse": (2400, 1000),
}
"""Data sets, and the sizes of the parts that are further tables: short streams, many models."""

SHARES = (1.0, 0.2, 0.05)
OURS, TOLD, HINTS, TEN = "ours", "ours, told", "ours, hints", "ours, hints, ten rows"
REFERENCES = ("static_mix", "best_fixed", "random", "oracle")
POLICIES = (OURS, TOLD, HINTS, TEN, "mess_plus", AS_CODE, "sla_router", *REFERENCES)
STORED = Path(__file__).parent / "results" / "zoos.jsonl.xz"
"""Records of runs that the repository keeps, so that another machine need not make them again."""
LEVELS = (1 / 3, 0.6, 0.85)
"""Floors, as shares of the way from the low mean to the best one."""
CLEAR = 0.01
"""Least distance of a clear floor from the best mean."""
FEW = 3
"""Number of models up to which the low mean is the minimum."""
LARGE_SHARE = 0.2
"""Share of the best static mix from which on a model's dismissal is counted."""
DISMISSED = 0.05
"""Share of its share in the mix below which a model is dismissed in the last third."""


class Cell(NamedTuple):
    """One run to make, and the key of its record."""

    label: str
    policy: str
    table: str
    floor: float
    share: float
    seed: int


def floors_of(means):
    """Return the three floors of a table whose models have these means."""
    means = np.asarray(means)
    low, best = float(np.median(means)), float(means.max())
    if len(means) <= FEW or best - (low + LEVELS[0] * (best - low)) < CLEAR:
        low = float(means.min())
    return [round(low + level * (best - low), 3) for level in LEVELS]


def parts(data, sizes):
    """Yield the table, and fixed random parts of it, under their names."""
    yield data
    for size in sizes:
        rows = np.random.default_rng(size).permutation(data.rows)[:size]
        yield data.take(rows)._replace(name=f"{data.name}, {size:,} rows")


class NoFeatures:
    """Encoder for tables that are only described: encoding takes most of the time of loading."""

    fingerprint = ""

    def encode_batch(self, prompts):
        """Return (N, 0) features."""
        return np.zeros((len(prompts), 0), dtype=np.float32)


def load_tables(names, encoder):
    """Return prepared tables by name, small ones first."""
    found = []
    for name in names:
        data = prepare(load(name, gaps="drop"), encoder)
        found += parts(data._replace(name=name), TABLES[name])
    return {data.name: data for data in sorted(found, key=lambda data: data.rows)}


def dismissed(models, mix, count):
    """Whether a model with a large share in ``mix`` hardly served in the last third; None: none."""
    large = np.flatnonzero(mix >= LARGE_SHARE)
    last = models[-(len(models) // 3) :]
    served = np.bincount(last[last >= 0], minlength=count) / len(last)
    return bool((served[large] < DISMISSED * mix[large]).any())


def run(data: Any, cell: Cell) -> dict[str, Any]:
    """Replay one cell; return its record."""
    spec, hints, past = specification(data, cell)
    if hints is not None:
        data = hinted(data, hints, DEFAULT_HINT_WEIGHT)
    with threadpool_limits(1):
        done = replay(data, spec, past=past)
    quality, cost = stream_means(data, done.row)
    mix = cheapest_mix(quality, cost, cell.floor)
    price = float(mix @ cost)
    scores = score(done, References(static_mix=price, best_fixed=price, oracle=price))
    marks = [max(round(share * len(done.row)), 1) - 1 for share in MARKS]
    over = running_mean(done.satisfied)[marks] - cell.floor
    spent = running_mean(done.cost)[marks] / price
    return {
        **cell._asdict(),
        "met": scores.floor_met,
        "cost": scores.cost_per_static_mix,
        "course": [[round(float(x), 4) for x in pair] for pair in zip(spent, over, strict=True)],
        "dismissed": dismissed(done.model, mix, len(data.zoo)),
        "us": round(float(np.median(done.seconds)) * 1e6, 1),
    }


def specification(data, cell):
    """Return the replay of a cell, the hints of its models and the past it is told, or None."""
    ours = cell.policy.startswith(OURS)
    kind, labels, parameters = under_test("primal_dual" if ours else cell.policy, cell.share)
    hints = past = None
    history = 0.0
    if cell.policy == TOLD:
        parameters |= {"prompts": False}
        past = history_of(data)
    if cell.policy in (HINTS, TEN):
        hints = hints_of("right", data.quality.mean(axis=0), np.random.default_rng([cell.seed, 7]))
        history = ROWS / data.rows if cell.policy == TEN else 0.0
    return Spec(kind, cell.floor, labels, cell.seed, parameters, history), hints, past


def fingerprint(cell: Cell, spec: Spec) -> str:
    """Return the configuration of a policy, with which a cached run must agree."""
    parameters: Mapping[str, Any] = dict(spec.parameters)
    if policy_class(spec.policy).knows == "feedback":
        return policy_class(spec.policy)(**parameters).fingerprint
    return spec.policy


class Cache:
    """Records of runs in a folder: a file per label and policy, a line per run.

    Records that are in the file ``stored`` too count as if they were in the folder.
    """

    def __init__(self, folder, stored=None):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.records = {}
        if stored is not None and stored.exists():
            self._read(lzma.decompress(stored.read_bytes()))
        for path in sorted(folder.glob("*.jsonl")):
            self._read(path.read_bytes())

    def _read(self, lines):
        for line in lines.splitlines():
            record = msgspec.json.decode(line)
            self.records[Cell(*(record[field] for field in Cell._fields))] = record

    def store(self, path):
        """Write all records into one compressed file, with the digits that tables need."""
        lines = []
        for cell in sorted(self.records):
            record = dict(self.records[cell], us=round(self.records[cell]["us"]))
            record["cost"] = round(record["cost"], 4)
            record["course"] = [[round(c, 3), round(s, 3)] for c, s in record["course"]]
            lines.append(msgspec.json.encode(record))
        path.write_bytes(lzma.compress(b"\n".join(lines) + b"\n", preset=9))

    def has(self, cell, fingerprint):
        """Whether the cell was run with this configuration."""
        return self.records.get(cell, {}).get("fingerprint") == fingerprint

    def add(self, cell, record):
        """Append a record; a later one of the same cell replaces it."""
        self.records[cell] = record
        name = f"{cell.label or 'any'}-{cell.policy}".replace(", ", "-").replace(" ", "-")
        with (self.folder / f"{name}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")


def last_commit():
    """Return the last commit that changed our policy, with "+" if it has changes since."""
    package = Path(floorline.__file__).parent
    git = ["git", "-C", str(package)]
    policy = str(package / "policies" / "primal_dual")
    try:
        commit = subprocess.check_output(
            [*git, "log", "-1", "--format=%h", "--", policy], text=True
        )
        changed = subprocess.check_output([*git, "status", "--porcelain", "--", policy], text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit("the package is not in a git repository: give --as LABEL") from error
    return commit.strip() + ("+" if changed else "")


def cells_of(tables, given):
    """Yield the cells to run: by φ, then seed by seed, so that a cut run has whole seeds."""
    for share in given.shares:
        for seed in range(given.first, given.first + given.seeds):
            for policy in given.policies:
                if policy in REFERENCES and share != 1.0:
                    continue
                label = given.label if policy.startswith(OURS) else ""
                for name, data in tables.items():
                    if data.rows <= given.longest:
                        for floor in floors_of(data.quality.mean(axis=0)):
                            yield Cell(label, policy, name, floor, share, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=list(POLICIES), help="; ".join(POLICIES))
    parser.add_argument("--cache", type=Path, required=True, help="folder of records of runs")
    parser.add_argument("--tables", nargs="*", default=list(TABLES), help="names of data sets")
    parser.add_argument("--longest", type=float, default=np.inf, help="skip longer tables")
    parser.add_argument("--shares", nargs="*", type=float, default=list(SHARES), help="values of φ")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--as", dest="label", default=None, help="label of runs of our policy")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--store", action="store_true", help=f"only add the cache to {STORED.name}")
    parser.add_argument("--print", action="store_true", help="only print tables of the cache")
    parser.add_argument("--write", type=Path, help="only write them into this page")
    given = parser.parse_args()
    if unknown := set(given.policies) - set(POLICIES):
        raise SystemExit(f"no policy {sorted(unknown)}: give some of {'; '.join(POLICIES)}")
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/ and the others")
        return
    given.label = given.label or last_commit()
    cache = Cache(given.cache, STORED)
    if given.store:
        cache.store(STORED)
        return
    only_shown = given.print or given.write
    tables = load_tables(given.tables, NoFeatures() if only_shown else make_encoder("hashed"))
    if only_shown:
        floors = {name: floors_of(data.quality.mean(axis=0)) for name, data in tables.items()}
        pages(tables, floors, CLEAR, cache.records.values(), given.label, given.write)
        return
    jobs = []
    for cell in cells_of(tables, given):
        of = fingerprint(cell, specification(tables[cell.table], cell)[0])
        if not cache.has(cell, of):
            jobs.append((cell, of))
    print(f"{len(jobs)} runs, our policy as {given.label}", flush=True)

    def one(cell, of):
        return cell, {**run(tables[cell.table], cell), "fingerprint": of}

    ended = Parallel(n_jobs=given.jobs, return_as="generator_unordered", batch_size=1)(
        delayed(one)(*job) for job in jobs
    )
    for number, (cell, record) in enumerate(ended, start=1):
        cache.add(cell, record)
        if number % 50 == 0:
            print(f"{number} of {len(jobs)}: {cell.policy}, φ = {cell.share:g}", flush=True)


if __name__ == "__main__":
    main()
