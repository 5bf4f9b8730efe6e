"""The surplus is doubly robust, settles models that left, and keeps its band."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.guarantees.guard import guard_surplus
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

CONFIG = PrimalDualConfig()
VAGUE = np.array([0.25, 0.25])
"""Posterior standard deviations of means that are known no better than by four labels."""


def test_surplus_of_missing_labels_is_that_of_the_labelled():
    account = SurplusEstimator(["a", "b"], CONFIG)
    for number in range(1000):
        account.serve(0, 0.5)
        if number % 5 == 0:
            account.label(0, float(number % 10 == 0))
    surplus, error = account.surplus(np.array([0.5, 0.5]), VAGUE, 0.25)
    assert surplus == pytest.approx(0.0, abs=1e-9)
    assert 20.0 < error < 40.0
    account.label(0, 1.0, previous=0.0)
    assert account.surplus(np.array([0.5, 0.5]), VAGUE, 0.25)[0] > 1.0


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_missing_labels_count_at_the_mean_of_what_is_known(models, seed):
    rng = np.random.default_rng(seed)
    account, mean = SurplusEstimator([f"m{m}" for m in range(models)], CONFIG), rng.random(models)
    account.served_ = rng.integers(0, 50, models).astype(float)
    account.labels_ = rng.integers(0, 50, models).astype(float)
    account.sum_ = account.labels_ * mean
    beyond = rng.uniform(0.1, 1000.0, models)
    missing = np.maximum(account.served_ - account.labels_, 0.0)
    weight = account.labels_ + beyond
    spread = 0.2 * (missing + missing**2 / weight).sum()
    surplus, error = account.surplus(mean, np.sqrt(0.2 / weight), 0.2)
    assert surplus == pytest.approx(((account.labels_ + missing) * mean).sum(), abs=1e-9)
    assert error == pytest.approx(spread**0.5)


def estimates(prior, sd, *, harder=0.0, requests=400, share=0.3):
    """Errors of 300 surplus estimates with their standard errors; two models of .9 and .6."""
    rng, found = np.random.default_rng(0), []
    true = np.where(np.arange(requests) % 2, 0.9, 0.6) - harder
    for _ in range(300):
        account = SurplusEstimator(["a", "b"], CONFIG)
        satisfied = rng.random(requests) < true
        for number, y in enumerate(satisfied.tolist()):
            account.serve(number % 2, 0.75)
            if rng.random() < share:
                account.label(number % 2, float(y))
        surplus, error = account.surplus(np.array(prior), np.array(sd), 0.19)
        found.append((surplus - (satisfied.sum() - 0.75 * requests), error))
    return np.array(found).T


def test_the_standard_error_is_that_of_the_estimate():
    # Means learned from the same labels: what a label misses counts 1/φ times.
    wrong, error = estimates([0.6, 0.9], [1.0, 1.0])
    assert np.mean(wrong) == pytest.approx(0.0, abs=2.0)
    assert np.std(wrong) == pytest.approx(error.mean(), rel=0.15)
    # Means known beforehand: only what is not seen of these requests.
    wrong, told = estimates([0.6, 0.9], [1e-3, 1e-3])
    assert np.std(wrong) == pytest.approx(told.mean(), rel=0.15)
    assert told.mean() == pytest.approx((0.19 * 0.7 * 400) ** 0.5, rel=0.05)
    assert told.mean() < 0.6 * error.mean()


def test_labels_that_contradict_what_is_known_take_its_place():
    sure = [np.sqrt(0.19 / 1000.0)] * 2
    wrong, error = estimates([0.6, 0.9], sure, harder=0.2, requests=4000)
    right, known = estimates([0.4, 0.7], sure, harder=0.2, requests=4000)
    # 1,200 labels: of the .2 by which the means are wrong, little is left in 2,800 responses.
    assert np.mean(right) == pytest.approx(0.0, abs=10.0)
    assert abs(np.mean(wrong)) < 0.15 * 0.2 * 2800
    assert error.mean() > known.mean()


def test_a_label_that_comes_late_takes_the_place_of_the_expectation():
    early, late = (SurplusEstimator(["only"], CONFIG) for _ in range(2))
    for account in (early, late):
        for _ in range(50):
            account.serve(0, 0.5)
    for number in range(50):
        early.label(0, float(number % 2))
    for number in reversed(range(50)):
        late.label(0, float(number % 2))
    known = np.array([0.9]), np.array([0.05]), 0.25
    assert early.surplus(*known) == late.surplus(*known) == (0.0, 0.0)


def test_models_that_left_are_settled_at_what_was_known_of_them():
    account, mean = SurplusEstimator(["a", "b"], CONFIG), np.array([0.8, 0.6])
    for number in range(200):
        account.serve(number % 2, 0.5)
        if number % 4 < 2:
            account.label(number % 2, 1.0 - (number % 2) * 0.4)
    before, _ = account.surplus(mean, VAGUE, 0.2)
    account.set_models(["b", "new"], np.array([1.0, 0.6]))
    after, _ = account.surplus(np.array([0.6, 0.5]), VAGUE, 0.2)
    assert account.served_.tolist() == [100.0, 0.0]
    # Shrunk to the mean before, at the mean of the labelled now.
    assert after == pytest.approx(before, abs=5.0)


def test_the_fallback_starts_below_the_band_and_ends_at_the_target():
    account = SurplusEstimator(["only"], CONFIG)
    states = []
    for short in (5.0, 19.0, 21.0, 10.0, 1.0, -1.0, -15.0, -30.0, -5.0, 2.0):
        account.watch(short, band=20.0)
        states.append(account.fallback_active_)
    assert states == [False, False, True, True, True, False, False, False, False, False]


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
    assert account.label_rate == pytest.approx(0.05, abs=0.001)


def test_a_shortfall_counts_from_the_margin():
    one = SurplusEstimate(3.0, error=2.0, keep=0.841344746, proof=1.0)
    assert one.shortfall == pytest.approx(0.0, abs=1e-6)
    assert one._replace(surplus=9.0).shortfall == pytest.approx(-6.0)
    assert SurplusEstimate(3.0, error=2.0).margin == 0.0
    assert SurplusEstimate(3.0, keep=0.95).target(2.0) == pytest.approx(2.0 * np.log(20.0))


@given(st.floats(0.5, 0.9999), st.floats(0.5, 0.9999), st.floats(0.0, 500.0), st.floats(0.0, 50.0))
def test_the_target_grows_with_probability_error_and_walk(one, other, error, walk):
    less, more = sorted((one, other))
    target = SurplusEstimate(0.0, error, less).target(walk)
    assert 0.0 <= target <= SurplusEstimate(0.0, error, more).target(walk) + 1e-9
    assert target <= SurplusEstimate(0.0, error + 1.0, less).target(walk) + 1e-9
    assert target <= SurplusEstimate(0.0, error, less).target(walk + 1.0) + 1e-9


@given(st.integers(1, 99), st.integers(1, 20), st.integers(1, 200))
def test_the_error_grows_with_requests_and_falls_with_labels(percent, more, times):
    def error(requests, labels):
        account = SurplusEstimator(["only"], CONFIG)
        account.served_[0], account.labels_[0] = requests, labels
        account.sum_[0] = 0.7 * labels
        sd = (0.21 / (labels + 10.0)) ** 0.5
        return account.surplus(np.array([0.7]), np.array([sd]), 0.21)[1]

    requests, labels = 100 * times, percent * times
    assert error(requests, min(requests, labels + more)) <= error(requests, labels)
    assert error(requests, labels) <= error(requests * 2, labels * 2)
