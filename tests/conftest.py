import gc
import inspect
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import settings

from floorline.errors import FloorlineError, InvalidInput, MissingExtra
from floorline.estimators.network import TrainedNetwork, Weights
from floorline.events import Feedback, Outcome, encode_event
from floorline.policies import POLICIES, make_policy
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.state.event_log import MemoryLog
from floorline.zoo import Model, Zoo
from tests.support.postgres import empty_postgres, postgres

__all__ = ["empty_postgres", "postgres"]

# Machines that run the tests are shared; slowness is not a failure.
settings.register_profile("floorline", deadline=None)
settings.load_profile("floorline")

DIM = 6
STREAM = 400


def pytest_collection_finish():
    """Leave what all tests share out of every later collection, which takes .4 s with it."""
    gc.collect()
    gc.freeze()


class Vectors:
    """Encoder of routers that are given features."""

    fingerprint = "vectors"

    def __init__(self, dim=DIM):
        self.dim = dim

    def encode(self, prompt):
        raise InvalidInput("prompt", prompt, "give features")

    def encode_batch(self, prompts: Sequence[object]):
        raise InvalidInput("prompts", prompts, "give features")


def three_models():
    return Zoo(
        [
            Model("small", call_price=1.0, output_price=1000.0),
            Model("medium", call_price=4.0),
            Model("large", call_price=20.0),
        ]
    )


def knowledge(policy):
    """What a policy may be told of a stream of ``STREAM`` requests to three models."""
    rng = np.random.default_rng(5)
    quality = (rng.random((STREAM, 3)) < [0.4, 0.65, 0.9]).astype(float)
    cost = rng.random((STREAM, 3)) * [2.0, 8.0, 40.0]
    return {
        "feedback": {},
        "features": {
            "features": np.array([_vector(t) for t in range(STREAM)]),
            "input_tokens": rng.integers(0, 1000, STREAM),
        },
        "means": {"mean_quality": quality.mean(axis=0), "mean_cost": cost.mean(axis=0)},
        "labels": {"quality": quality, "cost": cost},
    }[POLICIES[policy].knows]


@pytest.fixture(scope="session")
def zoo():
    return three_models()


@pytest.fixture(scope="session")
def build_policy():
    """Build a built-in policy by name, told what it may know; it explores often if it can."""

    def build(name, **parameters):
        if "c" in inspect.signature(POLICIES[name]).parameters:
            parameters = {"c": 0.5, **parameters}
        try:
            return make_policy(name, **knowledge(name), **parameters)
        except MissingExtra as missing:
            pytest.skip(str(missing))

    return build


@pytest.fixture(scope="session")
def build_router(build_policy):
    """Build a router over features of length ``DIM``; equal arguments give equal routers."""

    def build(policy="mess_plus", slas=None, *, zoo=None, seed=3, memory=1000, dim=DIM, **kwargs):
        if slas is None:
            slas = [SLA("gold", floor=0.8)]
        if isinstance(policy, str):
            policy = build_policy(policy)
        return Router(
            three_models() if zoo is None else zoo,
            policy,
            slas,
            encoder=Vectors(dim),
            seed=seed,
            memory=memory,
            **{"log": MemoryLog(), "clock": lambda: 0.0, "id_prefix": f"d{seed:x}"} | kwargs,
        )

    return build


def _vector(number, dim=DIM):
    return np.random.default_rng(number).normal(size=dim).astype(np.float32)


@pytest.fixture(scope="session")
def vector():
    """(DIM,) features of request ``number``."""
    return _vector


def _step(router, step, made):
    kind, *values = step
    if kind == "route":
        sla, floor, number, tokens, exclude = values
        names = list(router.slas)
        made.append(
            router.route(
                sla=names[sla % len(names)],
                floor=floor,
                features=_vector(number),
                input_tokens=tokens,
                exclude=[] if exclude is None else [router.zoo.names[exclude % len(router.zoo)]],
                at=float(len(made)),
            )
        )
        return encode_event(made[-1])
    if kind in ("outcome", "feedback"):
        back, which, *rest = values
        if not made:
            return b"nothing made"
        decision = made[-1 - back % len(made)]
        model = decision.called[which % len(decision.called)]
        if kind == "outcome":
            cost, tokens, latency = rest
            return router.outcome(
                decision.id, model=model, cost=cost, output_tokens=tokens, latency=latency
            )
        return router.feedback(decision.id, score=rest[0], model=model)
    if kind == "price":
        position, price = values
        old = router.zoo.models[position % len(router.zoo)]
        return router.add_model(Model(old.name, call_price=price, output_price=old.output_price))
    if kind == "add":
        return router.add_model(Model(f"new{values[0]}", call_price=float(values[0])))
    if kind == "remove":
        return router.remove_model(router.zoo.names[values[0] % len(router.zoo)])
    if kind == "promise":
        name, floor, total = values
        budget = None if total is None else Budget(total=total, period=20.0)
        return router.set_sla(SLA(name, floor=floor, budget=budget, label_window=5))
    if kind == "withdraw":
        return router.remove_sla(values[0])
    raise AssertionError(kind)


@pytest.fixture(scope="session")
def live():
    """Let a router live through steps; returns what each one gave, errors by their text."""

    def play(router, steps, made=None):
        made = [] if made is None else made
        heard = []
        for step in steps:
            try:
                heard.append(_step(router, step, made))
            except FloorlineError as error:
                heard.append(f"{type(error).__name__}: {error}")
        return heard

    return play


@pytest.fixture(scope="session")
def random_steps():
    """Draw steps that suit what a policy knows."""

    def draw(count, seed, knows="feedback"):
        rng = np.random.default_rng(seed)
        kinds = {"route": 10, "outcome": 9, "feedback": 9, "price": 0.3}
        if knows != "labels":
            kinds |= {"withdraw": 0.3}
        kinds |= {"promise": 0.5}
        if knows == "feedback":
            kinds |= {"add": 0.2, "remove": 0.15}
        weights = np.array(list(kinds.values()))
        steps = []
        for kind in rng.choice(list(kinds), size=count, p=weights / weights.sum()).tolist():
            n = [int(v) for v in rng.integers(0, 1000, size=4)]
            u = float(rng.random())
            name = "gold" if knows == "labels" else ("gold", "silver")[n[3] % 2]
            steps.append(
                {
                    "route": (
                        n[0],
                        round(u, 2) if n[1] % 3 == 0 else None,
                        n[2],
                        n[3],
                        n[1] if n[3] % 5 == 0 else None,
                    ),
                    "outcome": (
                        n[0] % 7,
                        n[1],
                        30 * u,
                        n[2] if n[3] % 2 else None,
                        u if n[3] % 3 else None,
                    ),
                    "feedback": (n[0] % 9, n[1], float(u < 0.6) if n[2] % 3 else u),
                    "price": (n[0], 20 * u),
                    "add": (n[0] % 4,),
                    "remove": (n[0],),
                    "promise": (name, round(u, 2), 2000 * u if n[0] % 2 else None),
                    "withdraw": (name,),
                }[kind]
            )
            steps[-1] = (kind, *steps[-1])
        return steps

    return draw


@pytest.fixture(scope="session")
def some_life(live, random_steps):
    """Let a router live through random steps, after routing some requests normally."""

    def play(router, count, seed, knows="feedback"):
        return live(router, random_steps(count, seed, knows))

    return play


@pytest.fixture(scope="session")
def outcome_of():
    """Real costs of all calls of a decision, by model."""

    def make(decision, costs):
        return [
            Outcome(decision=decision.id, model=name, cost=costs[name]) for name in decision.called
        ]

    return make


@pytest.fixture(scope="session")
def feedback_of():
    def make(decision, score, model=None):
        return Feedback(decision=decision.id, model=model or decision.model, score=score)

    return make


@pytest.fixture(scope="session")
def random_network():
    """A network of random weights over features of length DIM."""

    def build(models=("small", "medium", "large"), dim=DIM, encoder="vectors", seed=0):
        rng, units = np.random.default_rng(seed), 8
        shapes = {
            "encoder_weight": (units, dim),
            "encoder_bias": (units,),
            "quality_weight": (len(models), units),
            "quality_bias": (len(models),),
            "first_weight": (units, units + 2),
            "first_bias": (units,),
            "first_gate": (units, 2),
            "second_weight": (units, units),
            "second_bias": (units,),
            "second_gate": (units, 2),
            "beta_weight": (2, units),
            "beta_bias": (2,),
            "boost": (len(models),),
            "exponent": (1,),
        }
        drawn = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
        cost = np.linspace(0.0, 1.0, len(models), dtype=np.float32)
        targets = np.array([0.4, 0.9], dtype=np.float32)
        return TrainedNetwork(Weights(**drawn, cost=cost, targets=targets), tuple(models), encoder)

    return build
