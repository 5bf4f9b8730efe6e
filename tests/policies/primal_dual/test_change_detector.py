"""Real changes of a model are detected, others are not, and none counts for ever."""

import msgspec
import numpy as np
import pytest

from floorline import SLA, Model, Router, Zoo
from floorline.events import Feedback, QualityChange
from floorline.policies.primal_dual.policy import PrimalDual

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])


@pytest.fixture
def build():
    """Build a started flagship: its posterior and its detector learn together."""

    def make(**changes):
        policy = PrimalDual(**changes)
        policy.start(ZOO, {"gold": SLA("gold", floor=0.8)}, 1)
        return policy

    return make


def labels(rng, share):
    return float(rng.random() < share)


def test_a_model_that_gets_other_requests_than_before_has_not_changed(build):
    rng = np.random.default_rng(0)
    blind, informed = build(), build()
    for number in range(1200):
        chance = 0.9 if number < 400 else 0.5
        y = labels(rng, chance)
        blind._learn_mean(0, y, None)
        informed._learn_mean(0, y, chance)
    assert blind.changes_detected >= 1
    assert informed.changes_detected == 0


def test_a_change_against_predictions_shows_its_size(build):
    rng = np.random.default_rng(1)
    policy, change, number = build(), None, 0
    while change is None and number < 1000:
        chance = rng.uniform(0.5, 0.9)
        y = labels(rng, chance - (0.4 if number >= 500 else 0.0))
        change = policy._learn_mean(0, y, chance)
        number += 1
    assert 500 <= number < 650
    assert -0.65 < change.shift < -0.15


def test_predictions_that_are_always_a_little_off_are_no_change(build):
    rng, policy = np.random.default_rng(2), build()
    for _ in range(2000):
        policy._learn_mean(0, labels(rng, 0.7), 0.78)
    assert policy.changes_detected == 0


def test_only_models_that_changed_are_uncertain_until_they_are_known_again(build):
    rng, policy = np.random.default_rng(3), build()
    posterior, detector = policy.posterior_, policy.detector_
    for number in range(600):
        policy._learn_mean(0, labels(rng, 0.8), None)
        policy._learn_mean(1, labels(rng, 0.9 if number < 500 else 0.3), None)
    assert policy.changes_detected == 1
    assert detector.uncertain(posterior.labels_).tolist() == [0.0, 1.0]
    for _ in range(300):
        policy._learn_mean(1, labels(rng, 0.3), None)
    assert detector.uncertain(posterior.labels_).tolist() == [0.0, 0.0]


def test_labels_before_a_change_are_forgotten_and_without_one_they_are_not(build):
    rng = np.random.default_rng(0)
    steady, changed, blind = build(), build(), build(detect=False)
    for number in range(800):
        y = labels(rng, 0.8)
        steady._learn_mean(0, y, None)
        y = y if number < 400 else labels(rng, 0.3)
        changed._learn_mean(0, y, None)
        blind._learn_mean(0, y, None)
    assert steady.changes_detected == blind.changes_detected == 0
    assert changed.changes_detected >= 1
    assert changed.posterior_.mean_[0] < 0.45 < blind.posterior_.mean_[0]


def test_improvements_are_detected_too(build):
    rng, policy = np.random.default_rng(5), build()
    for number in range(900):
        policy._learn_mean(0, labels(rng, 0.4 if number < 500 else 0.95), None)
    assert policy.changes_detected >= 1
    assert policy.posterior_.mean_[0] > 0.85


def test_a_long_conversation_that_goes_badly_is_no_change():
    """Labels of one conversation come in blocks, as its difficulty is that of all its turns."""
    router = Router(ZOO, "primal_dual", [SLA("gold", floor=0.8)])
    made = router.route("Hello")
    rng = np.random.default_rng(3)
    bad = rng.random(100) < 0.1
    found = []
    for turns in (1.0, 41.0):
        policy = PrimalDual()
        policy.start(ZOO, {"gold": SLA("gold", floor=0.8)}, len(made.features))
        one = msgspec.structs.replace(made, conversation_turns=turns, prediction=None)
        for number in range(2000):
            score = float(not bad[number // 20])
            policy.on_decision(one)
            feedback = Feedback(decision=one.id, model=one.model, score=score)
            policy.on_feedback(one, one.index, feedback, None)
        found.append(policy.changes_detected)
    assert found[0] > 0
    assert found[1] == 0


def test_a_router_logs_when_its_policy_detects_a_change():
    router = Router(ZOO, slas=[SLA("gold", floor=0.6)], seed=3, clock=lambda: 7.0)
    rng = np.random.default_rng(3)
    for number in range(900):
        made = router.route("Why?", at=float(number))
        good = 0.9 if number < 450 else 0.1
        router.feedback(made.id, score=labels(rng, good), at=float(number))
    events = list(router.log.read())
    changes = [event for event in events if isinstance(event, QualityChange)]
    assert len(changes) == router.policy.changes_detected >= 1
    assert all(450 <= change.at < 900 and change.model in ZOO.names for change in changes)
    # Each follows the label by which it was detected, and changes nothing itself.
    for position, event in enumerate(events):
        if isinstance(event, QualityChange):
            label = events[position - 1]
            assert (label.decision, label.model) == (event.decision, event.model)
    again = Router(ZOO, slas=[SLA("gold", floor=0.6)], seed=3, clock=lambda: 7.0)
    again.apply(event for event in events if not isinstance(event, QualityChange))
    assert again.policy.changes_detected == router.policy.changes_detected


def test_a_learner_logs_the_changes_that_labels_of_replicas_show():
    def build():
        return Router(ZOO, slas=[SLA("gold", floor=0.6)], seed=3, clock=lambda: 7.0)

    replica, learner = build(), build()
    rng = np.random.default_rng(3)
    for number in range(900):
        made = replica.route("Why?", at=float(number))
        good = 0.9 if number < 450 else 0.1
        replica.feedback(made.id, score=labels(rng, good), at=float(number))
    for event in replica.log.read():
        if not isinstance(event, QualityChange):
            learner.ingest(event)
    found = [event for event in learner.log.read() if isinstance(event, QualityChange)]
    assert found == [event for event in replica.log.read() if isinstance(event, QualityChange)]
    assert learner.position == len(learner.log)
