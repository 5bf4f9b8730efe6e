import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.estimators import RunningMean

X = np.zeros(2, np.float32)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), max_size=30))
def test_prediction_is_the_weighted_mean_of_labels_and_prior(labels):
    estimator = RunningMean(2, ["a", "b"], prior=0.25, prior_weight=2.0)
    for y, weight in labels:
        estimator.learn_one(X, 1, y, weight)
    total = sum(y * w for y, w in labels) + 0.5
    assert estimator.predict_one(X) == pytest.approx(
        [0.25, total / (sum(w for _, w in labels) + 2.0)]
    )


def test_a_change_of_models_keeps_known_means():
    estimator = RunningMean(2, ["a", "b"])
    estimator.learn_one(X, 0, 1.0)
    estimator.set_models(["new", "a"])
    assert estimator.predict_one(X) == pytest.approx([0.5, 2 / 3])


def test_a_corrected_label_counts_once():
    corrected, told = RunningMean(2, ["a", "b"]), RunningMean(2, ["a", "b"])
    corrected.learn_one(X, 0, 1.0, weight=2.0)
    corrected.correct_one(X, 0, 1.0, 0.25, weight=2.0)
    told.learn_one(X, 0, 0.25, weight=2.0)
    assert corrected.predict_one(X) == pytest.approx(told.predict_one(X))
