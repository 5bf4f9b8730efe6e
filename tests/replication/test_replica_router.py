"""A replica decides from the fold of the log up to a published state, and its own events since."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.replication.cluster import Cluster, new_router

from floorline import SLA, Model
from floorline.errors import BudgetExhausted
from floorline.events import CLIENT, Decision, Feedback, Outcome, RequestContext
from floorline.replication import tables
from floorline.replication.budget_shares import used_by
from floorline.replication.escrow import Escrow
from floorline.replication.members import Membership
from floorline.replication.shares import Account
from floorline.sla import Budget
from floorline.state.foreign_events import completed
from floorline.stores.engine import open_engine
from floorline.stores.keys import ApiKey
from floorline.stores.upgrade import upgrade


@pytest.fixture
def cluster(url, engine):
    made = Cluster(url, engine)
    yield made
    made.close()


def state_of(router):
    return router.snapshot(records=False)


def serve(member, number, *, outcome=True, label=None):
    made = member.router.route(f"Question {number}", at=float(number))
    if outcome:
        member.router.outcome(made.id, cost=1.0, at=float(number))
    if label is not None:
        member.router.feedback(made.id, satisfied=label, at=float(number))
    return made


def test_all_replicas_get_to_the_state_of_the_learner(cluster):
    a, b = cluster.members.values()
    for number in range(30):
        serve(a, number, label=number % 4 > 0)
        serve(b, number, label=number % 3 > 0 if number % 2 else None)
        if number % 10 == 9:
            cluster.step()
            a.refresh()
    cluster.settle()
    learned = state_of(cluster.learner._router)
    assert state_of(a.router) == state_of(b.router) == learned
    folded = new_router()
    folded.apply(cluster.log())
    assert state_of(folded) == learned
    assert a.router.status("gold").requests == 60
    assert a.router.status("gold").labels == 45


def test_two_replicas_draw_different_numbers(cluster):
    a, b = cluster.members.values()
    assert a.router._rng.at(1).random() != b.router._rng.at(1).random()


def test_own_decisions_count_before_the_learner_knows_them(cluster):
    a, b = cluster.members.values()
    serve(b, 0)
    cluster.settle()
    serve(a, 1, outcome=False)
    serve(b, 2)
    b.store.flush()
    cluster.step()
    serve(a, 3)
    assert a.refresh()
    # One of b's before, one of b's since, two of its own, of which the state has none or one.
    assert a.router.status("gold").requests == 4
    assert a.router.status("gold").reserved > 0.0


def test_an_outcome_settles_a_call_that_the_state_has_open(cluster):
    a, _ = cluster.members.values()
    made = serve(a, 0, outcome=False)
    a.store.flush()
    cluster.step()
    a.router.outcome(made.id, cost=3.0, at=1.0)
    a.refresh()
    status = a.router.status("gold")
    assert (status.spent, status.reserved) == (3.0, 0.0)
    cluster.settle()
    assert a.router.status("gold").spent == 3.0


def test_labels_are_learned_by_the_learner_only(cluster):
    a, _ = cluster.members.values()
    made = serve(a, 0)
    assert a.router.feedback(made.id, satisfied=True, at=1.0)
    assert a.router.status("gold").labels == 0
    cluster.settle()
    assert a.router.status("gold").labels == 1


def test_another_replica_takes_feedback(cluster):
    a, b = cluster.members.values()
    made = serve(a, 0)
    a.store.flush()
    # Before the learner saw the decision: it is found in the inbox.
    found = b.store.decision(made.id)
    assert found is not None
    b.router.restore_decision(found, *b.store.feedback_of(made.id), at=1.0)
    assert b.router.feedback(made.id, satisfied=False, at=1.0)
    cluster.settle()
    assert cluster.learner._router.status("gold").labels == 1


@pytest.mark.parametrize("change", ["model", "sla", "gone"])
def test_a_decision_of_old_models_is_fitted(cluster, change):
    a, _ = cluster.members.values()
    cluster.settle()
    made = serve(a, 0, label=True)
    a.store.flush()
    learned = cluster.learner._router
    if change == "model":
        learned.add_model(Model("middle", call_price=2.0), at=1.0)
    elif change == "gone":
        learned.remove_model(made.model, at=1.0)
    else:
        learned.set_sla(SLA("silver", floor=0.5), at=1.0)
        learned.remove_sla("gold", at=1.0)
    cluster.settle()
    decision = next(event for event in cluster.log() if isinstance(event, Decision))
    if change == "model":
        assert decision.models == ("small", "large", "middle")
        assert len(decision.propensities) == 3
        assert decision.models[decision.index] == decision.model == made.model
        assert decision.propensity == made.propensity
    else:
        assert (decision.policy, decision.sla) == ("direct", "")
    folded = new_router()
    folded.apply(cluster.log())
    assert state_of(folded) == state_of(learned) == state_of(a.router)


def test_a_replica_spends_its_share_and_no_more(cluster):
    """With the database away it goes on until its share is used, whatever the others have left."""
    paid = SLA("paid", floor=0.0, budget=Budget(total=40.0))
    cluster.learner._router.set_sla(paid, at=0.0)
    cluster.settle()
    a, b = cluster.members.values()
    for member in (a, b):
        shares = member.router.budgets.shares
        shares.watch(member.router.budgets.accounts(member.router.slas.values()))
        escrow = Escrow(member.store.engine, member.store.replica)
        for (name, start), granted in escrow.grant(shares.wanted(0.0), 2).items():
            shares.set_granted(name, start, granted)
    # 40 / 8 for the first, and an eighth of the rest for the second.
    assert a.router.budget_left("paid", at=0.0).max() == 5.0
    assert b.router.budget_left("paid", at=0.0).max() == 35.0 / 8
    served = 0
    for number in range(20):
        with suppress(BudgetExhausted):
            made = a.router.route(f"Question {number}", "paid", at=1.0)
            a.router.outcome(made.id, cost=1.0, at=1.0)
            served += 1
    assert 0 < served <= 5
    a.store.flush()
    cluster.learner.step()
    used = used_by(cluster.learner._store, "a", a.router.slas)
    assert used == {("sla:paid", 0.0): float(served)}
    assert Escrow(a.store.engine, "b").reclaim({}) == 35.0 / 8
    # The budget of a key counts the same calls.
    made = b.router.route("Question", at=61.0, context=RequestContext(key="k1"))
    b.router.outcome(made.id, cost=2.5, at=61.0)
    b.store.flush()
    cluster.learner.step()
    key = ApiKey(
        id="k1", digest=b"", name="k", scopes=("chat",), budget=9.0, period=60.0, created=0.0
    )
    assert used_by(cluster.learner._store, "b", b.router.slas, [key]) == {("key:k1", 60.0): 2.5}


def test_a_replica_asks_for_what_its_requests_need(cluster):
    """A share that can pay for no model is filled up to the price of those that did not fit."""
    paid = SLA("paid", floor=0.0, budget=Budget(total=40.0))
    cluster.learner._router.set_sla(paid, at=0.0)
    cluster.settle()
    a = cluster.members["a"]
    shares = a.router.budgets.shares
    shares.watch(a.router.budgets.accounts(a.router.slas.values()))
    shares.set_granted("sla:paid", 0.0, 0.5)
    with pytest.raises(BudgetExhausted):
        a.router.route("Question", "paid", at=1.0)
    assert [wanted.least for wanted in shares.wanted(1.0)] == [5.0]


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_replicas_state_is_what_it_should_be(data, tmp_path_factory):
    """After any steps: the fold of the log up to the state, then its own events since."""
    url = f"sqlite:///{tmp_path_factory.mktemp('log') / 'log.db'}"
    engine = open_engine(url)
    upgrade(engine)
    tables.create(engine)
    cluster = Cluster(url, engine)
    open_calls = {name: [] for name in cluster.members}
    number = 0
    try:
        for _ in range(data.draw(st.integers(5, 30))):
            name = data.draw(st.sampled_from(sorted(cluster.members)))
            member, mine = cluster.members[name], open_calls[name]
            action = data.draw(st.sampled_from(_ACTIONS))
            number += 1
            if action == "route":
                mine.append(serve(member, number, outcome=False).id)
            elif action == "outcome" and mine:
                member.router.outcome(mine.pop(0), cost=2.0, at=float(number))
            elif action == "label" and member.router.remembered:
                id = data.draw(st.sampled_from(member.router.remembered))
                member.router.feedback(id, satisfied=data.draw(st.booleans()), at=float(number))
            elif action == "step":
                member.store.flush()
                cluster.step()
            elif action == "refresh":
                member.refresh()
                expected = new_router()
                expected.apply(cluster.log()[: member.router.state_position])
                for _, event in member.router._own:
                    if not isinstance(event, Feedback):
                        expected._fold.apply(completed(expected._fold, event))
                assert state_of(expected) == state_of(member.router)
        cluster.settle()
        assert len({state_of(m.router) for m in cluster.members.values()}) == 1
    finally:
        cluster.close()
        engine.dispose()


_ACTIONS = ("route", "route", "outcome", "label", "step", "refresh")


def test_labels_are_remembered_across_states(cluster):
    a, _ = cluster.members.values()
    cluster.settle()
    made = serve(a, 1)
    assert a.router.feedback(made.id, satisfied=True, key="message 1", at=1.0)
    # A state without this replica's events, as it is when another replica's come first.
    serve(cluster.members["b"], 2)
    cluster.members["b"].store.flush()
    before = cluster.learner._store.inbox.take
    cluster.learner._store.inbox.take = lambda *given: without(before(*given), "a")
    cluster.step()
    cluster.learner._store.inbox.take = before
    assert a.refresh()
    assert dict(a.router.find(made.id).scores) == {made.model: 1.0}
    assert not a.router.feedback(made.id, satisfied=True, at=2.0)
    assert not a.router.feedback(made.id, satisfied=False, key="message 1", at=2.0)
    assert a.router.feedback(made.id, satisfied=False, key="message 2", at=3.0)
    cluster.settle()
    assert a.router.status("gold").labels == 1


def without(taken, replica):
    return taken._replace(events=[one for one in taken.events if one.replica != replica])


def test_without_a_learner_the_memory_is_bounded_and_nothing_is_lost(cluster):
    a, b = cluster.members.values()
    cluster.settle()
    a.router._max_own = 10
    for number in range(20):
        serve(a, number)
    assert len(a.router._own) == 10
    assert a.router.status("gold").requests == 20
    # A state without the events that are no longer kept would forget them.
    serve(b, 20)
    b.store.flush()
    a.store.flush()
    take = cluster.learner._store.inbox.take
    cluster.learner._store.inbox.take = lambda consumed, limit: take(consumed, 10)
    cluster.step()
    state = a.store.state(a.router.state_position)
    assert state is not None
    assert not a.router.can_adopt(state)
    cluster.learner._store.inbox.take = take
    cluster.step()
    state = a.store.state(a.router.state_position)
    assert a.router.can_adopt(state)
    cluster.settle()
    assert a.router.status("gold").requests == 21
    assert state_of(a.router) == state_of(cluster.learner._router)


def test_a_call_that_is_reported_elsewhere_holds_no_share(cluster):
    a, b = cluster.members.values()
    cluster.settle()
    shares = a.router.budgets.shares
    shares.watch([Account("sla:gold", 100.0, None)])
    shares.set_granted("sla:gold", 0.0, 10.0)
    context = RequestContext(call_by=CLIENT)
    made = a.router.route("Question", at=1.0, context=context)
    cluster.settle()
    assert shares.left("sla:gold", 1.0) == 10.0 - sum(made.reservations.values())
    assert a.router.open_calls()
    b.router.restore_decision(b.store.decision(made.id), at=2.0)
    b.store.append(Outcome(decision=made.id, model=made.model, cost=1.0, at=2.0))
    cluster.settle()
    assert a.router.open_calls() == []
    assert shares.used() == {("sla:gold", 0.0): made.cost[made.model]}
    assert not shares._calls
    assert state_of(a.router) == state_of(cluster.learner._router)


def test_replicas_that_ended_long_ago_are_forgotten(cluster):
    a, b = cluster.members.values()
    serve(a, 1)
    serve(b, 2)
    Membership(b.store.engine).beat("b", {})
    cluster.settle()
    cluster.learner.forget_replicas(3600.0)
    assert set(cluster.learner._consumed) == {"a", "b"}
    cluster.learner.forget_replicas(-1.0)
    assert set(cluster.learner._consumed) == {"b"}
    serve(b, 3)
    cluster.settle()
    assert a.store.state().consumed == {"b": 4}
