import msgspec
import numpy as np
import pytest

from floorline.core.snapshots import pack, unpack
from floorline.policies.base import Request, certain
from floorline.state.ledger import Ledger
from floorline.state.sessions import Sessions

QUALITY, COST = np.array([0.5, 0.7, 0.9]), np.array([1.0, 4.0, 20.0])


@pytest.fixture
def decision(build_router, vector):
    """Make a decision for a model in a conversation."""
    router = build_router("cheapest")

    def make(session, model="small", at=0.0):
        made = router.route(features=vector(0))
        return msgspec.structs.replace(made, session=session, model=model, at=at)

    return make


def behind(labels=10, satisfied=0.0):
    ledger = Ledger()
    ledger.labels_, ledger.satisfied_ = labels, satisfied
    return ledger


def stay(sessions, zoo, choice, *, ledger=None, allowed=None, at=1.0, floor=0.8):
    request = Request(np.zeros(6, np.float32), "gold", floor, allowed=allowed)
    return sessions.stay("talk", choice, request, zoo, ledger or Ledger(), at)


def test_the_latest_model_of_a_conversation_is_remembered(decision):
    sessions = Sessions()
    sessions.note(decision("talk", "small"))
    sessions.note(decision("talk", "large", at=5.0))
    assert sessions.model("talk", 6.0) == "large"
    assert sessions.model("other", 6.0) is None


def test_after_an_hour_the_cached_prompt_is_gone(decision):
    sessions = Sessions()
    sessions.note(decision("talk", at=10.0))
    assert sessions.model("talk", 3610.0) == "small"
    assert sessions.model("talk", 3610.1) is None


def test_the_conversation_served_longest_ago_is_forgotten_first(decision):
    sessions = Sessions(capacity=2)
    for session in ("a", "b", "a", "c"):
        sessions.note(decision(session))
    assert [sessions.model(name, 1.0) for name in "abc"] == ["small", None, "small"]


def test_a_conversation_stays_on_its_model(decision, zoo):
    sessions = Sessions()
    sessions.note(decision("talk", "small"))
    kept = stay(sessions, zoo, certain(2, QUALITY, COST)._replace(prediction=QUALITY))
    assert (kept.model, kept.called, kept.propensities.tolist()) == (0, (0,), [1.0, 0.0, 0.0])
    assert kept.prediction is QUALITY


@pytest.mark.parametrize(
    "case",
    [
        {"choice": certain(2, QUALITY, COST, explored=True)},
        {"allowed": np.array([False, True, True])},
        {"ledger": behind()},
        {"at": 4000.0},
    ],
    ids=["exploration", "not allowed", "SLA below its floor", "an hour later"],
)
def test_the_policys_choice_holds_where_the_conversations_model_may_not_serve(case, decision, zoo):
    sessions = Sessions()
    sessions.note(decision("talk", "small"))
    choice = case.pop("choice", certain(2, QUALITY, COST))
    assert stay(sessions, zoo, choice, **case) is choice


def test_below_the_floor_a_model_that_is_good_enough_keeps_its_conversation(decision, zoo):
    sessions = Sessions()
    sessions.note(decision("talk", "medium"))
    choice = certain(2, QUALITY, COST)
    assert stay(sessions, zoo, choice, ledger=behind(), floor=0.7).model == 1
    assert stay(sessions, zoo, choice, ledger=behind(), floor=0.8).model == 2


def test_a_model_that_left_the_zoo_keeps_no_conversation(decision, zoo):
    sessions = Sessions()
    sessions.note(decision("talk", "small"))
    choice = certain(0, QUALITY[1:], COST[1:])
    assert stay(sessions, zoo.without("small"), choice) is choice


def test_a_snapshot_keeps_the_order_of_conversations(decision):
    sessions, other = Sessions(capacity=2), Sessions(capacity=2)
    for session in ("b", "a", "b"):
        sessions.note(decision(session))
    other.restore(unpack(pack(sessions.snapshot())))
    for one in (sessions, other):
        one.note(decision("c"))
        assert list(one.served_) == ["b", "c"]
