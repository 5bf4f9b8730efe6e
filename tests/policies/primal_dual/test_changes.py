"""What the flagship makes of change: real ones are called, others are not, nothing is for ever."""

import numpy as np
import pytest

from floorline import Model, Zoo
from floorline.datasets import simulate
from floorline.encoders import make_encoder
from floorline.policies.primal_dual.prompt_gate import PromptGate
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimator
from floorline.replay import prepare
from floorline.replay.scenarios.metrics import Detections
from floorline.replay.scenarios.streams import replay_scenario, shared, steady
from floorline.sla import SLA

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(4000, seed=3), make_encoder("hashed"))


def labels(rng, share):
    return float(rng.random() < share)


def test_a_model_that_gets_other_requests_than_before_has_not_changed():
    rng = np.random.default_rng(0)
    blind, told = QualityPosterior(ZOO, 0.8), QualityPosterior(ZOO, 0.8)
    for number in range(1200):
        chance = 0.9 if number < 400 else 0.5
        y = labels(rng, chance)
        blind.learn(0, y)
        told.learn(0, y, expected=chance)
    assert blind.changes_ >= 1
    assert told.changes_ == 0


def test_a_change_is_called_against_what_prompts_let_expect_and_tells_its_size():
    rng = np.random.default_rng(1)
    levels = QualityPosterior(ZOO, 0.8)
    number = 0
    while levels.changes_ == 0 and number < 1000:
        chance = rng.uniform(0.5, 0.9)
        levels.learn(0, labels(rng, chance - (0.4 if number >= 500 else 0.0)), expected=chance)
        number += 1
    assert 500 <= number < 650
    assert -0.65 < levels.shift_ < -0.15


def test_predictions_that_are_always_a_little_off_are_no_change():
    rng = np.random.default_rng(2)
    levels = QualityPosterior(ZOO, 0.8)
    for _ in range(2000):
        levels.learn(0, labels(rng, 0.7), expected=0.78)
    assert levels.changes_ == 0


def test_only_models_that_changed_are_doubted_with_time():
    rng = np.random.default_rng(3)
    levels = QualityPosterior(ZOO, 0.8)
    for number in range(600):
        levels.learn(0, labels(rng, 0.8))
        levels.learn(1, labels(rng, 0.9 if number < 500 else 0.3))
    assert levels.changes_ == 1
    sd, kept = levels.sd_.copy(), levels.labels_.copy()
    for _ in range(1500):
        levels.age()
    assert levels.labels_[0] == kept[0]
    assert levels.sd_[1] > 2.0 * sd[1]
    assert levels.labels_[1] < 0.1 * kept[1]
    assert levels.doubt[0] == 0.0 < levels.doubt[1]
    for _ in range(250):
        levels.learn(1, labels(rng, 0.3))
        levels.age()
    assert levels.doubt[1] == 0.0


def test_complaints_alone_call_no_changes(data):
    scene = steady(data, floor=0.8, requests=2500, seed=1)
    seen = Detections()
    run = replay_scenario(scene, "primal_dual", seed=1, feedback="served+negative:0.5", watch=seen)
    assert seen.steps == []
    assert run.satisfied.mean() > 0.76


def test_a_surplus_far_off_course_brings_the_rungs_back_until_it_is_on_it():
    account = SurplusEstimator(["only"])
    states = []
    for short in (5.0, 19.0, 21.0, 10.0, 1.0, -1.0, -15.0, -30.0, -5.0, 2.0):
        account.watch(short, below=20.0, above=25.0)
        states.append(account.off_course)
    assert states == [False, False, True, True, True, False, False, True, True, False]


def test_proof_is_withdrawn_once_estimates_mislead():
    rng = np.random.default_rng(4)
    worth = PromptGate(["a", "b"])

    def live(count, sign):
        for _ in range(count):
            telling = rng.uniform(-0.3, 0.3)
            quality = np.array([0.5 + telling, 0.5 - telling])
            worth.see(quality)
            y = labels(rng, 0.5 + sign * telling)
            worth.compare(0.5, float(worth.adjust(np.full(2, 0.5), quality)[0]), y)
            worth.learn(quality, 0.5, 0, y)

    live(1500, 1.0)
    assert worth.proven
    live(400, -1.0)
    assert not worth.proven


def test_an_sla_with_harder_requests_asks_for_better_models(data):
    slas = (SLA("usual", floor=0.75), SLA("harder", floor=0.75))
    scene = shared(
        steady(data, floor=0.75, requests=3000, seed=2), slas, (0.6, 0.4), seed=2, harder="harder"
    )
    apart = {}

    def watch(step, router):
        apart.update({name: a.apart_ for name, a in router.policy.surplus_.items()})

    run = replay_scenario(scene, "primal_dual", seed=2, watch=watch)
    assert apart["harder"] < -0.03 < 0.0 < apart["usual"]
    asked = np.array(scene.timeline.sla) == "harder"
    paid = {name: run.cost[rows].mean() for name, rows in (("harder", asked), ("usual", ~asked))}
    assert paid["harder"] > 1.3 * paid["usual"]
    assert run.satisfied[asked].mean() > 0.72
