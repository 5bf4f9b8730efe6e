"""Tests of SLARouter: unbiased queue, invariance to the cost unit and to the order of feedback."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline import SLA, Model, Router, Zoo
from floorline.estimators.base import QualityEstimator
from floorline.events import Feedback
from floorline.policies.published.sla_router import SlaRouter
from floorline.replay.environment import GivenFeatures
from floorline.state.judge import Judge

DIM = 4
SLA_NAME = "s"


class WrongPredictor(QualityEstimator):
    """Estimator with one constant prediction, which does not learn."""

    def __init__(self, dim, models, *, prediction=0.95):
        self.prediction_ = np.full(len(models), prediction)

    def predict_one(self, x):
        return self.prediction_

    def uncertainty_one(self, x):
        return self.prediction_ * 0.0

    def learn_one(self, x, model, y, weight=1.0):
        pass

    def set_models(self, names):
        pass


def make_router(policy=None, *, scale=1.0, seed=0, floor=0.8):
    zoo = Zoo([Model("small", call_price=1.0 * scale), Model("large", call_price=20.0 * scale)])
    encoder = GivenFeatures(DIM, "given")
    return Router(
        zoo, policy or SlaRouter(), [SLA(SLA_NAME, floor=floor)], encoder=encoder, seed=seed
    )


def features(rng):
    return rng.normal(size=DIM).astype(np.float32)


class UnclippedQueue:
    """Replacement of the queues that sums the increments without the lower bound of 0."""

    def __init__(self):
        self.total = 0.0

    def __getitem__(self, sla):
        return 0.0

    def add(self, sla, shortfall):
        self.total += shortfall


@pytest.mark.parametrize("prediction", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_queue_increments_are_unbiased_for_wrong_predictors(prediction, share):
    truth, floor, requests = 0.6, 0.8, 6000
    rng = np.random.default_rng(5)

    def wrong(dim, models):
        return WrongPredictor(dim, models, prediction=prediction)

    policy = SlaRouter(estimator=wrong)
    router = make_router(policy, floor=floor)
    policy.queues_ = UnclippedQueue()
    x = features(rng)
    for _ in range(requests):
        decision = router.route(features=x)
        if rng.random() < share:
            router.feedback(decision.id, score=float(rng.random() < truth))
    # Without the correction by labels the mean increment would be floor − prediction.
    assert policy.queues_.total / requests == pytest.approx(floor - truth, abs=0.045)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=60
    )
)
def test_the_queue_is_never_negative(steps):
    rng = np.random.default_rng(0)
    router = make_router()
    ids = []
    for labelled, score, back in steps:
        ids.append(router.route(features=features(rng)).id)
        if labelled:
            router.feedback(ids[max(0, len(ids) - 1 - back)], score=score)
        assert router.policy.queues_[SLA_NAME] >= 0.0


def test_multiplying_all_costs_changes_no_decision():
    def decisions(scale):
        rng = np.random.default_rng(1)
        router = make_router(scale=scale)
        chosen = []
        for _ in range(600):
            x = features(rng)
            decision = router.route(features=x)
            noise = rng.lognormal(0, 0.2)
            router.outcome(
                decision.id, cost=scale * noise * (20 if decision.model == "large" else 1)
            )
            if rng.random() < 0.3:
                good = rng.random() < (0.95 if decision.model == "large" else 0.6)
                router.feedback(decision.id, satisfied=bool(good))
            chosen.append(decision.model)
        return chosen

    unscaled = decisions(1.0)
    assert set(unscaled) == {"small", "large"}
    assert decisions(1e6) == unscaled
    assert decisions(1e-6) == unscaled


def test_reporting_rate_is_learned_online():
    rng = np.random.default_rng(2)
    router = make_router()
    for _ in range(4000):
        decision = router.route(features=features(rng))
        if rng.random() < 0.05:
            router.feedback(decision.id, satisfied=True)
    assert router.policy.reporting_rate == pytest.approx(0.05, abs=0.015)


def test_counts_do_not_depend_on_order_and_repetition_of_feedback():
    rng = np.random.default_rng(3)
    router = make_router()
    ids = [router.route(features=features(rng)).id for _ in range(50)]
    for decision in reversed(ids):
        assert router.feedback(decision, satisfied=True)
    before = router.snapshot()
    for decision in ids:
        assert not router.feedback(decision, satisfied=True)
    # Repetitions are counted as events; the learned state does not change.
    assert router.policy.reports_ == 50
    assert router.status().labels == 50
    assert router.policy.snapshot()["queues_"] == _queues(before, router)


def _queues(snapshot, router):
    other = make_router()
    other.restore(snapshot)
    return other.policy.snapshot()["queues_"]


def test_a_corrected_score_changes_the_queue_like_a_first_score():
    def queue(scores):
        router = make_router(SlaRouter(estimator=WrongPredictor), floor=1.0)
        decision = router.route(features=np.ones(DIM, np.float32))
        for score in scores:
            router.feedback(decision.id, score=score)
        return router.policy.queues_[SLA_NAME]

    assert queue([0.3, 0.0]) == pytest.approx(queue([0.0]))


def test_exploration_makes_one_call_and_states_its_propensities():
    rng = np.random.default_rng(4)
    router = make_router(SlaRouter(c=1.0))
    x = features(rng)
    served = np.zeros(2)
    expected = np.zeros(2)
    for _ in range(4000):
        decision = router.route(features=x)
        assert decision.called == (decision.model,)
        assert decision.propensities.sum() == pytest.approx(1.0)
        served[decision.index] += 1
        expected += decision.propensities
    np.testing.assert_allclose(served / 4000, expected / 4000, atol=0.03)


def test_only_labels_train_the_estimator():
    router = make_router(SlaRouter(c=1.0))
    x = np.ones(DIM, np.float32)
    router.route(features=x)
    assert not router.policy.quality_.weights_.any()
    decision = router.route(features=x)
    router.feedback(decision.id, satisfied=True)
    assert router.policy.quality_.weights_[decision.index].any()
    assert router.policy.quality_.classes_[decision.index, 1] > 1.0


class TestJudge:
    def test_labels_a_stated_share_at_a_stated_cost(self):
        rng = np.random.default_rng(6)
        router = make_router()
        judge = Judge(lambda decision, response: 1.0, rate=0.1, cost=0.5)
        asked = 0
        for _ in range(3000):
            decision = router.route(features=features(rng))
            asked += router.judge_response(judge, decision.id, "the answer")
        assert asked / 3000 == pytest.approx(0.1, abs=0.02)
        assert router.status().labels == asked
        assert router.status().spent == pytest.approx(0.5 * asked)

    def test_is_not_called_if_a_user_has_given_feedback(self):
        router = make_router()
        decision = router.route(features=np.ones(DIM, np.float32))
        router.feedback(decision.id, satisfied=False)
        assert not router.judge_response(Judge(lambda d, r: 1.0, rate=1.0), decision.id)
        assert router.status().satisfaction == 0.0

    def test_gets_decision_and_response_and_a_user_overrides_it(self):
        router = make_router()
        calls = []

        def score(decision, response):
            calls.append((decision.model, response))
            return 1.0

        decision = router.route(features=np.ones(DIM, np.float32))
        assert router.judge_response(Judge(score, rate=1.0), decision.id, "42")
        assert calls == [(decision.model, "42")]
        router.feedback(decision.id, satisfied=False)
        assert router.status().satisfaction == 0.0
        assert router.status().labels == 1

    def test_its_labels_are_logged_with_its_source_and_cost(self):
        router = make_router()
        decision = router.route(features=np.ones(DIM, np.float32))
        router.judge_response(Judge(lambda d, r: 0.5, rate=1.0, cost=0.1), decision.id)
        (event,) = [event for event in router.log.read() if isinstance(event, Feedback)]
        assert (event.source, event.cost, event.score) == ("judge", 0.1, 0.5)

    @pytest.mark.parametrize("bad", [{"rate": 1.5}, {"rate": float("nan")}, {"cost": -1.0}])
    def test_rejects_impossible_rates_and_costs(self, bad):
        with pytest.raises(ValueError, match="Judge"):
            Judge(lambda d, r: 1.0, **bad)

    def test_is_immutable(self):
        judge = Judge(lambda d, r: 1.0)
        with pytest.raises(AttributeError):
            judge.rate = 1.0
        assert isinstance(judge, msgspec.Struct)
