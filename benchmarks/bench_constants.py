"""What every constant of the flagship does: halved, doubled and off, against the default.

``FLOORLINE_DATA=… python benchmarks/bench_constants.py run [--seeds 3] [--only NAME …] [--grounds
NAME …]`` replays and appends to a file of results, from which a run that was stopped goes on;
``summary FILE …`` sums such files up in ``benchmarks/results/constants_screening.json``, and
``table`` prints from that what docs/flagship-constants.md shows.

Grounds: *floors* are the MESS+ logs at their published floors, and RouterBench, medmcqa and
llmrouter (3,000 requests) at three floors between the cheapest and the best model, at φ = 1 and .2;
the others exercise parts that these do not: *warm* (a history), *drift* and *joins* (quality that
changes, a model that joins), *complaints*, *several* (SLAs), *guarded* and *budgets*. A run gives
whether the floor was met (under budgets: the share of periods that were spent to within 2 %) and a
cost over the static mix (under budgets: the satisfaction of the prompt-less fill over ours).
Differences are taken run by run against the default on the same stream; the error is the standard
error over seeds of their mean over cells, or over runs if that is larger.
"""

import argparse
import json
import math
import multiprocessing
import os
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

import bench_pacing as pacing
import scenarios_measure as scenes
from floorline._markdown import markdown_table
from floorline.bench.suite import load_suite
from floorline.core.config import constants
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.estimators.shared_difficulty import SharedDifficulty
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from floorline.replay.spec import Timeline
from floorline.sla import SLA
from labels import feedback

SHARES = (1.0, 0.2)
BETWEEN = (0.25, 0.5, 0.75)
"""Floors of tables without published ones, as shares of the way from the cheapest model's mean
quality to the best one's."""
LONGEST = 3000
ESTIMATOR = {"rank": 64, "shared": 10.0, "own": 300.0, "prior_weight": 2.0}
"""Defaults of ``SharedDifficulty``, whose constants are varied too."""
DRIFTS = {
    "drop": partial(scenes.quality, share=-0.4),
    "drop and back": partial(scenes.quality, share=-0.6, back=0.4),
    "rise of the cheap model": partial(scenes.quality, share=0.6, who="cheap"),
}
COMPLAINTS = {"messplus/boolq": 0.80, "messplus/piqa": 0.78, "messplus/social_iqa": 0.44}


SUMMARY = Path(__file__).parent / "results" / "constants_screening.json"
SCREENED = {
    "price_search_factor": (1.2, "removed"),
    "price_search_halvings": (4, "removed"),
    "price_step_requests": (2, "removed"),
    "forecast_prior_requests": (24.0, "one with `forecast_level_prior_requests`, 20"),
    "forecast_level_prior_requests": (20.0, "one with `forecast_prior_requests`"),
    "forecast_profile_decay": (0.6, "`forecast_forgetting`, .25"),
    "forecast_memory_share": (0.25, "`forecast_forgetting`"),
    "forecast_caution_sds": (1.0, "removed: always one standard deviation"),
    "optimism_without_shortfall": (0.75, "removed"),
    "half_optimism_label_rate": (0.04, "since: `informative_labels` over `correction_requests`"),
    "label_rate_prior_requests": (10.0, "since: 1"),
    "elimination_sds": (3.0, "`significance_sds`, 2"),
    "exploration_known_labels": (10.0, "`informative_labels`, 30"),
    "buffer_walks": (4.0, "since: follows from `keep_probability`"),
    "margin_standard_errors": (1.5, "since: follows from `keep_probability`"),
    "max_buffer_fraction": (0.5, "removed"),
    "min_drift": (0.003, "removed: the posterior's standard deviation"),
    "drift_sds": (0.5, "removed: one standard deviation"),
    "partner_optimism_sds": (0.5, "removed"),
    "request_window": (2000, "`price_horizon_requests`, 1000"),
    "correction_horizon_requests": (1000.0, "`price_horizon_requests`, 1000"),
    "max_floor_correction": (0.05, "removed"),
    "surplus_band_below_sds": (2.5, "`significance_sds`, 2"),
    "surplus_band_above_sds": (4.0, "`significance_sds`: as far above the target"),
    "price_grid_low": (1e-5, "five powers of ten"),
    "price_grid_high": (1e4, "five powers of ten"),
    "price_grid_points": (73, "81, eight per power of ten as before"),
    "price_reset_requests": (50.0, "removed"),
    "gate_significance_sds": (2.0, "`significance_sds`"),
    "gate_prior_precision": (0.25, "the variance of a label with mean 1/2"),
    "gate_noise_prior": (0.25, "the variance of a label with mean 1/2"),
    "gate_recent_labels": (300.0, "`memory_labels`"),
    "gate_mean_requests": (200.0, "`memory_labels`, 300"),
    "gate_min_requests": (50.0, "removed"),
    "default_floor": (0.5, "removed: even odds"),
    "prior_slope_sd": (0.05, "`model_deviation_sd`, .04"),
    "model_deviation_sd": (0.03, ".04, also of the slope"),
    "model_deviation_prior_models": (3.0, "removed: as many as there are"),
    "model_deviation_half_labels": (30.0, "`informative_labels`"),
    "model_deviation_refit_labels": (8, "removed: at every label"),
    "prior_floor_position": (0.4, "removed: the middle"),
    "prior_price_exponent": (0.5, "removed: the square root"),
    "prior_max_gain": (0.5, "removed"),
    "min_label_sd": (0.2, "removed: follows from `min_label_variance`"),
    "min_label_variance": (0.01, ".02"),
    "change_min_variance": (0.05, "`min_label_variance`"),
    "recent_labels": (30.0, "`informative_labels`"),
    "changed_model_decay": (0.95, "`changed_model_half_life`, 340 requests as before"),
    "changed_model_decay_requests": (25, "removed: every request"),
    "changed_model_min_labels": (3.0, "removed"),
    "changed_model_known_labels": (200.0, "`memory_labels`, 300"),
    "pooled_labels": (20.0, "`informative_labels`, 30"),
    "guard_refresh_labels": (32.0, "`informative_labels`"),
    "difficulty_prior_labels": (50.0, "`informative_labels`, 30"),
    "difficulty_memory_labels": (1000.0, "removed"),
    "complaints_to_detect": (40, "`informative_labels`, 30"),
    "SharedDifficulty.drift": (1e-7, "removed"),
}
"""Constants that the screening changed: the value that they had, and what became of them."""


class Variant(NamedTuple):
    """One constant with another value; the default has no name."""

    name: str = ""
    change: str = "default"
    value: float = 0.0

    @property
    def parameters(self):
        """Arguments of ``PrimalDual``."""
        owner, _, field = self.name.rpartition(".")
        if owner:
            return {"estimator": partial(SharedDifficulty, **{field: self.value})}
        return {self.name: self.value} if self.name else {}


class Job(NamedTuple):
    """One replay: a ground, and which of its cells."""

    ground: str
    cell: tuple
    seed: int


def variants(only=()):
    """Default first, then every constant halved, doubled and off, where these are valid."""
    found = [Variant()]
    defaults = PrimalDualConfig()
    declared = constants(PrimalDualConfig)
    for name, constant in declared.items():
        value, whole = getattr(defaults, name), isinstance(getattr(defaults, name), int)
        tried = {"halved": value / 2, "doubled": value * 2, "off": constant.off}
        for change, number in tried.items():
            if number is None:
                continue
            number = round(number) if whole else min(max(number, constant.low), constant.high)
            if number != value and constant.low <= number <= constant.high:
                found.append(Variant(name, change, number))
    for name, value in ESTIMATOR.items():
        for change, factor in (("halved", 0.5), ("doubled", 2.0)):
            number = round(value * factor) if isinstance(value, int) else value * factor
            found.append(Variant(f"SharedDifficulty.{name}", change, number))
    return [v for v in found if not (only and v.name) or v.name in only]


def tables(cache):
    """Every table, encoded; read from ``cache`` if that file exists, else written there."""
    if cache is not None and cache.exists():
        return np.load(cache, allow_pickle=True).item()
    names = [*load_suite("mess_plus").parts[0].data, "messplus"]
    found = {name: prepare(load(name), make_encoder("hashed")) for name in names}
    for name in ("manymodels/medmcqa", "manymodels/llmrouter"):
        found[name] = prepare(load(name), make_encoder("hashed"))
    found["routerbench"] = prepare(load("routerbench", gaps="drop"), make_encoder("hashed"))
    if cache is not None:
        np.save(cache, found, allow_pickle=True)
    return found


def between(data):
    """Floors between the cheapest and the best model."""
    mean, cost = data.quality.mean(axis=0), data.cost.mean(axis=0)
    low, high = float(mean[cost.argmin()]), float(mean.max())
    return [round(low + share * (high - low), 3) for share in BETWEEN]


def cells(data):
    """Cells of every ground."""
    floors = dict(load_suite("mess_plus").parts[0].data)
    for name in ("routerbench", "manymodels/medmcqa", "manymodels/llmrouter"):
        floors[name] = between(data[name])
    every = [(name, floor) for name, levels in floors.items() for floor in levels]
    return {
        "floors": [(*cell, share) for cell in every for share in SHARES],
        "warm": [("routerbench", floor) for floor in (0.7, 0.75, 0.8)],
        "drift": [(stream, kind) for stream in ("BoolQ", "MESS+ mix") for kind in DRIFTS],
        "joins": [(stream, "good") for stream in ("BoolQ", "SocialIQA", "MESS+ mix")],
        "complaints": list(COMPLAINTS.items()),
        "several": [("MESS+ mix",)],
        "guarded": [(name, floors[name][0]) for name in COMPLAINTS],
        "budgets": [
            ("RouterBench, cold", kind, demand, guess)
            for kind in ("total", "capped")
            for demand in ("daily", "bursts")
            for guess in (1.0, 0.5)
        ],
    }


def ran(data, name, floor, labels, seed, parameters, **given):
    """One stream of a table: (floor met, cost over the static mix)."""
    horizon = min(LONGEST, round((1.0 - given.get("history", 0.0)) * data[name].rows))
    spec = Spec("primal_dual", floor, labels, seed, parameters, horizon=horizon, **given)
    scores = summarise(data[name], replay(data[name], spec)).scores
    return [(float(scores.floor_met), scores.cost_per_static_mix)]


def on_floors(data, cell, seed, parameters):
    name, floor, share = cell
    return ran(data, name, floor, feedback(share), seed, parameters)


def on_warm(data, cell, seed, parameters):
    return ran(data, *cell, "served", seed, parameters, history=0.45)


def on_complaints(data, cell, seed, parameters):
    return ran(data, *cell, "served+negative:0.5", seed, parameters)


def on_guarded(data, cell, seed, parameters):
    name, floor = cell
    spec = Spec("primal_dual", floor, "served", seed, parameters)
    timeline = Timeline((SLA("stream", floor=floor, guarded=True),))
    scores = summarise(data[name], replay(data[name], spec, timeline=timeline)).scores
    return [(float(scores.floor_met), scores.cost_per_static_mix)]


def on_scenario(data, cell, seed, parameters, happens):
    stream = scenes.STREAMS[cell[0]]
    case = scenes.Case(cell[0], "", "", happens, parameters=tuple(parameters.items()))
    found = scenes.measure(data[stream.data], case, seed).stretches
    return [(float(part.satisfaction >= stream.floor), part.cost_per_mix) for part in found[1:]]


def on_several(data, cell, seed, parameters):
    name = scenes.STREAMS[cell[0]].data
    case = scenes.Case(cell[0], "", "shared", scenes.several, parameters=tuple(parameters.items()))
    found = scenes.measure_slas(data[name], case, seed)
    return [(float(record.above >= 0.0), record.per_mix) for record in found]


def on_budgets(data, cell, seed, parameters):
    found = pacing.measure(data["routerbench"], pacing.Cell(*cell), seed, **parameters)
    able = [p for p, able in zip(found.periods[1:], found.able[1:], strict=True) if able]
    return [(float(0.98 <= p.spent <= 1.0 + 1e-9), p.fill / p.satisfaction) for p in able]


GROUNDS = {
    "floors": on_floors,
    "warm": on_warm,
    "drift": lambda d, c, s, p: on_scenario(d, c, s, p, DRIFTS[c[1]]),
    "joins": lambda d, c, s, p: on_scenario(d, c, s, p, scenes.good_joins),
    "complaints": on_complaints,
    "several": on_several,
    "guarded": on_guarded,
    "budgets": on_budgets,
}

DATA = {}


def done(task):
    """Replay one task in a worker that shares the tables."""
    variant, job = task
    with threadpool_limits(1):
        runs = GROUNDS[job.ground](DATA, job.cell, job.seed, variant.parameters)
    return {"variant": variant, "job": job, "runs": runs}


def key(variant, job):
    return json.dumps([*variant[:2], list(job)])


def read(path):
    """Results so far: runs by variant and job."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {key(line["variant"], line["job"]): line for line in lines}


def run(given):
    DATA.update(tables(given.cache))
    found, grid = read(given.results), cells(DATA)
    seeds = range(given.first, given.first + given.seeds)
    tasks = [
        (variant, Job(ground, cell, seed))
        for ground in given.grounds
        for seed in seeds
        for variant in variants(given.only)
        for cell in grid[ground]
    ]
    tasks = [task for task in tasks if key(*task) not in found]
    print(f"{len(tasks)} replays to do, {len(found)} done")
    with (
        given.results.open("a") as stream,
        multiprocessing.get_context("fork").Pool(given.jobs) as pool,
    ):
        for result in pool.imap_unordered(done, tasks, chunksize=4):
            stream.write(json.dumps(result) + "\n")
            stream.flush()


class Effect(NamedTuple):
    """Differences to the default in floors met (points) and cost (%), with standard errors."""

    met: float
    met_error: float
    cost: float
    cost_error: float

    @property
    def noise(self):
        """Whether both lie within two standard errors of 0."""
        return abs(self.met) <= 2 * self.met_error and abs(self.cost) <= 2 * self.cost_error


def effects(results):
    """Effects by constant, change and ground."""
    runs = defaultdict(dict)
    for line in results.values():
        name, change, _ = line["variant"]
        runs[name, change][json.dumps(line["job"])] = line["runs"]
    default = runs.pop(("", "default"), {})
    found = defaultdict(dict)
    for (name, change), jobs in runs.items():
        pairs = defaultdict(list)
        for job, values in jobs.items():
            ground, _, seed = json.loads(job)
            if job in default:
                both = zip(values, default[job], strict=False)
                pairs[ground] += [
                    (seed, 100 * (m - m0), 100 * math.log(c / c0)) for (m, c), (m0, c0) in both
                ]
        for ground, rows in pairs.items():
            table = np.array(rows)
            means = np.array([table[table[:, 0] == s, 1:].mean(axis=0) for s in set(table[:, 0])])
            over_runs = table[:, 1:].std(axis=0) / math.sqrt(len(table))
            over_seeds = means.std(axis=0, ddof=1) / math.sqrt(len(means)) if len(means) > 1 else 0
            met, cost = table[:, 1:].mean(axis=0)
            met_error, cost_error = np.maximum(over_runs, over_seeds)
            found[name, change][ground] = Effect(met, met_error, cost, cost_error)
    return found


def summary(given):
    """Sum up files of results; later files replace runs of earlier ones."""
    merged = {}
    for path in given.files:
        merged.update(read(path))
    rows = [
        json.dumps([name, change, ground, *(round(float(value), 1) for value in effect)])
        for (name, change), grounds in effects(merged).items()
        for ground, effect in grounds.items()
    ]
    SUMMARY.write_text("[\n" + ",\n".join(rows) + "\n]\n")


def shown(effect):
    """Floors met and cost, bold where they are more than noise."""
    if effect is None:
        return ""
    text = f"{effect.met:+.1f} / {effect.cost:+.1f} %"
    return text if effect.noise else f"**{text}**"


def table(given):
    """One row per constant that was screened, and what became of it."""
    found = defaultdict(lambda: defaultdict(dict))
    for name, change, ground, *numbers in json.loads(SUMMARY.read_text()):
        found[name][change][ground] = Effect(*numbers)
    rows = []
    for name, changes in found.items():
        cells = [shown(changes[change].get("floors")) for change in ("halved", "doubled", "off")]
        others = [
            f"{ground}, {change}: {shown(effect)}"
            for change, grounds in changes.items()
            for ground, effect in grounds.items()
            if ground != "floors" and not effect.noise
        ]
        default, became = SCREENED.get(name, (None, ""))
        if default is None:
            default = {**msgspec.structs.asdict(PrimalDualConfig()), **ESTIMATOR}[
                name.rpartition(".")[2]
            ]
        rows.append(
            [f"`{name}`", f"{default:g}", *cells, "; ".join(others) or "none", became or "kept"]
        )
    headers = ["constant", "was", "halved", "doubled", "off", "other grounds beyond noise", "now"]
    print(markdown_table(headers, rows, left=(0, 5, 6)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["run", "summary", "table"])
    parser.add_argument("files", nargs="*", type=Path, help="results to sum up")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="constants to vary")
    parser.add_argument("--grounds", nargs="*", default=list(GROUNDS), choices=list(GROUNDS))
    parser.add_argument("--results", type=Path, default=Path("bench-out/constants.jsonl"))
    parser.add_argument("--cache", type=Path, help="file that keeps the encoded tables")
    given = parser.parse_args()
    given.results.parent.mkdir(parents=True, exist_ok=True)
    if given.part == "run" and not os.environ.get("FLOORLINE_DATA") and given.cache is None:
        print("skipped: set FLOORLINE_DATA to the folder of public data (docs/data.md)")
        return
    {"run": run, "summary": summary, "table": table}[given.part](given)


if __name__ == "__main__":
    main()
