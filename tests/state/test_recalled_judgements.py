"""What judges said of a decision that the state forgot is known again once it is recalled."""

import pytest
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.core.snapshots import unpack
from floorline.errors import InvalidInput
from floorline.events import Recall, decode_event, encode_event
from floorline.stores import open_store

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])
GOLD = SLA("gold", floor=0.75)
MEMORY = 4


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path}/log.db")
    yield opened
    opened.close()


def new_router(log=None, memory=MEMORY):
    return Router(ZOO, slas=[GOLD], seed=3, memory=memory, log=log, id_prefix="r-")


def serve(router, number):
    made = router.route(f"Question {number}", at=float(number))
    router.outcome(made.id, cost=1.0, at=float(number))
    return made


def forget(router, store, made):
    """Serve others until a decision is forgotten, and restore it from the log."""
    for number in range(MEMORY + 1):
        serve(router, 100 + number)
    assert router.find(made.id) is None
    store.flush()
    assert router.restore_decision(made, *store.feedback_of(made.id), at=200.0)


def judged(router):
    [found] = router.certificate("gold").judged
    return found


def test_a_late_label_makes_a_pair_with_an_earlier_judgement(store):
    router = new_router(store)
    made = serve(router, 0)
    router.judgement(made.id, "strict", 0.25, rate=0.5, at=1.0)
    forget(router, store, made)
    router.feedback(made.id, score=1.0, at=201.0)
    assert judged(router).pairs == 1
    assert router.judge_agreements()[0].bias == pytest.approx(-0.75)


def test_a_late_label_makes_a_pair_with_a_refusal(store):
    router = new_router(store)
    made = serve(router, 0)
    router.judgement(made.id, "strict", failure="refused", rate=0.5, at=1.0)
    forget(router, store, made)
    router.feedback(made.id, score=1.0, at=201.0)
    assert (judged(router).pairs, judged(router).failures) == (1, 1)


def test_a_second_judgement_counts_once_also_after_a_recall(store):
    router = new_router(store)
    made = serve(router, 0)
    router.judgement(made.id, "strict", 1.0, rate=0.5, at=1.0)
    before = judged(router), router.judge_agreements()
    forget(router, store, made)
    assert not router.judgement(made.id, "strict", 0.0, rate=0.5, at=201.0)
    assert (judged(router), router.judge_agreements()) == before
    # Of another model's response it is the first one.
    other = "large" if made.model == "small" else "small"
    assert router.judgement(made.id, "strict", 0.0, model=other, at=202.0)


@pytest.mark.parametrize("label_first", [True, False])
def test_a_correction_of_a_forgotten_pair_moves_it(store, label_first):
    """As it does for a router that forgets nothing."""
    remembering = new_router(memory=1000)
    forgetting = new_router(store)
    for router in (remembering, forgetting):
        made = serve(router, 0)
        for by_user in (label_first, not label_first):
            if by_user:
                router.feedback(made.id, score=1.0, at=1.0)
            else:
                router.judgement(made.id, "strict", 0.25, rate=0.5, at=1.0)
    for number in range(MEMORY + 1):
        serve(remembering, 100 + number)
    forget(forgetting, store, made)
    for router in (remembering, forgetting):
        router.feedback(made.id, score=0.0, at=201.0)
    assert judged(forgetting).pairs == judged(remembering).pairs == 1
    assert forgetting.judge_agreements()[0].bias == remembering.judge_agreements()[0].bias == 0.25
    sums = [fold_of(r).ledgers_["gold"].judges_.of("strict") for r in (remembering, forgetting)]
    assert sums[0].rest_.total_ == pytest.approx(sums[1].rest_.total_)
    assert (sums[0].better_, sums[0].worse_) == pytest.approx((sums[1].better_, sums[1].worse_))


def test_log_and_snapshot_give_the_recalled_state_again(store):
    router = new_router(store)
    made = serve(router, 0)
    router.judgement(made.id, "strict", 0.25, rate=0.5, at=1.0)
    router.judgement(made.id, "kind", failure="refused", at=1.0)
    router.feedback(made.id, score=1.0, at=1.0)
    forget(router, store, made)
    middle = router.snapshot()
    store.flush()
    folded, restored = new_router(), new_router()
    folded.apply(store.read())
    restored.restore(middle)
    assert folded.snapshot() == restored.snapshot() == middle
    for again in (router, restored):
        again.feedback(made.id, score=0.5, at=201.0)
    assert restored.snapshot() == router.snapshot()
    records = {
        row[0]: row[5] for row in unpack(router.snapshot(decisions=False))["fold"]["records_"]
    }
    assert set(records[made.id]) == {"strict", "kind"}


def test_a_decision_is_recalled_twice_with_what_was_said_between(store):
    router = new_router(store)
    made = serve(router, 0)
    router.judgement(made.id, "strict", 0.25, rate=0.5, at=1.0)
    forget(router, store, made)
    router.judgement(made.id, "kind", 1.0, rate=0.5, at=201.0)
    forget(router, store, made)
    assert store.feedback_of(made.id).judged == {
        "strict": {made.model: 0.25},
        "kind": {made.model: 1.0},
    }
    assert not router.judgement(made.id, "kind", 0.5, at=203.0)
    assert not router.judgement(made.id, "strict", 0.5, at=203.0)


def test_a_recall_of_version_3_is_read_and_has_no_judgements():
    made = serve(new_router(), 0)
    older = Recall(decision=made, scores={made.model: 1.0}, v=3)
    read = decode_event(encode_event(older))
    assert (read.v, read.judged, read.scores) == (3, {}, {made.model: 1.0})


@pytest.mark.parametrize("bad", [{"": {"small": 2.0}}, {"strict": {"small": -0.1}}])
def test_a_recall_of_a_bad_score_is_refused(bad):
    made = serve(new_router(), 0)
    with pytest.raises(InvalidInput, match=r"Recall\.judged"):
        Recall(decision=made, judged=bad)
