"""The surplus is doubly robust, settles models that left, and keeps its band."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.guarantees.guard import guard_surplus
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

CONFIG = PrimalDualConfig()


def test_surplus_of_missing_labels_is_that_of_the_labelled():
    account = SurplusEstimator(["a", "b"], CONFIG)
    for number in range(1000):
        account.serve(0, 0.5)
        if number % 5 == 0:
            account.label(0, float(number % 10 == 0))
    surplus, error = account.surplus(np.array([0.5, 0.5]), 0.25)
    assert surplus == pytest.approx(0.0, abs=1e-9)
    assert 20.0 < error < 40.0
    account.label(0, 1.0, previous=0.0)
    assert account.surplus(np.array([0.5, 0.5]), 0.25)[0] > 1.0


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_missing_labels_count_at_the_mean_of_what_is_known(models, seed):
    rng = np.random.default_rng(seed)
    account, mean = SurplusEstimator([f"m{m}" for m in range(models)], CONFIG), rng.random(models)
    account.served_ = rng.integers(0, 50, models).astype(float)
    account.labels_ = rng.integers(0, 50, models).astype(float)
    account.sum_ = account.labels_ * rng.random(models)
    missing = np.maximum(account.served_ - account.labels_, 0.0)
    weight = account.labels_ + CONFIG.informative_labels
    expected = (account.sum_ + CONFIG.informative_labels * mean) / weight
    spread = 0.2 * (missing + missing**2 / weight).sum()
    surplus, error = account.surplus(mean, 0.2)
    assert surplus == pytest.approx((account.sum_ + missing * expected).sum(), abs=1e-9)
    assert error == pytest.approx(spread**0.5)


def test_wrong_means_bias_it_only_by_what_they_are_pooled_with():
    rng, errors = np.random.default_rng(0), []
    for _ in range(300):
        account = SurplusEstimator(["a", "b"], CONFIG)
        true = rng.random(400) < np.where(np.arange(400) % 2, 0.9, 0.6)
        for number, y in enumerate(true.tolist()):
            account.serve(number % 2, 0.75)
            if rng.random() < 0.3:
                account.label(number % 2, float(y))
        errors.append(account.surplus(np.array([0.3, 0.3]), 0.19)[0] - (true.sum() - 300.0))
    # 60 labels, shrunk by 30 of a mean that is off by .45, leave a third of it in 280 responses.
    assert np.mean(errors) == pytest.approx(-30 / 90 * 0.45 * 280, rel=0.1)


def test_a_label_that_comes_late_takes_the_place_of_the_expectation():
    early, late = (SurplusEstimator(["only"], CONFIG) for _ in range(2))
    for account in (early, late):
        for _ in range(50):
            account.serve(0, 0.5)
    for number in range(50):
        early.label(0, float(number % 2))
    for number in reversed(range(50)):
        late.label(0, float(number % 2))
    assert early.surplus(np.array([0.9]), 0.25) == late.surplus(np.array([0.9]), 0.25) == (0.0, 0.0)


def test_models_that_left_are_settled_at_what_was_known_of_them():
    account, mean = SurplusEstimator(["a", "b"], CONFIG), np.array([0.8, 0.6])
    for number in range(200):
        account.serve(number % 2, 0.5)
        if number % 4 < 2:
            account.label(number % 2, 1.0 - (number % 2) * 0.4)
    before, _ = account.surplus(mean, 0.2)
    account.set_models(["b", "new"], np.array([1.0, 0.6]))
    after, _ = account.surplus(np.array([0.6, 0.5]), 0.2)
    assert account.served_.tolist() == [100.0, 0.0]
    # Shrunk to the mean before, at the mean of the labelled now.
    assert after == pytest.approx(before, abs=5.0)


def test_the_fallback_starts_outside_the_band_and_ends_at_the_target():
    account = SurplusEstimator(["only"], CONFIG)
    states = []
    for short in (5.0, 19.0, 21.0, 10.0, 1.0, -1.0, -15.0, -30.0, -5.0, 2.0):
        account.watch(short, band=20.0)
        states.append(account.outside_band)
    assert states == [False, False, True, True, True, False, False, True, True, False]


def test_a_guarded_sla_keeps_the_surplus_that_proves_its_floor():
    account = SurplusEstimator(["only"], CONFIG)
    assert account.proof == 0.0
    for number in range(400):
        account.serve(0, 0.8)
        if number % 4 == 0:
            account.label(0, 1.0)
            account.prove(0.95)
    labels = float(account.proof_[1])
    assert labels >= 100.0 - CONFIG.informative_labels
    expected = guard_surplus(0.8, labels, confidence=0.95) * 400 / labels
    assert account.proof == pytest.approx(expected)


def test_an_sla_with_harder_requests_asks_the_means_for_more():
    account = SurplusEstimator(["only"], CONFIG)
    for number in range(2000):
        account.compare(float(number % 10 < 6), 0.8)
    assert account.difficulty_offset_ == pytest.approx(-0.2, abs=0.03)
    assert account.comparable_floor(0.75) == pytest.approx(0.95, abs=0.03)


def test_the_label_rate_starts_high_and_follows_the_labels():
    account = SurplusEstimator(["only"], CONFIG)
    assert account.label_rate == 1.0
    for number in range(1000):
        account.serve(0, 0.5)
        if number % 20 == 0:
            account.label(0, 1.0)
    assert 0.05 < account.label_rate < 0.07


def test_a_shortfall_counts_from_the_margin():
    assert SurplusEstimate(surplus=3.0, margin=5.0).shortfall == 2.0
    assert SurplusEstimate(surplus=9.0, margin=5.0).shortfall == -4.0
