"""Drawn responses that a judge did not see: they are known, and bounds hold without them."""

import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.core.snapshots import pack, unpack
from floorline.guarantees import betting_interval
from floorline.state.judged_certificate import judged_certificates_of
from floorline.state.judged_labels import JudgedLabels
from floorline.stores import open_store

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])
GOLD = SLA("gold", floor=0.75)


def new_router(**given):
    return Router(ZOO, slas=[GOLD], seed=3, id_prefix="r-", **given)


def serve(router, number=0):
    made = router.route(f"Question {number}", at=float(number))
    router.outcome(made.id, cost=1.0, at=float(number))
    return made


def judged(router):
    [found] = router.certificate("gold").judged
    return found


def test_a_draw_that_the_budget_cannot_pay_is_known_and_no_failure():
    router = new_router()
    for number in range(10):
        made = serve(router, number)
        if number < 4:
            router.judgement(made.id, "strict", 1.0, rate=0.5)
        else:
            router.judgement(made.id, "strict", failure="budget", rate=0.25)
    found = judged(router)
    assert (found.drawn, found.failures, found.missed) == (4, 0, 6)
    # Four draws of probability .5 stand for 8 responses, six of .25 for 24; the first weighed more.
    assert found.seen_share == pytest.approx(4 / 10)
    [whole, *_] = router.judge_agreements()
    assert (whole.failures, whole.missed) == ({}, {"budget": 6})
    assert "6 drawn and not seen, so it saw 40%" in dict(found.rows())["judge strict"]


def test_a_missed_draw_counts_once_and_the_judge_may_still_see_the_response():
    router = new_router()
    made = serve(router)
    assert router.judgement(made.id, "strict", failure="budget", rate=0.5)
    assert not router.judgement(made.id, "strict", failure="lost", rate=0.5)
    router.feedback(made.id, score=1.0)
    labels = fold_of(router).ledgers_["gold"].judges_.of("strict")
    assert (labels.missed_, labels.missed_pair_weight_, labels.pairs_) == (1, 1.0, 0)
    assert router.judgement(made.id, "strict", 1.0)
    assert (labels.missed_, labels.pairs_, labels.drawn_) == (1, 1, 0)
    assert not router.judgement(made.id, "strict", failure="budget", rate=0.5)


def test_a_label_before_the_missed_draw_makes_a_missed_pair_too():
    router = new_router()
    made = serve(router)
    router.feedback(made.id, score=1.0)
    router.judgement(made.id, "strict", failure="budget")
    router.feedback(made.id, score=0.0)
    labels = fold_of(router).ledgers_["gold"].judges_.of("strict")
    assert (labels.missed_, labels.missed_pair_weight_, labels.pairs_) == (0, 1.0, 0)


def test_bounds_hold_if_the_budget_ends_before_the_bad_hours_of_each_day():
    """Satisfied are .95 in the first 60 % of each day, which the budget pays for, then .5."""
    rng, sla, missed, missed_without = np.random.default_rng(5), SLA("s", floor=0.9), 0, 0
    mean = 0.6 * 0.95 + 0.4 * 0.5
    for _ in range(100):
        labels = JudgedLabels()
        for number in range(2000):
            early = number % 100 < 60
            if rng.random() >= 0.3:
                continue
            if early:
                labels.draw(float(rng.random() < 0.95), 0.9, 0.3)
            else:
                labels.miss(0.3)
        [found] = judged_certificates_of(sla, {"j": labels}, (0.0, 0.0))
        missed += not found.by_judge.lower <= mean <= found.by_judge.upper
        assert found.by_judge.verdict == "unknown"
        assert found.seen_share == pytest.approx(0.6, abs=0.1)
        seen = betting_interval(labels.weight_, labels.satisfied_, 0.05)
        missed_without += not seen.lower <= mean <= seen.upper
    assert missed <= 5
    assert missed_without > 90


def test_bounds_of_users_hold_if_the_judge_sees_only_what_they_like():
    """The budget ends before the hours in which the judge is too kind."""
    rng, sla, missed = np.random.default_rng(5), SLA("s", floor=0.5, confidence=0.9), 0
    for _ in range(60):
        labels, users = JudgedLabels(), [0.0, 0.0]
        for number in range(1500):
            early = number % 100 < 50
            user = float(rng.random() < (0.9 if early else 0.3))
            drawn, labelled = rng.random() < 0.3, rng.random() < 0.1
            if drawn and early:
                labels.draw(user, 0.5, 0.3)
            elif drawn:
                labels.miss(0.3)
            if labelled:
                users = [users[0] + 1.0, users[1] + user]
                if early:
                    labels.pair(user, user, slope=1.0, weight=1.0)
                else:
                    labels.miss_pair(1.0)
        [found] = judged_certificates_of(sla, {"j": labels}, tuple(users))
        missed += not found.with_users.lower <= 0.6 <= found.with_users.upper
    assert missed <= 0.1 * 60


def test_nothing_missed_leaves_the_bounds_as_they_are():
    labels = JudgedLabels()
    for number in range(200):
        labels.draw(float(number % 5 > 0), 0.5, 0.3)
        labels.pair(float(number % 5 > 0), 1.0, slope=0.5, weight=1.0)
    [found] = judged_certificates_of(SLA("s", floor=0.5), {"j": labels}, (200.0, 160.0))
    own = betting_interval(labels.weight_, labels.satisfied_, 0.05)
    bounds = found.by_judge.lower, found.by_judge.upper
    assert bounds == pytest.approx((own.lower, own.upper), abs=1e-9)
    assert (found.missed, found.seen_share) == (0, 1.0)


def test_what_was_missed_is_known_after_a_recall(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/log.db")
    router = new_router(log=store, memory=3)
    made = serve(router)
    router.judgement(made.id, "strict", failure="budget", rate=0.5)
    for number in range(1, 6):
        serve(router, number)
    store.flush()
    given = store.feedback_of(made.id)
    assert (given.judged, given.unseen) == ({}, {"strict": [made.model]})
    router.restore_decision(made, *given, at=9.0)
    assert not router.judgement(made.id, "strict", failure="budget", rate=0.5)
    router.feedback(made.id, score=1.0)
    labels = fold_of(router).ledgers_["gold"].judges_.of("strict")
    assert (labels.missed_, labels.missed_pair_weight_) == (1, 1.0)
    store.flush()
    folded, restored = new_router(memory=3), new_router(memory=3)
    folded.apply(store.read())
    restored.restore(router.snapshot())
    assert folded.snapshot() == restored.snapshot() == router.snapshot()
    store.close()


def test_a_snapshot_of_version_9_has_judges_that_missed_nothing():
    router = new_router()
    made = serve(router)
    router.judgement(made.id, "strict", 1.0, rate=0.5)
    router.feedback(made.id, score=1.0)
    state = unpack(router.snapshot())
    state["version"] = 9
    del state["fold"]["judges_"]["judges_"]["strict"]["missed_"]
    labels = state["fold"]["ledgers_"]["gold"]["judges_"]["judges_"]["strict"]
    for name in [name for name in labels if name.startswith("missed")]:
        del labels[name]
    restored = new_router()
    restored.restore(pack(state))
    assert restored.snapshot() == router.snapshot()
