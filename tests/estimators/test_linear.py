import numpy as np
import pytest

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.estimators.linear import TrainedLinear


@pytest.fixture
def trained():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3)).astype(np.float32)
    truth = 1 / (1 + np.exp(-2 * x[:, 0] + 1))
    labels = np.column_stack([rng.random(2000) < truth, np.ones(2000), np.full(2000, np.nan)])
    costs = np.column_stack([1e-4 * (5 + x[:, 1]), np.full(2000, np.nan), np.zeros(2000)])
    estimator = TrainedLinear(3, ["a", "b", "c"], c=10.0)
    estimator.learn_many(x, labels.astype(float), costs)
    return estimator


def test_fit_recovers_the_true_probabilities_and_costs(trained):
    for x in np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32):
        quality, cost = trained.estimate_one(x)
        assert quality[0] == pytest.approx(1 / (1 + np.exp(-2 * x[0] + 1)), abs=0.06)
        assert cost[0] == pytest.approx(1e-4 * (5 + x[1]), rel=0.02)


def test_models_with_equal_missing_or_no_labels_and_costs(trained):
    quality, cost = trained.estimate_one(np.ones(3, np.float32))
    assert quality[1] == pytest.approx(2001 / 2002)
    assert quality[2] == 0.5
    assert np.isnan(cost[1])
    assert cost[2] == 0.0


def test_fractional_labels_count_as_weighted_positives_and_negatives():
    x = np.zeros((100, 1), np.float32)
    estimator = TrainedLinear(1, ["a"])
    estimator.learn_many(x, np.full((100, 1), 0.7), np.ones((100, 1)))
    assert estimator.predict_one(x[0])[0] == pytest.approx(0.7, abs=1e-3)


def test_sparse_features_and_restored_copies_give_equal_predictions(trained):
    x = np.array([0.0, 2.0, -1.0], np.float32)
    sparse = SparseFeatures(np.array([1, 2], np.int32), x[1:], 3)
    np.testing.assert_allclose(trained.predict_one(sparse), trained.predict_one(x), rtol=1e-6)
    twin = TrainedLinear(3, ["a", "b", "c"])
    twin.restore(trained.snapshot())
    assert pack(twin.snapshot()) == pack(trained.snapshot())
    np.testing.assert_array_equal(twin.predict_one(x), trained.predict_one(x))


def test_set_models_keeps_known_weights_and_adds_untrained_models(trained):
    x = np.ones(3, np.float32)
    before = trained.predict_one(x)
    trained.set_models(["new", "a"])
    quality, cost = trained.estimate_one(x)
    assert quality.tolist() == [0.5, before[0]]
    assert np.isnan(cost[0])


def test_learn_one_checks_the_label_and_changes_nothing(trained):
    before = pack(trained.snapshot())
    trained.learn_one(np.ones(3, np.float32), 0, 1.0)
    assert pack(trained.snapshot()) == before
    with pytest.raises(InvalidInput):
        trained.learn_one(np.ones(3, np.float32), 0, 2.0)
