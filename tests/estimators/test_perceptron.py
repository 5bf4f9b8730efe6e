import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.estimators import OnlinePerceptron


def loss(network, x, model, y):
    p = network.predict_one(x)[model]
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def test_a_step_follows_the_gradient_of_the_cross_entropy():
    """Without momentum and decay, the step is −rate/M times the numerical gradient."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=5).astype(np.float32)
    network = OnlinePerceptron(5, ["a", "b"], hidden=7, rate=1.0, momentum=0.0, decay=0.0)
    before = network.snapshot()
    network.learn_one(x, 1, 1.0)
    after = network.snapshot()
    for name in ("first_", "second_", "norm_"):
        numeric = np.zeros_like(before[name], dtype=float)
        for place in np.ndindex(*numeric.shape):
            sides = []
            for sign in (1, -1):
                moved = {k: np.copy(v) if k.endswith("_") else v for k, v in before.items()}
                moved[name][place] += sign * 1e-2
                network.restore(moved)
                sides.append(loss(network, x, 1, 1.0))
            numeric[place] = (sides[0] - sides[1]) / 2e-2
        np.testing.assert_allclose(after[name] - before[name], -numeric / 2, atol=2e-3)


def test_momentum_and_decay_are_those_of_sgd():
    network = OnlinePerceptron(2, ["a"], rate=0.1, momentum=0.5, decay=0.2)
    x = np.zeros(2, np.float32)
    # Weights of a feature that is 0 feel the decay only: v ← v/2 + w/5, w ← w − v/10.
    w, v = network.first_[:, 0].copy(), 0.0
    for _ in range(4):
        network.learn_one(x, 0, 1.0)
        v = 0.5 * v + 0.2 * w
        w = w - 0.1 * v
    np.testing.assert_allclose(network.first_[:, 0], w, rtol=1e-4)


def test_dense_and_sparse_features_give_the_same_network():
    dense, sparse = (OnlinePerceptron(30, ["a", "b"]) for _ in range(2))
    rng = np.random.default_rng(2)
    for step in range(60):
        x = np.where(rng.random(30) < 0.2, rng.normal(size=30), 0.0).astype(np.float32)
        at = np.flatnonzero(x).astype(np.int32)
        short = SparseFeatures(at, x[at], 30)
        np.testing.assert_allclose(dense.predict_one(x), sparse.predict_one(short), atol=1e-4)
        dense.learn_one(x, step % 2, float(step % 3 == 0))
        sparse.learn_one(short, step % 2, float(step % 3 == 0))


def test_models_that_stay_keep_their_output_and_others_start_anew():
    network = OnlinePerceptron(3, ["a", "b"])
    x = np.ones(3, np.float32)
    for _ in range(30):
        network.learn_one(x, 1, 1.0)
    learned = network.predict_one(x)[1]
    network.set_models(["c", "b"])
    assert network.predict_one(x)[1] == learned > 0.9
    fresh = OnlinePerceptron(3, ["c"])
    np.testing.assert_array_equal(network.second_[0], fresh.second_[0])


@given(steps=st.integers(0, 40), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_a_restored_network_learns_on_exactly(steps, seed):
    first = OnlinePerceptron(4, ["a", "b"])
    rng = np.random.default_rng(seed)
    labels = [
        (rng.normal(size=4).astype(np.float32), int(rng.integers(2)), float(rng.random() < 0.5))
        for _ in range(steps + 20)
    ]
    for label in labels[:steps]:
        first.learn_one(*label)
    twin = OnlinePerceptron(4, ["a", "b"])
    twin.restore(first.snapshot())
    for label in labels[steps:]:
        first.learn_one(*label)
        twin.learn_one(*label)
    assert pack(twin.snapshot()) == pack(first.snapshot())


@pytest.mark.parametrize(
    ("field", "value"),
    [("rate", -1), ("momentum", 1.0), ("decay", 2), ("epochs", 0), ("hidden", 1e9), ("dim", 0)],
)
def test_parameters_out_of_range_are_refused(field, value):
    given_values = {"dim": 3, field: value}
    with pytest.raises(InvalidInput, match=rf"OnlinePerceptron\.{field}"):
        OnlinePerceptron(models=["a"], **given_values)


def test_labels_that_would_poison_weights_are_refused():
    network = OnlinePerceptron(2, ["a"])
    for x, y, weight in [([np.nan, 0], 1, 1), ([0, 0], 2, 1), ([0, 0], 1, -1)]:
        with pytest.raises(InvalidInput):
            network.learn_one(np.array(x, np.float32), 0, y, weight)
