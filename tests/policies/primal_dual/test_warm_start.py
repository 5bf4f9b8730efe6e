"""A history teaches the posterior, the estimator, the gate and the costs."""

import numpy as np
import pytest

from floorline import SLA, Model, Zoo
from floorline.errors import InvalidInput
from floorline.estimators import OnlineLogistic
from floorline.policies.base import History
from floorline.policies.primal_dual.policy import PrimalDual

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
DIM = 4


def history(count, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, DIM)).astype(np.float32)
    labels = np.column_stack([x[:, 0] > 0.0, rng.random(count) < 0.9]).astype(float)
    cost = np.array([1.0, 9.0]) * np.exp(0.3 * x[:, [1]])
    return History(list(x), labels, cost, np.zeros(count, dtype=np.int64))


def started(**given):
    policy = PrimalDual(**given)
    policy.start(ZOO, {"gold": SLA("gold", floor=0.7)}, DIM)
    return policy


@pytest.mark.parametrize("given", [{}, {"estimator": OnlineLogistic}])
def test_means_prompts_and_costs_are_known_afterwards(given):
    policy = started(**given)
    policy.warm_start(history(1500))
    np.testing.assert_allclose(policy.posterior_.mean_, [0.5, 0.9], atol=0.05)
    assert policy.posterior_.labels_.tolist() == [1500.0, 1500.0]
    assert policy.gate_.is_significant
    assert 0.0 < policy.price_curve_.price(0.7) < np.inf
    assert policy.changes_detected == 0


def test_prompts_that_cost_more_than_others_of_their_length_are_known():
    policy = started()
    policy.warm_start(history(1500))
    cheap, costly = (np.array([0.0, z, 0.0, 0.0], np.float32) for z in (-2.0, 2.0))
    assert policy._estimate(costly, 0)[1][1] > 1.5 * policy._estimate(cheap, 0)[1][1]


def test_an_empty_history_changes_nothing_and_a_bad_one_is_refused_whole():
    policy = started()
    policy.warm_start(history(0))
    before = policy.posterior_.labels_.copy()
    bad = history(20)
    bad.quality[3, 1] = 1.5
    with pytest.raises(InvalidInput, match=r"history\.quality"):
        policy.warm_start(bad)
    assert (policy.posterior_.labels_ == before).all()


def test_gaps_in_a_history_are_no_labels():
    policy, past = started(), history(200)
    past.quality[::2, 0] = np.nan
    policy.warm_start(past)
    assert policy.posterior_.labels_.tolist() == [100.0, 200.0]
