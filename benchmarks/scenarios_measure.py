"""Streams of bench_scenarios.py, what happens in them, and what is kept of every replay."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from floorline.datasets import load, simulate
from floorline.encoders import make_encoder
from floorline.replay import prepare
from floorline.replay.scenarios.metrics import (
    Detections,
    references,
    running_share,
    stretches,
    until_halved,
    until_settled,
)
from floorline.replay.scenarios.streams import (
    ScenarioStream,
    joins,
    leaves,
    misleading_prompts,
    price_change,
    quality_change,
    replay_scenario,
    shared,
    steady,
    useless_prompts,
)
from floorline.sla import SLA

POINTS = 100
FLAGSHIP = "primal_dual"


class Stream(NamedTuple):
    """Rows, their floor, how many come before and when something happens.

    ``used`` is the model that the static mix serves most, ``cheap`` one that might take over,
    ``dear`` the one whose price may fall.
    """

    data: str
    floor: float
    requests: int
    past: int
    at: int
    used: str
    cheap: str
    dear: str


YI, MIXTRAL, GPT4 = "zero-one-ai/Yi-34B-Chat", "mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview"
STREAMS = {
    "BoolQ": Stream("messplus/boolq", 0.80, 3270, 0, 1500, "medium", "small", "large"),
    "SocialIQA": Stream("messplus/social_iqa", 0.44, 1954, 0, 900, "small", "small", "large"),
    "MESS+ mix": Stream("messplus", 0.70, 4617, 4617, 2000, "medium", "small", "large"),
    "RouterBench": Stream("routerbench", 0.80, 1500, 700, 700, YI, MIXTRAL, GPT4),
    "simulated": Stream("simulated", 0.80, 8000, 0, 3000, "sim-medium", "sim-small", "sim-titan"),
}
"""The two first begin without a history and their prompts tell little; the two next are warm."""


class Case(NamedTuple):
    """One thing to replay: a stream, what happens in it, and to whom."""

    stream: str
    scene: str
    variant: str
    happens: Callable[[ScenarioStream, Stream, int], ScenarioStream]
    policy: str = FLAGSHIP
    parameters: tuple[tuple[str, Any], ...] = ()
    feedback: str = "served"
    past: int | None = None


class Record(NamedTuple):
    """What is kept of one replay.

    ``stretches`` between changes, the ``references`` of each, steps of ``detections``; requests
    until the share of the model that it happened to ``halved`` and ``settled``; (POINTS,) the
    ``surplus`` Σ (s − τ), its ``share`` and the mean ``cost`` so far at ``marks``.
    """

    case: Case
    seed: int
    requests: int
    stretches: list
    references: list
    changes: tuple
    detections: list
    halved: float
    settled: float
    marks: np.ndarray
    surplus: np.ndarray
    share: np.ndarray
    cost: np.ndarray


@cache
def data_of(name):
    """One table, encoded."""
    if name == "simulated":
        table = simulate(9000)
    else:
        table = load(name, gaps="drop" if name == "routerbench" else "mask")
    return prepare(table, make_encoder("hashed"))


def staged(data, case, seed):
    """The scene of a case."""
    stream = STREAMS[case.stream]
    scene = steady(data, floor=stream.floor, requests=stream.requests, seed=seed)
    return case.happens(scene, stream, seed)


def measure(data, case, seed):
    """Replay one case on one seed."""
    with threadpool_limits(1):
        scene, seen = staged(data, case, seed), Detections()
        rows = STREAMS[case.stream].past if case.past is None else case.past
        past = scene.history(rows) if rows else None
        given = dict(
            seed=seed, feedback=case.feedback, past=past, watch=seen, **dict(case.parameters)
        )
        run = replay_scenario(scene, case.policy, **given)
        marks = np.unique(np.linspace(0, len(run.cost) - 1, POINTS).astype(int))
        model = scene.data.zoo.index(scene.model) if scene.model else -1
        change = scene.changes[0] if scene.changes else 0
        floor = scene.timeline.slas[0].floor
        return Record(
            case._replace(happens=None),
            seed,
            len(run.cost),
            stretches(scene, run),
            [references(scene, *regime) for regime in scene.regimes],
            scene.changes,
            seen.steps,
            until_halved(run, model, change) if model >= 0 else np.nan,
            until_settled(run, model, change) if model >= 0 else np.nan,
            marks,
            np.cumsum(run.satisfied - floor)[marks],
            running_share(run, model)[marks],
            (np.cumsum(run.cost) / np.arange(1, len(run.cost) + 1))[marks],
        )


def run_cases(cases, seeds, jobs, one=measure):
    """All cases on all seeds, in their order."""
    tasks = (
        delayed(one)(data_of(STREAMS[c.stream].data), c, seed) for c in cases for seed in seeds
    )
    return Parallel(n_jobs=jobs, batch_size=1)(tasks)


def nothing(scene, stream, seed):
    return scene


def quality(scene, stream, seed, *, share, who="used", back=None, slide=False):
    until = None if back is None else stream.at + round(back * (stream.requests - stream.at))
    model = getattr(stream, who)
    return quality_change(scene, model, share, stream.at, until=until, slide=slide, seed=seed)


def price(scene, stream, seed, *, who, factor):
    return price_change(scene, getattr(stream, who), factor, stream.at)


def good_joins(scene, stream, seed):
    return joins(scene, stream.used, stream.at)


def bad_joins(scene, stream, seed):
    """A model at the price of the held-out one that satisfies 60 % fewer."""
    worse = quality_change(scene, stream.used, -0.6, 0, seed=seed)
    return joins(worse, stream.used, stream.at)


def used_leaves(scene, stream, seed):
    return leaves(scene, stream.used, stream.at)


def useless(scene, stream, seed):
    return useless_prompts(scene, seed=seed)


def misleading(scene, stream, seed):
    return misleading_prompts(scene, stream.at)


SLAS = (SLA("lenient", floor=0.70), SLA("strict", floor=0.85), SLA("harder", floor=0.75))
SHARES = (0.4, 0.3, 0.3)


def several(scene, stream, seed):
    return shared(scene, SLAS, SHARES, seed=seed, harder="harder")


class SlaRecord(NamedTuple):
    """What one SLA got on one seed."""

    name: str
    variant: str
    seed: int
    floor: float
    requests: int
    above: float
    per_mix: float
    verdict: str
    marks: np.ndarray
    surplus: np.ndarray


def measure_slas(data, case, seed):
    """Replay several SLAs on one router, or one of them alone; a record for each."""
    with threadpool_limits(1):
        scene = staged(data, case, seed)
        whole = scene
        if case.variant != "shared":
            scene = scene.only(case.scene)
        held = {}
        run = replay_scenario(
            scene, case.policy, seed=seed, watch=lambda step, router: held.update(r=router)
        )
        asked = np.array(scene.timeline.sla or [case.scene] * scene.data.rows)
        found = []
        for sla in scene.timeline.slas:
            rows, own = np.flatnonzero(asked == sla.name), whole.only(sla.name)
            mix = references(own, 0, own.data.rows)["static mix"].cost
            gained = np.cumsum(run.satisfied[rows] - sla.floor)
            marks = np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))
            found.append(
                SlaRecord(
                    sla.name,
                    case.variant,
                    seed,
                    sla.floor,
                    len(rows),
                    float(gained[-1]) / len(rows),
                    float(run.cost[rows].mean()) / mix,
                    held["r"].certificate(sla.name).verdict,
                    marks,
                    gained[marks],
                )
            )
        return found


CHANGES = {
    "steady": nothing,
    "drop 15 %": partial(quality, share=-0.15),
    "drop 30 %": partial(quality, share=-0.30),
    "slide 30 %": partial(quality, share=-0.30, slide=True),
    "drop 30 %, back": partial(quality, share=-0.30, back=0.4),
    "cheap one gains": partial(quality, share=0.40, who="cheap"),
}
DRIFT = [
    Case(stream, scene, variant, happens, parameters=parameters)
    for stream in ("BoolQ", "SocialIQA", "MESS+ mix", "RouterBench")
    for scene, happens in CHANGES.items()
    for variant, parameters in (("detect", ()), ("no detection", (("detect", False),)))
]
PRICE = [
    Case(stream, scene, FLAGSHIP, partial(price, who=who, factor=factor))
    for stream in ("BoolQ", "SocialIQA", "MESS+ mix", "RouterBench")
    for scene, who, factor in (
        ("most used 5 × dearer", "used", 5.0),
        ("dear one 5 × cheaper", "dear", 0.2),
    )
]
JOIN = [
    Case(stream, scene, FLAGSHIP, happens)
    for stream in ("BoolQ", "MESS+ mix", "RouterBench")
    for scene, happens in (
        ("good one joins", good_joins),
        ("bad one joins", bad_joins),
        ("most used leaves", used_leaves),
    )
]
HEARD = {
    "all": "served",
    "φ = 0.2": "served+sparse:0.2",
    "φ = 0.05": "served+sparse:0.05",
    "φ = 0.02": "served+sparse:0.02",
    "delay 100": "served+delayed:100",
    "delay 1,000": "served+delayed:1000",
    "delay 5,000": "served+delayed:5000",
    "complaints, 50 %": "served+negative:0.5",
    "complaints, 20 %": "served+negative:0.2",
    "10 % flipped": "served+noisy:0.1",
}
FEEDBACK = [
    Case("simulated", scene, policy, nothing, policy=policy, feedback=feedback)
    for scene, feedback in HEARD.items()
    for policy in (FLAGSHIP, "sla_router")
] + [
    Case("simulated", f"complaints, {100 * rate:g} %", "told the rate", nothing,
         parameters=(("silence", "satisfied"), ("complaint_rate", rate)),
         feedback=f"served+negative:{rate}")
    for rate in (0.5, 0.2)
]  # fmt: skip
SEVERAL = [Case("simulated", "all", "shared", several)] + [
    Case("simulated", sla.name, "alone", several) for sla in SLAS
]
PASTS = {"cold": 0, "100": 100, "500": 500, "half": 4617}
STARTS = [
    Case(stream, label, FLAGSHIP, nothing, past=rows)
    for stream in ("BoolQ, half", "MESS+ mix", "RouterBench")
    for label, rows in PASTS.items()
]
PROMPTS = [
    Case(stream, scene, variant, happens, parameters=parameters)
    for stream in ("BoolQ", "MESS+ mix", "RouterBench", "simulated")
    for scene, happens in (("true", nothing), ("useless", useless), ("misleading", misleading))
    for variant, parameters in ((FLAGSHIP, ()), ("no prompts", (("prompts", False),)))
]
STREAMS["BoolQ, half"] = STREAMS["BoolQ"]._replace(requests=1635, at=800)
