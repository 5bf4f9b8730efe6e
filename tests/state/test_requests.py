import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline.core.features import SparseFeatures
from floorline.encoders import HashedNgrams
from floorline.errors import InvalidInput
from floorline.sla import SLA, Budget
from floorline.state.requests import features_of, make_request, tokens_of

ENCODER = HashedNgrams(96)


def test_features_are_those_of_the_prompt_or_the_given_ones():
    x = ENCODER.encode("Why?")
    np.testing.assert_array_equal(features_of(ENCODER, "Why?", None), x)
    given = features_of(ENCODER, "Why?", np.arange(96))
    np.testing.assert_array_equal(given, np.arange(96, dtype=np.float32))
    assert not given.flags.writeable


@pytest.mark.parametrize(
    ("prompt", "features", "message"),
    [
        (None, None, "prompt is missing: give a prompt or its features"),
        (None, np.zeros(95), "features is 'of length 95': give 96 numbers"),
        (None, np.full(96, np.inf), "features is 'holding NaN or infinity': give finite features"),
        (None, SparseFeatures(np.array([0]), np.ones(1), 7), "features is 'of length 7'"),
        (None, "text", "features is 'text': give a vector of numbers"),
    ],
)
def test_features_that_do_not_fit_are_refused(prompt, features, message):
    with pytest.raises(InvalidInput) as caught:
        features_of(ENCODER, prompt, features)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "given", "tokens"),
    [(None, None, 0), ("x" * 40, None, 10), ("x" * 40, 7, 7), (None, 0, 0), (None, 7.9, 7)],
)
def test_tokens_are_given_or_a_quarter_of_the_characters(prompt, given, tokens):
    assert tokens_of(prompt, given) == tokens


@pytest.mark.parametrize("given", [-1, np.nan, "7", True])
def test_tokens_that_are_no_number_of_tokens_are_refused(given):
    with pytest.raises(InvalidInput, match=r"input_tokens is .*: give a number of tokens from 0"):
        tokens_of("Why?", given)


@pytest.fixture
def fold(build_router):
    slas = [SLA("gold", floor=0.8), SLA("cheap", floor=0.3, budget=Budget(total=2.0, period=60.0))]
    return fold_of(build_router("cheapest", slas))


def request(fold, sla=None, *, floor=None, exclude=(), at=0.0):
    x = np.zeros(6, np.float32)
    return make_request(fold, sla, x, 5, floor=floor, needs=(), exclude=exclude, at=at)


def test_the_request_has_the_slas_floor_or_its_own(fold):
    assert request(fold)[1:7] == ("gold", 0.8, 5, None, 0.0, None)
    assert request(fold, "cheap", floor=0.5).floor == 0.5
    with pytest.raises(InvalidInput, match=r"floor is 1\.5"):
        request(fold, floor=1.5)
    with pytest.raises(InvalidInput, match="sla is 'silver': name one of: gold, cheap"):
        request(fold, "silver")


def test_the_mask_has_the_models_that_may_serve_and_that_the_budget_holds(fold):
    assert request(fold, exclude=["medium"]).allowed.tolist() == [True, False, True]
    assert request(fold, "cheap").allowed.tolist() == [True, False, False]
    ledger = fold.ledgers_["cheap"]
    ledger.reserve("small", 1.5)
    ledger.settle("small", reserved=1.5, real=1.5)
    assert request(fold, "cheap", at=59.0).allowed.tolist() == [False, False, False]
    assert request(fold, "cheap", at=60.0).allowed.tolist() == [True, False, False]
