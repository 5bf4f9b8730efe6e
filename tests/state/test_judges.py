"""Judges are not users: their scores are corrected, certified apart, and in no surplus."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline import SLA, Model, Router, Zoo
from floorline.errors import InvalidInput, UnknownDecision
from floorline.events import Judgement, decode_event, encode_event
from floorline.guarantees import EmpiricalBernstein
from floorline.state.judge_calibration import PRIOR_PAIRS, JudgeCalibration
from floorline.state.judged_certificate import judged_certificates_of
from floorline.state.judged_labels import JudgedLabels

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])
GOLD = SLA("gold", floor=0.75)


def new_router(**given):
    return Router(ZOO, slas=[GOLD], seed=3, **given)


def served(router, requests):
    ids = []
    for number in range(requests):
        made = router.route(f"Question {number}", at=float(number))
        router.outcome(made.id, cost=1.0, at=float(number))
        ids.append(made.id)
    return ids


def state(router):
    found = router.certificate("gold")
    return found.judged, router.judge_agreements(), router.status("gold").labels


def test_a_judge_that_is_too_kind_is_corrected():
    rng, known = np.random.default_rng(1), JudgeCalibration()
    for _ in range(2000):
        user = float(rng.random() < 0.6)
        judge = user if rng.random() < 0.7 else 1.0
        known.judge("large", judge)
        known.pair("large", user=user, judge=judge, weight=1.0)
    agreement = known.agreement("kind")
    assert agreement.bias == pytest.approx(0.12, abs=0.02)
    assert agreement.bias_lower <= 0.12 <= agreement.bias_upper
    # P(satisfied | the judge says 1) = .6 / .72, and none of those that it says 0 to.
    assert known.expected("large", 1.0) == pytest.approx(0.833, abs=0.03)
    assert known.expected("large", 0.0) == pytest.approx(0.0, abs=0.03)


def test_a_judge_that_knows_nothing_tells_nothing():
    rng, known = np.random.default_rng(1), JudgeCalibration()
    for _ in range(3000):
        judge = float(rng.random() < 0.5)
        known.judge("large", judge)
        known.pair("large", user=float(rng.random() < 0.8), judge=judge, weight=1.0)
    assert known.expected("large", 0.0) == pytest.approx(0.8, abs=0.04)
    assert known.expected("large", 1.0) == pytest.approx(0.8, abs=0.04)


def test_scores_without_pairs_count_as_few_labels():
    known, taught = JudgeCalibration(), 0.0
    for _ in range(100_000):
        taught += known.influence("large")
        known.judge("large", 1.0)
    assert 0.9 * PRIOR_PAIRS < taught < 1.1 * PRIOR_PAIRS + 1.0
    for _ in range(1000):
        known.pair("large", user=1.0, judge=1.0, weight=1.0)
    assert known.influence("large") > 50 * (PRIOR_PAIRS / 100_000) ** 2


def test_the_bias_of_one_model_is_not_put_on_another_that_has_pairs():
    known = JudgeCalibration()
    for number in range(600):
        user = float(number % 2)
        known.judge("small", 1.0)
        known.pair("small", user=user, judge=1.0, weight=1.0)
        known.judge("large", user)
        known.pair("large", user=user, judge=user, weight=1.0)
    assert known.agreement("j", "small").bias == pytest.approx(0.5)
    assert known.agreement("j", "large").bias == 0.0
    both = 0.5 * (known.expected("large", 0.0) + known.expected("large", 1.0))
    assert both == pytest.approx(0.5, abs=0.02)


scores = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(scores, scores, st.sampled_from([0.0, 0.3, 1.0])), min_size=1, max_size=30)
)
def test_a_corrected_label_counts_as_if_it_had_come_first(triples):
    corrected, direct = JudgedLabels(), JudgedLabels()
    again, once = JudgeCalibration(), JudgeCalibration()
    for judge, user, first in triples:
        corrected.pair(first, judge, slope=0.5, weight=1.0)
        corrected.correct(user, first, judge, slope=0.5, weight=1.0)
        direct.pair(user, judge, slope=0.5, weight=1.0)
        again.pair("m", user=first, judge=judge, weight=1.0)
        again.correct("m", user=user, previous=first, judge=judge, weight=1.0)
        once.pair("m", user=user, judge=judge, weight=1.0)
    assert corrected.better_ == pytest.approx(direct.better_)
    assert corrected.worse_ == pytest.approx(direct.worse_)
    assert corrected.rest_.total_ == pytest.approx(direct.rest_.total_)
    assert again.pairs_["m"] == pytest.approx(once.pairs_["m"])


def test_a_value_that_is_replaced_moves_the_mean():
    values = EmpiricalBernstein(-1.0, 1.0)
    for value in (0.5, -0.5, 1.0):
        values.add(value)
    values.replace(1.0, 0.0)
    assert values.mean == pytest.approx(0.0)
    assert values.squares_ >= 0.0


def test_the_order_of_user_and_judge_changes_no_pair():
    first, second = new_router(), new_router()
    for router, user_first in ((first, True), (second, False)):
        for number, id in enumerate(served(router, 40)):
            user, judge = float(number % 3 > 0), float(number % 4 > 0)
            for by_user in (user_first, not user_first):
                if by_user:
                    router.feedback(id, score=user)
                else:
                    router.judgement(id, "strict", judge, rate=0.5)
    assert first.certificate("gold").judged == second.certificate("gold").judged
    assert first.judge_agreements() == second.judge_agreements()
    assert first.certificate("gold").judged[0].pairs == 40


def test_a_judgement_is_no_label_of_the_sla():
    router = new_router()
    for id in served(router, 50):
        router.judgement(id, "strict", 1.0, rate=1.0)
    found = router.certificate("gold")
    assert (found.labels, found.verdict) == (0, "unknown")
    assert found.judged[0].by_judge.verdict == "kept"
    assert found.judged[0].with_users.verdict == "unknown"


def test_a_judgement_teaches_the_policy():
    judged, silent = new_router(), new_router()
    for id in served(judged, 60):
        judged.judgement(id, "strict", 0.0, rate=1.0)
    served(silent, 60)
    after = judged.policy.model_estimates().mean
    assert (after < silent.policy.model_estimates().mean).any()
    assert judged.policy.surplus_["gold"].labels_.sum() == 0.0


def test_the_first_judgement_of_a_judge_counts():
    router = new_router()
    [id] = served(router, 1)
    assert router.judgement(id, "a", 1.0, rate=0.1)
    before = state(router)
    assert not router.judgement(id, "a", 0.0, rate=0.1)
    assert state(router) == before
    assert router.judgement(id, "b", failure="refused", rate=0.1)
    assert router.certificate("gold").judged[1].failures == 1


def test_the_log_gives_the_state_again():
    router = new_router()
    for number, id in enumerate(served(router, 30)):
        router.judgement(id, "strict", float(number % 2), rate=0.2 if number % 3 else 0.4)
        if number % 4 == 0:
            router.feedback(id, score=float(number % 3 > 0))
            router.feedback(id, score=1.0)
    folded = new_router()
    folded.apply(router.log.read())
    assert folded.snapshot() == router.snapshot()
    restored = new_router()
    restored.restore(router.snapshot())
    assert restored.snapshot() == router.snapshot()
    assert state(restored) == state(router)


def test_draws_of_other_probabilities_are_weighed():
    labels = JudgedLabels()
    for _ in range(100):
        labels.draw(0.0, 0.8, 0.5)
    for _ in range(20):
        labels.draw(1.0, 0.8, 0.1)
    for _ in range(100):
        labels.draw(0.0, 0.8, 0.5)
    # 200 draws of probability .5 stand for 400 responses, 20 of .1 for 200; before the first rare
    # one came, common ones weighed more.
    assert labels.satisfied_ / labels.weight_ == pytest.approx(20 / (100 + 20 + 20))


@pytest.mark.parametrize(
    "bad",
    [
        {"score": 1.5},
        {"score": None},
        {"score": 1.0, "failure": "refused"},
        {"score": 1.0, "rate": 0.0},
        {"score": 1.0, "rate": 1.5},
        {"score": 1.0, "judge": ""},
        {"score": 1.0, "source": "user"},
    ],
)
def test_a_bad_judgement_is_refused(bad):
    with pytest.raises(InvalidInput):
        Judgement(**{"decision": "d", "model": "m", "judge": "j", **bad})


def test_a_judgement_keeps_every_field():
    event = Judgement(decision="d", model="m", judge="j", score=0.5, rate=0.1, call="c", at=2.0)
    assert decode_event(encode_event(event)) == event


def test_a_judgement_of_an_unknown_decision_is_refused():
    with pytest.raises(UnknownDecision):
        new_router().judgement("nothing", "strict", 1.0)


def test_bounds_of_users_hold_however_wrong_the_judge_is():
    """Of 300 streams at confidence .9, few may miss the mean .7, although the judge is .2 off."""
    rng, sla, missed = np.random.default_rng(5), SLA("s", floor=0.5, confidence=0.9), 0
    for _ in range(300):
        labels, users = JudgedLabels(), [0.0, 0.0]
        for _ in range(600):
            user = float(rng.random() < 0.7)
            judge = max(user, float(rng.random() < 2 / 3))
            drawn, labelled = rng.random() < 0.3, rng.random() < 0.2
            if drawn:
                labels.draw(judge, 0.5, 0.3)
            if labelled:
                users[0] += 1.0
                users[1] += user
                labels.pair(user, judge, slope=0.7, weight=1.0)
        [found] = judged_certificates_of(sla, {"j": labels}, tuple(users))
        missed += not found.with_users.lower <= 0.7 <= found.with_users.upper
        assert found.by_judge.lower > 0.7
    assert missed <= 0.1 * 300


def test_a_good_judge_narrows_the_bounds_of_users():
    rng, sla, labels, users = np.random.default_rng(5), SLA("s", floor=0.5), JudgedLabels(), [0, 0]
    for _ in range(20_000):
        user = float(rng.random() < 0.8)
        if rng.random() < 0.5:
            labels.draw(user, 0.5, 0.5)
        if rng.random() < 0.05:
            users = [users[0] + 1.0, users[1] + user]
            labels.pair(user, user, slope=1.0, weight=1.0)
    [found] = judged_certificates_of(sla, {"j": labels}, tuple(users))
    [alone] = judged_certificates_of(sla, {"j": JudgedLabels()}, tuple(users))
    width = found.with_users.upper - found.with_users.lower
    assert width < 0.6 * (alone.with_users.upper - alone.with_users.lower)


def test_bounds_of_users_hold_if_the_judge_refuses_what_they_dislike():
    """Of 40 routers, few may miss the mean .5, although the judge scores only what users like."""
    rng, missed = np.random.default_rng(5), 0
    sla = SLA("gold", floor=0.75, confidence=0.9)
    for _ in range(40):
        labels, users, known = JudgedLabels(), [0.0, 0.0], 0.7
        for _ in range(600):
            user = float(rng.random() < 0.5)
            judge = 1.0 if user or rng.random() < 0.05 else None
            labels.draw(judge, 0.75, 1.0)
            if rng.random() < 0.1:
                users = [users[0] + 1.0, users[1] + user]
                labels.pair(user, judge, slope=known, weight=1.0)
        [found] = judged_certificates_of(sla, {"j": labels}, tuple(users))
        missed += not found.with_users.lower <= 0.5 <= found.with_users.upper
        assert found.with_users.verdict != "kept"
    assert missed <= 0.1 * 40


def test_a_user_who_labels_what_a_judge_refused_makes_a_pair():
    first, second = new_router(), new_router()
    for router, user_first in ((first, True), (second, False)):
        for number, id in enumerate(served(router, 20)):
            for by_user in (user_first, not user_first):
                if by_user:
                    router.feedback(id, score=1.0)
                else:
                    router.judgement(id, "strict", failure="refused", rate=0.5)
            router.feedback(id, score=float(number % 2))
    [found] = first.certificate("gold").judged
    assert first.certificate("gold").judged == second.certificate("gold").judged
    assert (found.pairs, found.failures, found.drawn) == (20, 20, 0)
    assert found.with_users.satisfaction == pytest.approx(0.5)
    [whole, *_] = first.judge_agreements()
    assert (whole.pairs, whole.bias) == (0.0, None)


def test_bounds_that_contradict_each_other_decide_nothing():
    """Users were dissatisfied for long, and satisfied since there is a judge."""
    labels = JudgedLabels()
    for _ in range(2000):
        labels.draw(1.0, 0.7, 1.0)
        labels.pair(1.0, 1.0, slope=1.0, weight=1.0)
    [found] = judged_certificates_of(GOLD, {"j": labels}, (20_000.0, 2000.0 + 0.3 * 18_000.0))
    assert found.with_users.lower <= 0.37 < 1.0 <= found.with_users.upper
    assert found.with_users.verdict == "unknown"
