"""Silence means satisfied only where nothing but complaints is ever reported."""

import numpy as np
import pytest

from floorline import Model, Zoo
from floorline.policies.primal_dual.complaints import ComplaintMode
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimator

CONFIG = PrimalDualConfig(informative_labels=5, complaint_rate=0.5)
ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])


def test_it_begins_after_so_many_complaints_in_a_row():
    mode = ComplaintMode(CONFIG)
    assert [mode.observe(0.0) for _ in range(6)] == [False] * 4 + [True, False]
    assert mode.silence_is_satisfied_


def test_one_positive_label_settles_that_it_does_not_begin():
    mode = ComplaintMode(CONFIG)
    mode.observe(0.0)
    mode.observe(1.0)
    assert not any(mode.observe(0.0) for _ in range(20))
    assert not mode.silence_is_satisfied_


@pytest.mark.parametrize(("silence", "satisfied"), [("satisfied", True), ("unknown", False)])
def test_it_can_be_set_beforehand(silence, satisfied):
    mode = ComplaintMode(CONFIG.changed(silence=silence))
    assert not any(mode.observe(0.0) for _ in range(20))
    assert mode.silence_is_satisfied_ is satisfied


def test_complaints_stand_for_the_dissatisfied_users_who_are_silent():
    mode, account = ComplaintMode(CONFIG), SurplusEstimator(ZOO.names, CONFIG)
    rng, satisfied = np.random.default_rng(0), 0
    for _ in range(4000):
        account.serve(0, 0.7)
        y = float(rng.random() < 0.8)
        satisfied += y
        if y == 0.0 and rng.random() < 0.5:
            account.label(0, 0.0)
    surplus, error = mode.surplus(account)
    assert surplus == pytest.approx(satisfied - 0.7 * 4000, abs=3 * error)
    assert 20.0 < error < 40.0


def test_a_restarted_posterior_counts_responses_less_complaints():
    mode, posterior = ComplaintMode(CONFIG), QualityPosterior(ZOO, 0.7, CONFIG)
    account = SurplusEstimator(ZOO.names, CONFIG)
    for number in range(100):
        account.serve(0, 0.7)
        if number % 10 == 0:
            account.label(0, 0.0)
    mode.restart(posterior, [account])
    assert posterior.labels_.tolist() == [100.0, 0.0]
    assert posterior.sum_[0] == pytest.approx(80.0)


def test_a_complaint_replaces_the_satisfaction_that_was_assumed():
    mode, posterior = ComplaintMode(CONFIG), QualityPosterior(ZOO, 0.7, CONFIG)
    for _ in range(10):
        posterior.learn(0, 1.0)
    mode.relabel(posterior, 0, None, 0.0)
    assert posterior.sum_[0] == pytest.approx(8.0)
    mode.relabel(posterior, 0, 0.0, 1.0)
    assert posterior.sum_[0] == pytest.approx(10.0)
