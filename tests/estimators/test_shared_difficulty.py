"""A label of one model teaches about all; what is known is exact, kept and told with its error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack, unpack
from floorline.errors import InvalidInput
from floorline.estimators import SharedDifficulty

DIM = 6
NAMES = ["small", "large"]


def requests(count, seed=0, dim=DIM):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def labels_of(x, seed=0):
    """Both models fail where the first entry is low, the small one more often."""
    rng = np.random.default_rng(seed)
    chance = np.clip(0.5 + 0.25 * x[:, :1] + [-0.1, 0.2], 0, 1)
    return (rng.random(chance.shape) < chance).astype(np.float64)


def taught(x, labels, **settings):
    estimator = SharedDifficulty(x.shape[1], NAMES, **settings)
    for request, row in zip(x, labels, strict=True):
        for model, y in enumerate(row):
            estimator.learn_one(request, model, y)
    return estimator


def test_labels_of_one_model_teach_the_difficulty_of_requests_for_the_other():
    x = requests(400)
    estimator = SharedDifficulty(DIM, NAMES)
    for request, (y, _) in zip(x, labels_of(x), strict=True):
        estimator.learn_one(request, 0, y)
    easy, hard = np.eye(DIM, dtype=np.float32)[0], -np.eye(DIM, dtype=np.float32)[0]
    assert estimator.predict_one(easy)[1] > estimator.predict_one(hard)[1] + 0.2


def test_a_history_solves_to_the_ridge_regression_that_it_is():
    """One model: the two parts of its weights add up to one ridge regression."""
    x = requests(300)
    y = labels_of(x)[:, :1]
    estimator = SharedDifficulty(DIM, ["only"], shared=5.0, prior_weight=1.0)
    estimator.learn_many(x, y)
    phi = np.column_stack([np.ones(len(x)), x])
    together = 1.0 / (1.0 / 5.0 + 1.0 / estimator.strength_)
    penalty = np.diag([1.0] + [together] * DIM)
    wanted = np.linalg.solve(phi.T @ phi + penalty, phi.T @ y[:, 0] + 0.5 * np.eye(DIM + 1)[0])
    for request in x[:20]:
        raw = wanted[0] + request @ wanted[1:]
        assert estimator.predict_one(request)[0] == pytest.approx(np.clip(raw, 0, 1), abs=1e-9)


def test_one_label_after_the_other_comes_close_to_the_exact_solution():
    x = requests(1500)
    labels = labels_of(x)
    exact = SharedDifficulty(DIM, NAMES)
    exact.learn_many(x, labels)
    online = taught(x, labels, own=exact.strength_)
    off = [np.abs(online.predict_one(z) - exact.predict_one(z)).max() for z in requests(200, 1)]
    assert np.mean(off) < 0.03


def test_means_are_calibrated():
    x = requests(4000)
    labels = labels_of(x)
    estimator = SharedDifficulty(DIM, NAMES)
    estimator.learn_many(x[:2000], labels[:2000])
    told = np.array([estimator.predict_one(z) for z in x[2000:]])
    np.testing.assert_allclose(told.mean(axis=0), labels[2000:].mean(axis=0), atol=0.03)
    bold = told[:, 1] > np.median(told[:, 1])
    assert told[bold, 1].mean() == pytest.approx(labels[2000:][bold, 1].mean(), abs=0.05)


def test_what_is_particular_to_models_is_held_back_where_a_history_shows_nothing_of_it():
    x = requests(600, dim=20)
    rng = np.random.default_rng(1)
    apart = np.column_stack([x[:, 0] > 0, x[:, 0] < 0]).astype(float)
    nothing, much = SharedDifficulty(20, NAMES), SharedDifficulty(20, NAMES)
    noise = rng.random((600, 2)) < 0.6
    nothing.learn_many(x, noise.astype(float))
    much.learn_many(x, apart)
    assert nothing.strength_ > much.strength_


def test_a_history_with_gaps_is_learned_from_what_it_has():
    x = requests(500)
    labels = labels_of(x)
    served = np.random.default_rng(2).integers(0, 2, 500)
    labels[np.arange(500), served] = np.nan
    estimator = SharedDifficulty(DIM, NAMES)
    estimator.learn_many(x, labels)
    mean = np.mean([estimator.predict_one(z) for z in x], axis=0)
    np.testing.assert_allclose(mean, np.nanmean(labels, axis=0), atol=0.05)


def test_costs_follow_the_prompt_and_are_unknown_without_a_history():
    x = requests(400)
    cost = np.column_stack([2.0 + x[:, 1], np.full(400, np.nan)])
    estimator = SharedDifficulty(DIM, NAMES)
    assert np.isnan(estimator.estimate_one(x[0])[1]).all()
    estimator.learn_many(x, labels_of(x), np.maximum(cost, 0.0))
    near = np.eye(DIM, dtype=np.float32)[1]
    _, dear = estimator.estimate_one(near)
    _, cheap = estimator.estimate_one(-near)
    assert dear[0] > cheap[0] + 1.0
    assert np.isnan(dear[1])
    estimator.learn_costs(x, 0.5 * np.maximum(cost, 0.0))
    assert estimator.estimate_one(near)[1][0] == pytest.approx(0.5 * dear[0])
    with pytest.raises(InvalidInput, match="costs"):
        estimator.learn_costs(x, -1.0 - np.abs(cost))


def test_one_label_moves_an_estimator_the_less_the_more_it_has_learned():
    x = requests(300)
    moved = []
    for count in (20, 300):
        estimator = taught(x[:count], labels_of(x)[:count])
        before = estimator.predict_one(x[0])
        estimator.learn_one(x[0], 0, 1.0 - round(float(before[0])))
        moved.append(abs(float(estimator.predict_one(x[0])[0] - before[0])))
    assert moved[1] < 0.5 * moved[0]


def test_a_model_that_joins_starts_as_good_as_the_others_and_shares_their_difficulty():
    x = requests(500)
    estimator = taught(x, labels_of(x))
    kept = estimator.predict_one(x[0])
    estimator.set_models(["new", "large", "small"])
    found = estimator.predict_one(x[0])
    assert found[[2, 1]].tolist() == kept.tolist()
    assert min(kept) - 0.1 <= found[0] <= max(kept) + 0.1
    for model in (0, 1):
        estimator.learn_one(x[0], model, 1.0)
    after = estimator.predict_one(x[0])
    assert after[0] - found[0] > 3 * (after[1] - found[1])


def test_a_known_change_moves_the_mean_at_once_and_makes_it_uncertain():
    x = requests(600)
    estimator = taught(x, labels_of(x))
    before, sd = estimator.predict_one(x[0]), estimator.own_cov_[0, 0, 0] ** 0.5
    estimator.shift(0, -0.3, labels=30.0)
    after = estimator.predict_one(x[0])
    assert after[0] == pytest.approx(max(0.0, before[0] - 0.3))
    assert after[1] == pytest.approx(before[1])
    assert estimator.own_cov_[0, 0, 0] ** 0.5 > 1.5 * sd


def test_a_label_of_weight_two_counts_as_two_labels():
    x = requests(1)[0]
    once, twice = SharedDifficulty(DIM, NAMES), SharedDifficulty(DIM, NAMES)
    once.learn_one(x, 0, 1.0, weight=2.0)
    for _ in range(2):
        twice.learn_one(x, 0, 1.0)
    assert once.predict_one(x)[0] == pytest.approx(twice.predict_one(x)[0], abs=1e-2)
    untouched = SharedDifficulty(DIM, NAMES)
    before = untouched.snapshot()
    untouched.learn_one(x, 0, 1.0, weight=0.0)
    assert pack(untouched.snapshot()) == pack(before)


LABELS = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0, 1), st.floats(0, 5), st.integers(0, 2**20)),
    max_size=25,
)


@settings(max_examples=40)
@given(LABELS)
def test_estimates_stay_probabilities_and_the_state_continues_bit_for_bit(told):
    estimator, twin = SharedDifficulty(DIM, NAMES), SharedDifficulty(DIM, NAMES)
    for model, y, weight, seed in told:
        estimator.learn_one(3 * requests(1, seed)[0], model, y, weight)
    twin.restore(unpack(pack(estimator.snapshot())))
    x = requests(1, 99)[0]
    for one in (estimator, twin):
        one.learn_one(x, 1, 1.0)
        assert ((one.predict_one(x) >= 0) & (one.predict_one(x) <= 1)).all()
        assert min(np.linalg.eigvalsh(cov)[0] for cov in one.own_cov_) > 0
    assert pack(estimator.snapshot()) == pack(twin.snapshot())


def test_sparse_features_are_the_same_request():
    estimator = taught(requests(50), labels_of(requests(50)))
    x = requests(1, 5)[0]
    sparse = SparseFeatures(np.arange(DIM, dtype=np.int32), x, DIM)
    np.testing.assert_allclose(estimator.predict_one(sparse), estimator.predict_one(x), atol=1e-6)


@pytest.mark.parametrize(
    ("x", "labels", "costs", "message"),
    [
        (requests(3), np.full((2, 2), 0.5), None, "labels.shape"),
        (requests(3)[:, :2], np.full((3, 2), 0.5), None, "features.shape"),
        (requests(3), np.full((3, 2), 1.5), None, "labels"),
        (requests(3), np.full((3, 2), 0.5), np.full((3, 2), -1.0), "costs"),
        (requests(3) * np.nan, np.full((3, 2), 0.5), None, "features"),
    ],
)
def test_refuses_a_history_that_does_not_fit(x, labels, costs, message):
    estimator = SharedDifficulty(DIM, NAMES)
    before = pack(estimator.snapshot())
    with pytest.raises(InvalidInput, match=message):
        estimator.learn_many(x, labels, costs)
    assert pack(estimator.snapshot()) == before
