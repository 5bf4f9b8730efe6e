import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.estimators import OnlineLogistic


def logistic_data(n, dim, seed, scale=2.0):
    """Features (n, dim) of norm about 1, labels of a logistic model, and their probabilities."""
    rng = np.random.default_rng(seed)
    coefficients = np.random.default_rng(99).normal(size=dim)
    x = (rng.normal(size=(n, dim)) / np.sqrt(dim)).astype(np.float32)
    p = 1.0 / (1.0 + np.exp(-(scale * x @ coefficients + 0.5)))
    return x, (rng.random(n) < p).astype(float), p


def calibration_error(p, y, bins=10):
    order = np.argsort(p)
    return sum(
        abs(p[part].mean() - y[part].mean()) * len(part) / len(p)
        for part in np.array_split(order, bins)
    )


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_it_learns_a_logistic_model_and_is_calibrated(optimizer):
    x, y, _ = logistic_data(4000, 10, seed=1)
    fresh, labels, true = logistic_data(2000, 10, seed=2)
    estimator = OnlineLogistic(10, ["only"], optimizer=optimizer)
    for features, label in zip(x, y, strict=True):
        estimator.learn_one(features, 0, label)
    p = np.array([estimator.predict_one(features)[0] for features in fresh])
    assert calibration_error(p, true) < 0.05
    assert np.corrcoef(p, true)[0, 1] > 0.9
    loss = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    base = labels.mean()
    assert loss < -(base * np.log(base) + (1 - base) * np.log(1 - base)) - 0.1


def test_without_a_signal_it_predicts_the_base_rate():
    rng = np.random.default_rng(0)
    estimator = OnlineLogistic(50, ["only"])
    for _ in range(3000):
        estimator.learn_one(
            rng.normal(size=50).astype(np.float32) / 7, 0, float(rng.random() < 0.8)
        )
    p = [estimator.predict_one(rng.normal(size=50).astype(np.float32) / 7)[0] for _ in range(300)]
    assert np.mean(p) == pytest.approx(0.8, abs=0.04)
    assert np.std(p) < 0.1


@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd"}])
def test_sparse_and_dense_features_give_equal_predictions(options):
    rng = np.random.default_rng(4)
    dense, sparse = (OnlineLogistic(40, ["a", "b"], **options) for _ in range(2))
    for t in range(300):
        at = np.sort(rng.choice(40, size=5, replace=False)).astype(np.int32)
        x = np.zeros(40, dtype=np.float32)
        x[at] = rng.normal(size=5)
        same = SparseFeatures(at, x[at], 40)
        np.testing.assert_allclose(dense.predict_one(x), sparse.predict_one(same), rtol=2e-3)
        label = float(rng.random() < 0.5)
        dense.learn_one(x, t % 2, label)
        sparse.learn_one(same, t % 2, label)


def test_heads_are_independent(vector):
    both, first_only = OnlineLogistic(6, ["a", "b"]), OnlineLogistic(6, ["a", "b"])
    for t in range(100):
        both.learn_one(vector(t), 0, t % 2)
        first_only.learn_one(vector(t), 0, t % 2)
        both.learn_one(vector(t), 1, 1.0)
    assert both.predict_one(vector(7))[0] == first_only.predict_one(vector(7))[0]
    assert both.predict_one(vector(7))[1] > 0.9
    assert first_only.predict_one(vector(7))[1] == 0.5


def test_a_change_of_models_keeps_known_heads_and_starts_new_ones_at_the_prior(vector):
    estimator = OnlineLogistic(6, ["a", "b"], prior=0.7)
    for t in range(50):
        estimator.learn_one(vector(t), 0, 1.0)
        estimator.learn_one(vector(t), 1, 0.0)
    a, b = estimator.predict_one(vector(3))
    estimator.set_models(["b", "new", "a"])
    assert estimator.predict_one(vector(3)).tolist() == [b, pytest.approx(0.7), a]
    estimator.set_models(["new"])
    estimator.set_models(["new", "a"])
    assert estimator.predict_one(vector(3)) == pytest.approx([0.7, 0.7])


def test_a_label_of_weight_two_counts_like_two_labels():
    repeated, weighted = OnlineLogistic(2, ["a"]), OnlineLogistic(2, ["a"])
    zeros = np.zeros(2, np.float32)
    for _ in range(100):
        weighted.learn_one(zeros, 0, 1.0, weight=2.0)
        for _ in range(2):
            repeated.learn_one(zeros, 0, 1.0)
    expected = repeated.predict_one(zeros)[0]
    assert weighted.predict_one(zeros)[0] == pytest.approx(expected, abs=0.01)


def test_a_label_of_weight_zero_changes_nothing(vector):
    estimator = OnlineLogistic(6, ["a"])
    before = estimator.predict_one(vector(0))
    estimator.learn_one(vector(0), 0, 1.0, weight=0.0)
    assert estimator.predict_one(vector(0)) == before


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=30))
def test_estimates_are_probabilities_and_a_restored_copy_learns_the_same(labels):
    estimator, twin = OnlineLogistic(6, ["a"]), OnlineLogistic(6, ["a"])
    xs = np.random.default_rng(0).normal(size=(51, 6)).astype(np.float32)
    for number, label in labels:
        estimator.learn_one(xs[number], 0, label)
    twin.restore(estimator.snapshot())
    for each in (estimator, twin):
        each.learn_one(xs[0], 0, 1.0)
        assert 0 < each.predict_one(xs[1])[0] < 1
    assert pack(twin.snapshot()) == pack(estimator.snapshot())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"optimizer": "adam"}, "optimizer"),
        ({"rate": float("nan")}, "rate"),
        ({"l2": -1}, "l2"),
        ({"prior": 0}, "prior"),
        ({"prior_weight": 0}, "prior_weight"),
    ],
)
def test_bad_options_are_rejected_by_name(options, field):
    with pytest.raises(InvalidInput, match=rf"OnlineLogistic\.{field} is "):
        OnlineLogistic(3, ["a"], **options)
