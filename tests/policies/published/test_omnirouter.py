"""Tests of OmniRouter: the floor over a batch, limits on load, single requests."""

import numpy as np
import pytest

from floorline import SLA, Model, Router, Zoo
from floorline.core.snapshots import Stateful
from floorline.optimization.floor_lp import cheapest_assignment
from floorline.policies.published.omnirouter import OmniRouter
from floorline.replay.environment import GivenFeatures

DIM = 3


class TrueProbabilities(Stateful):
    """Estimator whose predictions are right: the features are the probabilities."""

    def __init__(self, dim, models):
        self.models_ = list(models)

    def predict_one(self, x):
        return x.astype(np.float64)

    def uncertainty_one(self, x):
        return np.zeros(len(x))

    def learn_one(self, x, model, y, weight=1.0):
        pass

    def set_models(self, names):
        self.models_ = list(names)


def router(floor=0.7, **parameters):
    zoo = Zoo([Model("a", call_price=1.0), Model("b", call_price=3.0), Model("c", call_price=10.0)])
    policy = OmniRouter(estimator=TrueProbabilities, **parameters)
    return Router(zoo, policy, [SLA("s", floor=floor)], encoder=GivenFeatures(DIM, "given"))


def batch(rng, count=200):
    gains = rng.uniform(0.0, [0.0, 0.3, 0.3], size=(count, DIM)).cumsum(axis=1)
    return (rng.uniform(0.3, 0.7, size=(count, 1)) + gains * 0.65).astype(np.float32)


def decide(routes, quality):
    return routes.decide([routes.request(features=x) for x in quality])


@pytest.mark.parametrize("floor", [0.5, 0.6, 0.7])
def test_a_batch_meets_the_floor_at_nearly_minimum_cost(floor):
    quality = batch(np.random.default_rng(0))
    decisions = decide(router(floor, steps=400), quality)
    served = np.array([d.index for d in decisions])
    cost = np.tile([1.0, 3.0, 10.0], (len(quality), 1))
    rows = np.arange(len(quality))
    assert quality[rows, served].mean() >= floor - 0.02
    best = cheapest_assignment(quality.astype(float), cost, floor)
    assert cost[rows, served].sum() <= 1.15 * cost[rows, best].sum()


def test_load_limits_always_hold_and_the_rest_is_declined():
    quality = batch(np.random.default_rng(1), count=60)
    decisions = decide(router(0.7, loads={"a": 10, "b": 15, "c": 20}), quality)
    loads = {name: sum(d.model == name for d in decisions) for name in "abc"}
    assert loads == {"a": 10, "b": 15, "c": 20}
    assert sum(d.declined for d in decisions) == 15


def test_a_model_with_limit_zero_serves_no_request():
    quality = batch(np.random.default_rng(2), count=40)
    assert {d.model for d in decide(router(0.9, loads={"c": 0}), quality)} <= {"a", "b"}


def test_single_requests_meet_the_floor_on_the_mean():
    quality = batch(np.random.default_rng(3), count=400)
    routes = router(0.65)
    decisions = [routes.route(features=x) for x in quality]
    settled = [float(q[d.index]) for q, d in zip(quality, decisions, strict=True)][100:]
    assert np.mean(settled) == pytest.approx(0.65, abs=0.05)
    assert len({d.model for d in decisions}) > 1


def test_excluded_models_do_not_serve():
    routes = router(0.9)
    requests = [routes.request(features=x, exclude=["c"]) for x in batch(np.random.default_rng(4))]
    assert "c" not in {d.model for d in routes.decide(requests)}


def test_costs_in_other_units_change_no_decision():
    quality = batch(np.random.default_rng(5))

    def served(scale):
        zoo = Zoo([Model(n, call_price=p * scale) for n, p in zip("abc", (1, 3, 10), strict=True)])
        routes = Router(
            zoo,
            OmniRouter(estimator=TrueProbabilities),
            [SLA("s", floor=0.7)],
            encoder=GivenFeatures(DIM, "given"),
        )
        return [d.model for d in decide(routes, quality)]

    assert served(1.0) == served(1e-6)
