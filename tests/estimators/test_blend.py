"""A blend is its members' weighted mean, and learns through all of them."""

import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.estimators import Blend, OnlineLogistic, RunningMean


def test_predicts_the_weighted_mean_and_teaches_every_member():
    members = [RunningMean(2, ["a", "b"]), OnlineLogistic(2, ["a", "b"])]
    blend = Blend(2, ["a", "b"], members=members, weights=[1.0, 3.0])
    x = np.array([0.5, -1.0], np.float32)
    for _ in range(20):
        blend.learn_one(x, 1, 1.0)
    apart = [member.predict_one(x) for member in members]
    np.testing.assert_allclose(blend.predict_one(x), 0.25 * apart[0] + 0.75 * apart[1])
    assert blend.predict_one(x)[1] > 0.7


def test_default_pair_survives_a_snapshot_and_a_change_of_models():
    rng = np.random.default_rng(0)
    blend, other = Blend(3, ["a", "b"]), Blend(3, ["a", "b"])
    for _ in range(30):
        blend.learn_one(rng.normal(size=3).astype(np.float32), 0, float(rng.random() < 0.7))
    other.restore(blend.snapshot())
    x = rng.normal(size=3).astype(np.float32)
    np.testing.assert_array_equal(blend.predict_one(x), other.predict_one(x))
    before = blend.predict_one(x)[0]
    blend.set_models(["new", "a"])
    assert blend.predict_one(x)[1] == before


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -2.0]])
def test_refuses_weights_that_do_not_fit(weights):
    members = [RunningMean(1, ["a"]), RunningMean(1, ["a"])]
    with pytest.raises(InvalidInput, match="weights"):
        Blend(1, ["a"], members=members, weights=weights)


def test_every_member_corrects_a_label():
    member = RunningMean(1, ["a"])
    blend, x = Blend(1, ["a"], members=[member]), np.ones(1, np.float32)
    blend.learn_one(x, 0, 1.0)
    blend.correct_one(x, 0, 1.0, 0.0)
    assert member.sum_[0] == pytest.approx(1.0)
    assert member.weight_[0] == pytest.approx(3.0)
