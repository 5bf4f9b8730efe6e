import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.random import CounterRng
from floorline.errors import InvalidInput
from floorline.replay.feedback import FeedbackModel

MODELS = st.builds(
    FeedbackModel,
    scope=st.sampled_from(["full", "served"]),
    share=st.floats(0, 1),
    mean_delay=st.floats(0, 1e9),
    negative_only=st.none() | st.floats(0, 1),
    noise=st.floats(0, 1),
)


@given(MODELS)
def test_the_text_of_a_model_is_parsed_to_an_equal_model(model):
    assert FeedbackModel.parse(str(model)) == model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("full", FeedbackModel()),
        ("served", FeedbackModel("served")),
        (" served + sparse:0.05 ", FeedbackModel("served", 0.05)),
        ("sparse:0.5+delayed:10", FeedbackModel("full", 0.5, 10)),
        ("negative:0.2+noisy:0.1", FeedbackModel(negative_only=0.2, noise=0.1)),
    ],
)
def test_terms_are_parsed(text, expected):
    assert FeedbackModel.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "none", "full:1", "sparse", "sparse:", "sparse:x", "full++served", "noisy=1"]
)
def test_other_texts_are_rejected_with_all_terms_in_the_error(text):
    with pytest.raises(InvalidInput, match=r"feedback is .*full, served, sparse:SHARE"):
        FeedbackModel.parse(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("sparse:1.5", "share"),
        ("sparse:nan", "share"),
        ("delayed:-1", "mean_delay"),
        ("delayed:inf", "mean_delay"),
        ("negative:2", "negative_only"),
        ("noisy:-0.1", "noise"),
    ],
)
def test_numbers_out_of_range_are_rejected_by_field(text, field):
    with pytest.raises(InvalidInput, match=rf"feedback\.{field} is .*give"):
        FeedbackModel.parse(text)


def reveal_many(text, labels, served=0, n=20_000):
    model, rng = FeedbackModel.parse(text), CounterRng(1)
    return [model.reveal(labels, served, rng.at(t)) for t in range(n)]


def test_full_feedback_reveals_the_labels_of_all_called_models_at_once():
    assert reveal_many("full", {2: 1.0, 0: 0.0}, n=1) == [[(0, 2, 1.0), (0, 0, 0.0)]]


def test_served_feedback_reveals_the_label_of_the_served_model_only():
    assert reveal_many("served", {2: 1.0, 0: 0.25}, served=0, n=1) == [[(0, 0, 0.25)]]


def test_sparse_feedback_reveals_its_share():
    revealed = reveal_many("sparse:0.05", {0: 1.0})
    assert np.mean([len(one) for one in revealed]) == pytest.approx(0.05, abs=0.006)


def test_delays_are_geometric_with_the_given_mean():
    delays = np.array([one[0].delay for one in reveal_many("delayed:20", {0: 1.0})])
    assert delays.mean() == pytest.approx(20, rel=0.04)
    assert delays.min() == 0
    assert (delays == 0).mean() == pytest.approx(1 / 21, abs=0.006)


def test_negative_only_feedback_reveals_labels_below_one_half_at_its_rate():
    assert not any(reveal_many("negative:0.3", {0: 1.0}))
    assert not any(reveal_many("negative:1", {0: 0.5}, n=100))
    revealed = reveal_many("negative:0.3+sparse:0.5", {0: 0.0})
    assert np.mean([len(one) for one in revealed]) == pytest.approx(0.15, abs=0.01)


def test_noise_inverts_its_share_of_labels():
    scores = [one[0].score for one in reveal_many("noisy:0.1", {0: 1.0})]
    assert np.mean(scores) == pytest.approx(0.9, abs=0.007)
    assert set(scores) == {0.0, 1.0}


@given(
    model=MODELS.filter(lambda model: model.negative_only is None),
    a=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    b=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_models_and_delays_of_revealed_labels_do_not_depend_on_the_labels(model, a, b, seed):
    rng = CounterRng(seed)
    revealed = [model.reveal(dict(enumerate(labels)), 1, rng.at(3)) for labels in (a, b)]
    assert [one[:2] for one in revealed[0]] == [one[:2] for one in revealed[1]]


@given(model=MODELS, labels=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_number_of_draws_does_not_depend_on_the_labels(model, labels):
    after = []
    for scores in (labels, [1.0, 1.0, 1.0]):
        rng = np.random.default_rng(1)
        model.reveal(dict(enumerate(scores)), 1, rng)
        after.append(rng.random())
    assert after[0] == after[1]
