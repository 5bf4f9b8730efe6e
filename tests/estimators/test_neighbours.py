import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.estimators import NearestNeighbours


def points(n, seed, dim=4):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def brute_force(history, x, k):
    cosine = history @ x / np.linalg.norm(history, axis=1) / np.linalg.norm(x)
    return np.argsort(-cosine)[:k]


@pytest.mark.parametrize("k", [1, 5, 300])
def test_neighbours_are_those_of_brute_force(k):
    estimator = NearestNeighbours(4, ["a"], k=k)
    history = points(200, 1)
    estimator.learn_many(history, np.zeros((200, 1)))
    for x in points(50, 2):
        found = estimator.neighbours_one(x)
        expected = brute_force(history, x, k)
        assert len(set(found.tolist()) & set(expected.tolist())) >= 0.98 * len(expected)


def test_the_estimate_is_the_mean_label_of_the_neighbours():
    estimator = NearestNeighbours(4, ["a", "b"], k=5, shrink=0.0)
    history = points(100, 3)
    labels = np.random.default_rng(4).random((100, 2)).astype(np.float32)
    estimator.learn_many(history, labels)
    for x in points(20, 5):
        expected = labels[brute_force(history, x, 5)].mean(axis=0)
        np.testing.assert_allclose(estimator.predict_one(x), expected, rtol=1e-5)


def test_unknown_labels_are_skipped_and_models_without_labels_get_the_prior():
    estimator = NearestNeighbours(2, ["a", "b", "c"], k=3, shrink=0.0, prior=0.3)
    history = np.array([[1, 0.0], [1, 0.1], [1, 0.2]], np.float32)
    labels = np.array([[1, np.nan, np.nan], [np.nan, 0.5, np.nan], [0, np.nan, np.nan]])
    estimator.learn_many(history, labels)
    assert estimator.predict_one(history[0]) == pytest.approx([0.5, 0.5, 0.3])


def test_shrinkage_moves_the_estimate_towards_the_overall_mean():
    def estimate(shrink):
        estimator = NearestNeighbours(2, ["a"], k=1, shrink=shrink)
        estimator.learn_many(np.array([[1, 0], [0, 1]], np.float32), np.array([[1.0], [0.0]]))
        return estimator.predict_one(np.array([1, 0], np.float32))[0]

    assert estimate(0.0) == 1.0
    assert estimate(1.0) == pytest.approx(0.75)
    assert 0.5 < estimate(9.0) < estimate(1.0)


def test_prediction_before_any_label_is_the_prior():
    estimator = NearestNeighbours(3, ["a"], prior=0.4)
    assert estimator.predict_one(np.ones(3, np.float32)) == pytest.approx([0.4])
    assert len(estimator.neighbours_one(np.ones(3, np.float32))) == 0


def test_zero_features_can_be_learned_and_predicted():
    estimator = NearestNeighbours(3, ["a"], k=2)
    zeros = np.zeros(3, np.float32)
    for x in (zeros, np.eye(3, dtype=np.float32)[0], zeros):
        estimator.learn_one(x, 0, 1.0)
    assert np.isfinite(estimator.predict_one(zeros)).all()


def test_sparse_and_dense_features_give_equal_predictions():
    dense, sparse = NearestNeighbours(4, ["a"], k=2), NearestNeighbours(4, ["a"], k=2)
    at = np.array([1, 3], np.int32)
    for t, values in enumerate(points(30, 6, 2)):
        x = np.zeros(4, np.float32)
        x[at] = values
        dense.learn_one(x, 0, t % 2)
        sparse.learn_one(SparseFeatures(at, values, 4), 0, t % 2)
        assert dense.predict_one(x) == sparse.predict_one(SparseFeatures(at, values, 4))
    assert pack(dense.snapshot()) == pack(sparse.snapshot())


def test_labels_of_one_request_share_one_row():
    estimator = NearestNeighbours(4, ["a", "b"])
    for x in points(3, 7):
        estimator.learn_one(x, 0, 1.0)
        estimator.learn_one(x, 1, 0.0)
    assert estimator.size_ == 3
    assert estimator.labels_[:3].tolist() == [[1.0, 0.0]] * 3


LABELS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from([0.0, 0.25, 1.0])),
    min_size=1,
    max_size=40,
)
PROMPTS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], np.float32)


@given(sent=LABELS, cut=st.integers(0, 40), corrected=st.sets(st.integers(0, 39)))
@settings(max_examples=60)
def test_every_label_is_kept_however_often_a_prompt_repeats(sent, cut, corrected):
    def build():
        return NearestNeighbours(4, ["a", "b"], k=1, shrink=0.0, prior=0.0)

    estimator, told = build(), {}
    for position, (prompt, model, label) in enumerate(sent):
        if position == cut:
            twin = build()
            twin.restore(estimator.snapshot())
            estimator = twin
        # Equal prompts come at once and later, and in features of another length.
        x = PROMPTS[prompt] * (1 + position % 2)
        estimator.learn_one(x, model, label)
        told.setdefault((prompt, model), []).append(label)
        if position in corrected:
            estimator.correct_one(x, model, label, 0.5)
            told[prompt, model][-1] = 0.5
    kept = estimator.labels_[: estimator.size_]
    assert np.isfinite(kept).sum() == len(sent)
    for (prompt, model), labels in told.items():
        assert estimator.predict_one(PROMPTS[prompt])[model] == pytest.approx(np.mean(labels))


def test_five_prompts_in_runs_keep_all_of_their_500_labels():
    estimator = NearestNeighbours(4, ["a"], k=5, shrink=0.0)
    labels = np.random.default_rng(3).random(500) < 0.7
    prompts = points(5, 1)
    for number, label in enumerate(labels.tolist()):
        estimator.learn_one(prompts[number // 100], 0, float(label))
    assert np.isfinite(estimator.labels_[: estimator.size_]).sum() == 500
    for number, x in enumerate(prompts):
        expected = labels[100 * number : 100 * (number + 1)].mean()
        assert estimator.predict_one(x) == pytest.approx([expected])


@pytest.mark.parametrize("copies_first", [True, False])
def test_many_equal_prompts_do_not_hide_the_other_neighbours(copies_first):
    others, copies = points(500, 12, dim=16), np.repeat(points(1, 13, dim=16), 1500, axis=0)
    history = np.concatenate([copies, others] if copies_first else [others, copies])
    estimator = NearestNeighbours(16, ["a"], k=5)
    estimator.learn_many(history, np.zeros((2000, 1)))
    found = 0
    for x in others[:100] + 0.05 * points(100, 14, dim=16):
        expected = brute_force(history, x, 5)
        found += len(set(estimator.neighbours_one(x).tolist()) & set(expected.tolist()))
    assert found >= 490


def test_a_correction_of_a_deleted_label_adds_the_new_one():
    estimator = NearestNeighbours(4, ["a"], k=1, capacity=10, shrink=0.0)
    history = points(11, 8)
    for x in history:
        estimator.learn_one(x, 0, 0.0)
    estimator.correct_one(history[0], 0, 0.0, 1.0)
    assert estimator.predict_one(history[0]) == pytest.approx([1.0])
    estimator.correct_one(history[0], 0, 1.0, 0.25, weight=0.0)
    assert estimator.predict_one(history[0]) == pytest.approx([1.0])


def test_a_full_history_deletes_its_older_half():
    estimator = NearestNeighbours(4, ["a"], k=1, capacity=10)
    history = points(11, 8)
    for t, x in enumerate(history):
        estimator.learn_one(x, 0, float(t == 10))
    assert estimator.size_ == 6
    np.testing.assert_array_equal(estimator.features_[:6], history[5:])
    assert estimator.neighbours_one(history[10]).tolist() == [5]


def test_a_history_beyond_capacity_keeps_its_end():
    estimator = NearestNeighbours(4, ["a"], capacity=10)
    history = points(35, 9)
    estimator.learn_many(history, np.zeros((35, 1)))
    np.testing.assert_array_equal(estimator.features_[: estimator.size_], history[25:])


@given(cut=st.integers(0, 60), capacity=st.sampled_from([10, 37, 1000]), many=st.booleans())
@settings(max_examples=30)
def test_a_restored_history_gives_equal_predictions_and_learns_the_same(cut, capacity, many):
    def build():
        return NearestNeighbours(4, ["a", "b"], k=3, capacity=capacity)

    estimator, twin = build(), build()
    history = points(80, 10)
    if many:
        estimator.learn_many(history[:cut], np.tile([[1.0, np.nan]], (cut, 1)))
    else:
        for t in range(cut):
            estimator.learn_one(history[t], t % 2, t % 3 / 2)
    twin.restore(estimator.snapshot())
    for t in range(cut, 80):
        for each in (estimator, twin):
            each.learn_one(history[t], t % 2, t % 3 / 2)
        x = history[(7 * t) % 80]
        assert estimator.neighbours_one(x).tolist() == twin.neighbours_one(x).tolist()
        assert estimator.predict_one(x).tolist() == twin.predict_one(x).tolist()
    assert pack(twin.snapshot()) == pack(estimator.snapshot())


def test_a_change_of_models_keeps_labels_by_name():
    estimator = NearestNeighbours(4, ["a", "b"], k=1, shrink=0.0)
    x = points(1, 11)[0]
    estimator.learn_one(x, 0, 1.0)
    estimator.learn_one(x, 1, 0.0)
    estimator.set_models(["b", "new", "a"])
    assert estimator.predict_one(x) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("x", "labels", "field"),
    [
        (np.ones((2, 3)), np.ones((2, 1)), "history.features.shape"),
        (np.ones((2, 4)), np.ones((2, 2)), "history.labels.shape"),
        (np.full((2, 4), np.inf), np.ones((2, 1)), "features"),
        (np.ones((2, 4)), np.full((2, 1), 2.0), "history.labels"),
        (np.ones((2, 4)), np.full((2, 1), np.inf), "history.labels"),
    ],
)
def test_a_bad_history_is_rejected_and_changes_nothing(x, labels, field):
    estimator = NearestNeighbours(4, ["a"])
    with pytest.raises(InvalidInput, match=field):
        estimator.learn_many(x, labels)
    assert estimator.size_ == 0


def test_one_search_gives_mean_labels_and_mean_costs():
    estimator = NearestNeighbours(4, ["a", "b"], k=5, shrink=0.0)
    history, rng = points(100, 3), np.random.default_rng(4)
    labels, costs = rng.random((100, 2)), rng.lognormal(-9, 1, (100, 2))
    costs[::2, 1] = np.nan
    estimator.learn_many(history, labels, costs)
    for x in points(20, 5):
        near = estimator.neighbours_one(x)
        quality, cost = estimator.estimate_one(x)
        np.testing.assert_array_equal(quality, estimator.predict_one(x))
        assert cost[0] == pytest.approx(costs[near, 0].mean(), rel=1e-6)
        paid = costs[near, 1][~np.isnan(costs[near, 1])]
        expected = paid.mean() if len(paid) else np.nan
        assert cost[1] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_costs_are_restored_deleted_and_reordered_with_their_models():
    estimator = NearestNeighbours(4, ["a", "b"], k=3, capacity=40, shrink=0.0)
    for start in range(0, 120, 30):
        x = points(30, start)
        estimator.learn_many(x, np.zeros((30, 2)), np.full((30, 2), [start, 2.0 * start]))
    assert estimator.size_ <= 40
    twin = NearestNeighbours(4, ["a", "b"], k=3, capacity=40, shrink=0.0)
    twin.restore(estimator.snapshot())
    for x in points(10, 99):
        cost = estimator.estimate_one(x)[1]
        np.testing.assert_array_equal(twin.estimate_one(x)[1], cost)
        twin.set_models(["b", "new", "a"])
        np.testing.assert_array_equal(twin.estimate_one(x)[1], [cost[1], np.nan, cost[0]])
        twin.set_models(["a", "b"])
        estimator.set_models(["b", "a"])
        estimator.set_models(["a", "b"])


def test_without_costs_or_history_there_is_no_cost():
    estimator = NearestNeighbours(4, ["a"])
    assert np.isnan(estimator.estimate_one(points(1, 0)[0])[1]).all()
    estimator.learn_one(points(1, 0)[0], 0, 1.0)
    assert np.isnan(estimator.estimate_one(points(1, 0)[0])[1]).all()


@pytest.mark.parametrize("bad", [-1.0, np.inf])
def test_bad_costs_of_a_history_are_rejected(bad):
    estimator = NearestNeighbours(4, ["a"])
    before = pack(estimator.snapshot())
    with pytest.raises(InvalidInput, match="costs"):
        estimator.learn_many(points(2, 0), np.zeros((2, 1)), np.array([[1.0], [bad]]))
    assert pack(estimator.snapshot()) == before


def test_exact_search_equals_brute_force():
    estimator = NearestNeighbours(4, ["a"], k=7, exact=True)
    history = points(300, 6)
    estimator.learn_many(history, np.zeros((300, 1)))
    for x in points(20, 7):
        found = estimator.neighbours_one(x)
        assert found.tolist() == brute_force(history, x, 7).tolist()
