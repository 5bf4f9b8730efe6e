import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.events import Owner
from floorline.policies.base import Request, certain
from floorline.state.ledger import Ledger
from floorline.state.sessions import Session, Sessions

QUALITY, COST = np.array([0.5, 0.7, 0.9]), np.array([1.0, 4.0, 20.0])


@pytest.fixture
def decision(build_router, vector):
    """Make a decision for a model in a conversation."""
    router = build_router("cheapest")

    def make(session, model="small", at=0.0, tenant="", key=""):
        made = router.route(features=vector(0))
        changed = {"session": session, "model": model, "at": at, "tenant": tenant, "key": key}
        return msgspec.structs.replace(made, **changed)

    return make


def talk(name="talk", tenant="", key=""):
    return Session(Owner.of(tenant, key), name)


def behind(labels=10, satisfied=0.0):
    ledger = Ledger()
    ledger.labels_, ledger.label_weight_, ledger.satisfied_ = labels, labels, satisfied
    return ledger


def stay(sessions, zoo, choice, *, ledger=None, allowed=None, at=1.0, floor=0.8):
    request = Request(np.zeros(6, np.float32), "gold", floor, allowed=allowed)
    return sessions.stay(talk(), choice, request, zoo, ledger or Ledger(), at)


def test_the_latest_model_of_a_conversation_is_remembered(decision):
    sessions = Sessions()
    sessions.note(decision("talk", "small"))
    sessions.note(decision("talk", "large", at=5.0))
    assert sessions.model(talk("talk"), 6.0) == "large"
    assert sessions.model(talk("other"), 6.0) is None


def test_after_an_hour_the_cached_prompt_is_gone(decision):
    sessions = Sessions()
    sessions.note(decision("talk", at=10.0))
    assert sessions.model(talk("talk"), 3610.0) == "small"
    assert sessions.model(talk("talk"), 3610.1) is None


def test_the_conversation_served_longest_ago_is_forgotten_first(decision):
    sessions = Sessions(capacity=2)
    for session in ("a", "b", "a", "c"):
        sessions.note(decision(session))
    assert [sessions.model(talk(name), 1.0) for name in "abc"] == ["small", None, "small"]


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
        assert [name for *_, name in one.served_] == ["b", "c"]


texts = st.text("ab/@-. \x7f", max_size=4)
identities = st.tuples(texts, texts, texts.filter(bool))


@given(identities, identities)
def test_two_conversations_are_one_only_if_owner_and_name_are_equal(one, other):
    sessions = Sessions()
    made = [Named(*identity) for identity in (one, other)]
    sessions.note(made[0])
    same = made[0].owner == made[1].owner and one[2] == other[2]
    found = sessions.model(Session(made[1].owner, other[2]), 1.0)
    assert found == ("small" if same else None)


class Named:
    """What a decision is for sessions."""

    model = "small"
    at = 0.0

    def __init__(self, tenant, key, session):
        self.owner = Owner.of(tenant, key)
        self.session = session


def test_the_tenant_a_with_session_b_c_is_not_the_tenant_a_b_with_session_c(decision):
    sessions = Sessions()
    sessions.note(decision("b/c", "large", tenant="a"))
    assert sessions.model(talk("c", tenant="a/b"), 1.0) is None
    assert sessions.model(talk("b/c", tenant="a"), 1.0) == "large"


def test_keys_of_a_tenant_share_conversations_and_keys_without_one_do_not(decision):
    sessions = Sessions()
    sessions.note(decision("talk", tenant="acme", key="k1"))
    sessions.note(decision("chat", key="k1"))
    assert sessions.model(talk("talk", tenant="acme", key="k2"), 1.0) == "small"
    assert sessions.model(talk("chat", key="k1"), 1.0) == "small"
    assert sessions.model(talk("chat", key="k2"), 1.0) is None


def test_one_tenant_cannot_make_the_router_forget_the_others(decision):
    sessions = Sessions(capacity=10, owner_capacity=3)
    for tenant in "abc":
        sessions.note(Named(tenant, "", "kept"))
    for n in range(100):
        sessions.note(Named("greedy", "", f"s{n}"))
    assert all(sessions.model(talk("kept", tenant=t), 1.0) for t in "abc")
    assert [name for tenant, _, name in sessions.served_ if tenant == "greedy"] == [
        "s97",
        "s98",
        "s99",
    ]
    for n in range(100):
        sessions.note(Named(f"t{n}", "", "one"))
    assert len(sessions.served_) == 10
    assert sum(map(len, sessions._owned.values())) == 10


def test_a_restored_state_keeps_the_bounds_of_each_owner(decision):
    first = Sessions(capacity=10, owner_capacity=3)
    for n in range(3):
        first.note(Named("a", "", f"s{n}"))
    second = Sessions(capacity=10, owner_capacity=3)
    second.restore(unpack(pack(first.snapshot())))
    for sessions in (first, second):
        sessions.note(Named("a", "", "s0"))
        sessions.note(Named("a", "", "new"))
    assert list(first.served_) == list(second.served_)
    assert pack(first.snapshot()) == pack(second.snapshot())
