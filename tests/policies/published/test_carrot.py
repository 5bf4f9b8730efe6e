import contextlib

import numpy as np
import pytest

from floorline.errors import BudgetExhausted
from floorline.policies import Request, make_policy
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo

ZOO = Zoo([Model("a", call_price=1.0), Model("b", call_price=4.0), Model("c", call_price=15.0)])


class TrueProbabilities:
    """Estimator whose predictions are right: the features are the probabilities."""

    def __init__(self, dim, models):
        self.models = list(models)

    def predict_one(self, x):
        return np.asarray(x, dtype=np.float64)

    def uncertainty_one(self, x):
        return np.zeros(len(x))

    def learn_one(self, x, model, y, weight=1.0):
        pass

    def set_models(self, names):
        pass

    def snapshot(self):
        return {}

    def restore(self, state):
        pass


def requests(n, seed=0):
    """(n, 3) probabilities of satisfaction, increasing with the price."""
    return np.sort(np.random.default_rng(seed).random((n, 3)), axis=1).astype(np.float32)


def served(router, xs):
    return np.array([router.route(features=x).index for x in xs])


@pytest.mark.parametrize("name", ["carrot", "routellm"])
@pytest.mark.parametrize("floor", [0.35, 0.5, 0.65])
def test_with_right_estimates_the_mean_is_close_to_the_floor(name, floor, build_router):
    policy = make_policy(name, c=0.0, estimator=TrueProbabilities)
    router = build_router(policy, [SLA("gold", floor=floor)], zoo=ZOO, dim=3)
    xs = requests(3000)
    models = served(router, xs)
    assert xs[np.arange(3000), models].mean() == pytest.approx(floor, abs=0.02)


def test_carrot_costs_less_than_a_static_mix_that_meets_the_same_floor(build_router):
    floor, xs = 0.6, requests(3000)
    prices = np.array([1.0, 4.0, 15.0])
    policy = make_policy("carrot", c=0.0, estimator=TrueProbabilities)
    models = served(build_router(policy, [SLA("gold", floor=floor)], zoo=ZOO, dim=3), xs)
    means = {"mean_quality": xs.mean(axis=0), "mean_cost": prices}
    mix = make_policy("static_mix", **means)
    mixed = served(build_router(mix, [SLA("gold", floor=floor)], zoo=ZOO, dim=3), xs)
    assert prices[models].mean() < 0.9 * prices[mixed].mean()


def test_an_infeasible_floor_serves_the_best_estimate(build_router):
    policy = make_policy("carrot", c=0.0, estimator=TrueProbabilities)
    router = build_router(policy, [SLA("gold", floor=1.0)], zoo=ZOO, dim=3)
    xs = requests(50)
    assert (served(router, xs)[1:] == xs.argmax(axis=1)[1:]).all()


def test_routellm_serves_the_strong_model_above_one_threshold_of_its_gain(build_router):
    policy = make_policy("routellm", c=0.0, estimator=TrueProbabilities)
    build_router(policy, [SLA("gold", floor=0.5)], zoo=ZOO, dim=3)
    policy.price_["gold"] = (15.0 - 1.0) / 0.4
    xs = requests(500)
    rng = np.random.default_rng(0)
    models = np.array([policy.decide(Request(x, "gold", 0.5), rng).model for x in xs])
    gain = xs[:, 2] - xs[:, 0]
    assert set(models) == {0, 2}
    np.testing.assert_array_equal(models == 2, gain > 0.4)


@pytest.mark.parametrize("floor", [0.2, 0.99])
def test_routellm_falls_back_to_what_is_allowed(floor, build_router):
    policy = make_policy("routellm", c=0.0, estimator=TrueProbabilities)
    router = build_router(policy, [SLA("gold", floor=floor)], zoo=ZOO, dim=3)
    for x in requests(20):
        assert router.route(features=x, exclude=["a", "c"]).model == "b"


def test_every_sla_has_its_own_price(build_router):
    policy = make_policy("carrot", c=0.0, estimator=TrueProbabilities)
    slas = [SLA("low", floor=0.3), SLA("high", floor=0.65)]
    router = build_router(policy, slas, zoo=ZOO, dim=3)
    xs = requests(2000)
    satisfaction = {"low": [], "high": []}
    for t, x in enumerate(xs):
        # The SLAs alternate, so every 50th request belongs to the same one.
        name = ("low", "high")[t % 2]
        satisfaction[name].append(x[router.route(features=x, sla=name).index])
    for name, floor in (("low", 0.3), ("high", 0.65)):
        latest = satisfaction[name][200:]
        assert np.mean(latest) == pytest.approx(floor, abs=0.03)
    solved = dict(router.policy.price_)
    for t in range(200):
        router.route(features=np.array([0.1, 0.2, 0.3]), sla=("low", "high")[t % 2])
    assert router.policy.price_["low"] != solved["low"]
    assert router.policy.price_["high"] != solved["high"]


def test_declined_requests_do_not_change_the_price(build_router):
    policy = make_policy("carrot", c=0.0, estimator=TrueProbabilities, every=1)
    sla = SLA("gold", floor=0.5, budget=Budget(total=40.0))
    router = build_router(policy, [sla], zoo=ZOO, dim=3)
    for x in requests(30):
        with contextlib.suppress(BudgetExhausted):
            router.route(features=x)
    price = policy.price_["gold"]
    assert router.status().declined > 0
    for x in requests(30, seed=1):
        with pytest.raises(BudgetExhausted):
            router.route(features=x, exclude=["a"])
    assert policy.price_["gold"] == price
