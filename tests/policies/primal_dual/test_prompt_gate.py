"""Prompts decide only while labels agree with what was predicted from them."""

import numpy as np
import pytest

from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.prompt_gate import PromptGate

CONFIG = PrimalDualConfig()


def labels(rng, share):
    return float(rng.random() < share)


def test_slopes_are_significant_by_labels_that_agree_and_not_by_noise():
    rng = np.random.default_rng(2)
    true, noise = PromptGate(["a", "b"], CONFIG), PromptGate(["a", "b"], CONFIG)
    for _ in range(1500):
        quality = np.clip(0.5 + rng.normal(0.0, 0.2, 2), 0.0, 1.0)
        for gate in (true, noise):
            gate.see(quality)
        model = int(rng.integers(2))
        true.learn(quality, 0.5, model, float(rng.random() < quality[model]))
        noise.learn(quality, 0.5, model, float(rng.random() < 0.5))
    assert true.slopes_[1] > 0.6
    assert noise.slopes_[1] < 0.2
    assert true.is_significant
    assert not noise.is_significant


def test_significance_is_lost_once_predictions_mislead():
    rng = np.random.default_rng(4)
    gate = PromptGate(["a", "b"], CONFIG)

    def live(count, sign):
        for _ in range(count):
            telling = rng.uniform(-0.3, 0.3)
            prediction = np.array([0.5 + telling, 0.5 - telling])
            gate.see(prediction)
            y = labels(rng, 0.5 + sign * telling)
            gate.compare(0.5, float(gate.adjust(np.full(2, 0.5), prediction)[0]), y)
            gate.learn(prediction, 0.5, 0, y)

    live(1500, 1.0)
    assert gate.is_significant
    live(400, -1.0)
    assert not gate.is_significant


def test_without_slopes_the_adjusted_estimates_are_the_means():
    gate, means = PromptGate(["a", "b"], CONFIG), np.array([0.4, 0.8])
    gate.see(np.array([0.5, 0.5]))
    assert gate.adjust(means, np.array([0.9, 0.1])).tolist() == means.tolist()


def test_adjusted_estimates_move_by_the_slopes_and_stay_probabilities():
    gate = PromptGate(["a", "b"], CONFIG)
    gate.centre_ = np.array([0.5, 0.5])
    gate.slopes_ = np.array([0.5, 1.0])
    # a(x) = 0.1, b(x) = (0.2, -0.2)
    moved = gate.adjust(np.array([0.6, 0.9]), np.array([0.8, 0.4]))
    np.testing.assert_allclose(moved, [0.6 + 0.05 + 0.2, 0.9 + 0.05 - 0.2])
    assert gate.adjust(np.array([0.95, 0.0]), np.array([1.0, 0.0])).tolist() == [1.0, 0.0]


def test_a_model_that_joins_is_predicted_as_the_others_on_average():
    gate = PromptGate(["a", "b"], CONFIG)
    for _ in range(100):
        gate.see(np.array([0.2, 0.6]))
    gate.set_models(["b", "new"])
    np.testing.assert_allclose(gate.centre_, [0.6, 0.4], atol=1e-6)
    gate.shift(0, -0.1)
    assert gate.centre_[0] == pytest.approx(0.5)
