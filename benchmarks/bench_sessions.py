"""Cost of conversations: ways to choose models in them, on simulated streams of several turns.

``python benchmarks/bench_sessions.py PART [PART …] --out FILE`` runs parts and appends their
results to a file of JSON lines; results that the file has are not run again. ``python
benchmarks/bench_sessions.py tables --out FILE`` prints the tables of docs/sessions.md from it. The
parts are ``main``, ``fresh`` (streams on which nothing was chosen), ``sparse`` (labels of 20 % of
the turns), ``sensitivity`` and ``policies``. The parts together take about half an hour on one
core.

Every stream has the same kinds of conversations with other draws. Each model has a quality hint:
its mean on another stream, worth 300 labels; ``cold`` has none. A floor of .8 lies at .8 of the
range from the worst model's mean to the best one's.
"""

import argparse
import itertools
import json
from pathlib import Path

import msgspec
import numpy as np

from floorline import Zoo
from floorline.datasets.simulated_conversations import (
    CACHED_MODELS,
    TRAFFIC,
    simulate_conversations,
)
from floorline.optimization.floor_lp import cheapest_mix
from floorline.replay.conversations import fixed_costs, oracle_cost, replay_conversations

TURNS = 3000
SEEDS = (1, 2, 3, 4, 5)
FRESH_SEEDS = (6, 7, 8, 9, 10)
"""Streams on which nothing was chosen: what the buffer adds in conversations was tried on the
others."""
FEW_SEEDS = (1, 2)
FLOORS = (0.7, 0.8, 0.9)
WAYS = ("planned", "caches only", "lengths only", "stick", "never switch", "ignore")
COMPARED = ("planned", "stick", "ignore")
_MIDDLE = 0.8
"""Floor of the parts that have one floor only, as a share of the range."""
HINT_WEIGHT = 300.0
NAMES = {
    "planned": "Floorline",
    "caches only": "Floorline without later turns",
    "lengths only": "the same rule without caches",
    "stick": "stick for an hour",
    "never switch": "never switch",
    "ignore": "ignore caches",
}


def read_share(share):
    """Models whose cached tokens cost this share of the others, and are written at no charge."""
    change = msgspec.structs.replace
    return tuple(
        change(m, cached_input_price=share * m.input_price, cache_write_price=None)
        for m in CACHED_MODELS
    )


def traffic(**factors):
    """Kinds of conversations with some of their numbers multiplied."""
    return tuple(
        msgspec.structs.replace(kind, **{n: getattr(kind, n) * f for n, f in factors.items()})
        for kind in TRAFFIC
    )


VARIANTS = {
    "as above": {},
    "cached tokens cost .1×, writing nothing": {"models": read_share(0.1)},
    "cached tokens cost .25×": {"models": read_share(0.25)},
    "cached tokens cost .5×": {"models": read_share(0.5)},
    "half as many turns": {"traffic": traffic(turns=0.5)},
    "twice as many turns": {"traffic": traffic(turns=2.0)},
    "pauses 5 times as long": {"traffic": traffic(pause_seconds=5.0, loop_seconds=5.0)},
    "caches found half the time": {"hit_rate": 0.5},
    "one model better than all of its price": {"ability": (0.6, 0.9, 1.2, 1.3, 1.7, 2.2, 2.4, 2.9)},
    "cold": {"hints": False},
}


def jobs(parts):
    """Yield the settings of each run."""
    if "main" in parts:
        for seed, share, way in itertools.product(SEEDS, FLOORS, WAYS):
            if way in COMPARED or share == _MIDDLE:
                yield {"part": "main", "seed": seed, "share": share, "way": way}
    if "fresh" in parts:
        for seed, share, way in itertools.product(FRESH_SEEDS, FLOORS, COMPARED):
            yield {"part": "fresh", "seed": seed, "share": share, "way": way}
    if "sparse" in parts:
        for seed, way in itertools.product(SEEDS, COMPARED):
            yield {"part": "sparse", "seed": seed, "share": _MIDDLE, "way": way, "labels": 0.2}
    if "sensitivity" in parts:
        for variant, seed, way in itertools.product(list(VARIANTS)[1:], FEW_SEEDS, COMPARED):
            yield {"part": variant, "seed": seed, "share": _MIDDLE, "way": way}
    if "policies" in parts:
        for policy, seed, way in itertools.product(
            ("sla_router", "carrot"), FEW_SEEDS, ("planned", "caches only", "ignore")
        ):
            yield {"part": "policies", "seed": seed, "share": _MIDDLE, "way": way, "policy": policy}


def run(job):
    """Run one job; return its results."""
    given = dict(VARIANTS.get(job["part"], {}))
    hit_rate, hints = given.pop("hit_rate", 0.97), given.pop("hints", True)
    seed = job["seed"]
    stream = simulate_conversations(TURNS, seed, **given)
    means = stream.quality.mean(axis=0)
    floor = float(means.min() + job["share"] * np.ptp(means))
    if hints:
        other = simulate_conversations(TURNS, seed + 100, **given).quality.mean(axis=0)
        hinted = [
            msgspec.structs.replace(m, quality_hint=float(q), hint_weight=HINT_WEIGHT)
            for m, q in zip(stream.zoo.models, other, strict=True)
        ]
        stream = stream._replace(zoo=Zoo(hinted))
    fixed = fixed_costs(stream, hit_rate).mean(axis=0)
    mix = float(cheapest_mix(means, fixed, floor, None) @ fixed)
    enough = [m for m in range(len(means)) if means[m] >= floor]
    best_fixed = min(float(fixed[m]) for m in enough)
    done = replay_conversations(
        stream,
        job.get("policy", "primal_dual"),
        floor,
        job["way"],
        seed=seed,
        labels=job.get("labels", 1.0),
        hit_rate=hit_rate,
    )
    oracle = oracle_cost(stream, floor, steps=25)[0] if job["way"] == "planned" else None
    return {
        **job,
        "floor": floor,
        "mix": mix,
        "best_fixed": best_fixed,
        "oracle": oracle,
        "cost": float(done.cost.mean()),
        "satisfaction": float(done.satisfied.mean()),
        "switches": done.switches(stream),
    }


def key(job):
    """Return what tells jobs apart."""
    return tuple(str(job.get(n)) for n in ("part", "seed", "share", "way", "labels", "policy"))


def interval(values):
    """Mean and half of its 95 % interval, as text; single values where they are few."""
    if not values:
        return "–"
    if len(values) < len(SEEDS):
        return " and ".join(f"{value:.2f}" for value in values)
    half = 1.96 * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.2f} ± {half:.2f}"


def tables(results):
    """Print the tables."""
    for part, title in (
        ("main", "φ = 1"),
        ("fresh", "φ = 1, streams on which nothing was chosen"),
        ("sparse", "φ = .2"),
    ):
        print(f"\n{title}: cost per turn / static mix between conversations\n")
        print("| way | " + " | ".join(f"floor {s}" for s in FLOORS) + " | floors met | switches |")
        print("|---|" + "---:|" * (len(FLOORS) + 2))
        found = [r for r in results if r["part"] == part]
        for way in WAYS:
            rows = [r for r in found if r["way"] == way]
            if rows:
                cells = [
                    interval([r["cost"] / r["mix"] for r in rows if r["share"] == s])
                    for s in FLOORS
                ]
                met = sum(r["satisfaction"] >= r["floor"] for r in rows)
                worst = min(r["satisfaction"] - r["floor"] for r in rows)
                switches = np.mean([r["switches"] for r in rows])
                print(
                    f"| {NAMES[way]} | {' | '.join(cells)} | {met} of {len(rows)}, worst "
                    f"{worst:+.4f} | {switches:.1%} |"
                )
        for name, title in (("best_fixed", "best fixed model, told"), ("oracle", "oracle")):
            cells = [
                interval([r[name] / r["mix"] for r in found if r["share"] == s and r[name]])
                for s in FLOORS
            ]
            print(f"| {title} | {' | '.join(cells)} | | |")
        print(savings(found))
    print("\nSensitivity, floor .8: Floorline's cost less\n")
    print("| variant | than stick for an hour | than ignore caches | worst satisfaction |")
    print("|---|---:|---:|---:|")
    for variant in VARIANTS:
        rows = [
            r
            for r in results
            if r["part"] == ("main" if variant == "as above" else variant)
            and r["share"] == _MIDDLE
            and r["seed"] in FEW_SEEDS
        ]
        if rows:
            cells = [saved(rows, other) for other in ("stick", "ignore")]
            ours = [r["satisfaction"] - r["floor"] for r in rows if r["way"] == "planned"]
            print(f"| {variant} | {cells[0]} | {cells[1]} | {min(ours):+.4f} |")
    print("\nOther policies, floor .8: cost per turn / static mix between conversations\n")
    print("| policy | way | cost | satisfaction less floor |")
    print("|---|---|---:|---:|")
    found = [r for r in results if r["part"] == "policies"]
    for policy in sorted({r["policy"] for r in found}):
        for way in WAYS:
            rows = [r for r in found if r["policy"] == policy and r["way"] == way]
            if rows:
                slack = np.mean([r["satisfaction"] - r["floor"] for r in rows])
                cost = interval([r["cost"] / r["mix"] for r in rows])
                print(f"| {policy} | {NAMES[way]} | {cost} | {slack:+.4f} |")


def saved(rows, other):
    """Share that Floorline saves against another way on the same streams, as ``interval``."""
    ours = {(r["seed"], r["share"]): r for r in rows if r["way"] == "planned"}
    theirs = {(r["seed"], r["share"]): r for r in rows if r["way"] == other}
    shares = [1.0 - ours[k]["cost"] / theirs[k]["cost"] for k in ours if k in theirs]
    if not shares:
        return "–"
    if len(shares) < len(SEEDS):
        return " and ".join(f"{100 * share:.0f} %" for share in shares)
    half = 1.96 * np.std(shares, ddof=1) / len(shares) ** 0.5
    return f"{100 * np.mean(shares):.0f} % ± {100 * half:.0f}"


def savings(rows):
    """Return what Floorline saves against the other ways, as a line."""
    ways = [way for way in WAYS[1:] if any(r["way"] == way for r in rows)]
    return "\nsaved against " + "; ".join(f"{NAMES[w]}: {saved(rows, w)}" for w in ways)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="+", help="main, fresh, sparse, sensitivity, policies or tables"
    )
    parser.add_argument("--out", type=Path, required=True, help="file of results, JSON lines")
    given = parser.parse_args()
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    results = [json.loads(line) for line in lines]
    done = {key(result) for result in results}
    for job in jobs(given.parts):
        if key(job) not in done:
            result = run(job)
            results.append(result)
            with given.out.open("a") as out:
                out.write(json.dumps(result) + "\n")
    if "tables" in given.parts:
        tables(results)


if __name__ == "__main__":
    main()
