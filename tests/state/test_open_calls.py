"""Calls without an outcome: what is reserved for them, and how long they are remembered."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.conftest import Vectors
from tests.support.inside import fold_of

from floorline import CallLimits, Judge, Model, Router, Zoo
from floorline.errors import BudgetExhausted, UnknownDecision
from floorline.events import CLIENT, GATEWAY, RequestContext
from floorline.sla import SLA, Budget

BY_GATEWAY = RequestContext(call_by=GATEWAY)
BY_CLIENT = RequestContext(call_by=CLIENT)


def build(budget=None, *, memory=50, **prices):
    """Router of one model at 1 per output token, whose answers are expected to have 10 tokens."""
    model = Model("only", output_price=1e6, typical_output_tokens=10.0, **prices)
    sla = SLA("gold", floor=0.5, budget=budget)
    return Router(Zoo([model]), "cheapest", [sla], encoder=Vectors(), memory=memory)


def ask(router, context=BY_GATEWAY, limits=None, at=0.0):
    return router.route(features=np.zeros(6), context=context, limits=limits, at=at)


def reserved(router):
    return router.status("gold").reserved


def test_the_largest_cost_is_reserved_and_the_real_one_charged():
    router = build(Budget(total=100.0))
    decision = ask(router, limits=CallLimits(0, 60))
    assert (decision.reserved, reserved(router)) == ((60.0,), 60.0)
    with pytest.raises(BudgetExhausted):
        ask(router, limits=CallLimits(0, 41))
    assert ask(router, limits=CallLimits(0, 20, 2)).reserved == (40.0,)
    router.outcome(decision.id, cost=30.0)
    assert (reserved(router), router.budget_left(at=0.0)[0]) == (40.0, 30.0)


def test_without_limits_the_expected_cost_is_reserved():
    router = build(Budget(total=100.0))
    assert (ask(router).reserved, reserved(router)) == ((), 10.0)


def test_a_model_bounds_its_answers_itself():
    router = build(Budget(total=100.0), max_output_tokens=50)
    assert ask(router, limits=CallLimits(0, 1000)).reserved == (50.0,)
    assert build(Budget(total=100.0), max_output_tokens=50).zoo.largest_costs(CallLimits(0)) == 50.0


def test_an_unbounded_request_reserves_all_that_is_left_and_is_served_alone():
    router = build(Budget(total=100.0))
    first = ask(router, limits=CallLimits(0))
    assert first.reserved == (100.0,)
    with pytest.raises(BudgetExhausted):
        ask(router, limits=CallLimits(0))
    router.outcome(first.id, cost=20.0)
    assert ask(router, limits=CallLimits(0)).reserved == (80.0,)


def test_a_call_of_the_gateway_stays_open_whatever_comes_after_it():
    router = build(Budget(total=1e6), memory=50)
    slow = ask(router, limits=CallLimits(0, 60))
    for _ in range(200):
        router.outcome(ask(router).id, cost=1.0)
    assert slow.id in router.remembered
    assert len(router.remembered) == 51
    assert [record.decision.id for record in router.open_calls()] == [slow.id]
    twin = build(Budget(total=1e6), memory=50)
    twin.restore(router.snapshot())
    for one in (router, twin):
        assert one.outcome(slow.id, cost=33.0, at=1.0)
        assert one.status("gold").spent == 233.0
        assert reserved(one) == 0.0
        assert len(one.remembered) == 50
    assert twin.snapshot() == router.snapshot()


def test_more_open_calls_than_memory_are_all_charged():
    router = build(Budget(total=1e6), memory=3)
    calls = [ask(router).id for _ in range(20)]
    for call in reversed(calls):
        assert router.outcome(call, cost=2.0)
    assert router.status("gold").spent == 40.0
    assert len(router.remembered) <= 3
    assert fold_of(router).open_ == {}


def test_snapshots_name_open_calls_that_the_log_has():
    router = build(Budget(total=1e6), memory=1)
    calls = {decision.id: decision for decision in (ask(router), ask(router), ask(router))}
    twin = build(Budget(total=1e6), memory=1)
    twin.restore(router.snapshot(decisions=False), lambda ids: {i: calls[i] for i in ids})
    assert twin.snapshot() == router.snapshot()
    assert twin.remembered == router.remembered == tuple(calls)


@pytest.mark.parametrize("context", [BY_CLIENT, RequestContext()])
def test_other_open_calls_are_forgotten_and_charged_at_their_expected_cost(context):
    router = build(Budget(total=1e6), memory=2)
    first = ask(router, context, CallLimits(0, 500))
    for _ in range(2):
        router.outcome(ask(router).id, cost=1.0)
    with pytest.raises(UnknownDecision):
        router.outcome(first.id, cost=0.0)
    assert (router.status("gold").spent, reserved(router)) == (12.0, 0.0)


def test_a_call_that_its_client_does_not_report_for_two_hours_costs_what_was_expected():
    router = build(Budget(total=1000.0))
    lost = ask(router, BY_CLIENT, CallLimits(0, 400), at=0.0)
    told = ask(router, BY_CLIENT, CallLimits(0, 400), at=1.0)
    router.outcome(told.id, cost=5.0)
    last = ask(router, BY_CLIENT, CallLimits(0, 100), at=7200.0)
    assert reserved(router) == 500.0
    router.outcome(ask(router, at=7201.0).id, cost=1.0)
    assert (reserved(router), router.status("gold").spent) == (100.0, 16.0)
    assert not router.outcome(lost.id, cost=0.0)
    twin = build(Budget(total=1000.0))
    twin.restore(router.snapshot())
    for one in (router, twin):
        ask(one, at=19999.0)
        assert one.status("gold").spent == 16.0 + last.expected_cost


def test_judges_and_calls_at_the_same_time_share_the_budget():
    """Judges work outside the router's lock: what they cost is kept from calls meanwhile."""
    router = build(Budget(total=100.0))
    judged = [ask(router).id for _ in range(6)]
    for decision in judged:
        router.outcome(decision, cost=5.0)
    at_work, go_on = threading.Semaphore(0), threading.Event()

    def score(decision, response):
        at_work.release()
        assert go_on.wait(60)
        return 1.0

    judge = Judge(score, rate=1.0, cost=30.0)
    with ThreadPoolExecutor(6) as pool:
        # 70 are left: two judges fit, four are not asked.
        labels = [pool.submit(router.judge_response, judge, d, at=0.0) for d in judged]
        assert at_work.acquire(timeout=60)
        assert at_work.acquire(timeout=60)
        with pytest.raises(BudgetExhausted):
            ask(router, limits=CallLimits(0, 11))
        call = ask(router, limits=CallLimits(0, 10))
        go_on.set()
        assert sum(label.result(60) for label in labels) == 2
    router.outcome(call.id, cost=10.0)
    assert router.status("gold").spent == 100.0
    failing = Judge(lambda decision, response: 1 / 0, rate=1.0, cost=0.0)
    with pytest.raises(ZeroDivisionError):
        router.judge_response(failing, call.id, at=0.0)
    assert router.budget_left(at=0.0)[0] == 0.0
