import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

import floorline
from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.encoders import HashedNgrams
from floorline.errors import BudgetExhausted, InvalidInput, UnknownDecision
from floorline.events import Decision, RequestContext, decode_event, encode_event
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.state.fold import MAX_KEYS
from floorline.state.judge import Judge
from floorline.zoo import Model, Zoo

GOLD = SLA("gold", floor=0.8)


def test_a_request_goes_round(zoo):
    router = floorline.Router(zoo, policy="mess_plus", slas=[GOLD], seed=1)
    decision = router.route("Explain CRDTs", sla="gold")
    assert decision.model in zoo.names
    assert (decision.sla, decision.floor, decision.seq) == ("gold", 0.8, 1)
    assert decision.input_tokens == 4
    assert 0 <= decision.expected_quality <= 1
    assert decision.expected_cost > 0
    assert router.outcome(decision.id, cost=0.5, output_tokens=10)
    assert router.feedback(decision.id, satisfied=True)
    status = router.status("gold")
    assert (status.requests, status.labels, status.satisfaction) == (1, 1, 1.0)
    assert (status.spent, status.cost_unit) == (0.5, "USD")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slas": []}, r"slas is \[\]: give at least one SLA"),
        ({"slas": [GOLD, GOLD]}, "slas is 'gold': give every SLA its own name"),
        ({"slas": [SLA("g", floor=1, models=("x",))]}, r"SLA\.models of SLA 'g' is 'x'"),
        ({"policy": "nothing"}, "policy is 'nothing': choose one of mess_plus"),
        ({"memory": 0}, "memory is 0: give a number of decisions of 1 or more"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message, zoo):
    with pytest.raises(InvalidInput, match=message):
        Router(zoo, **{"slas": [GOLD], **arguments})


def test_unknown_slas_are_refused_with_those_there_are(build_router, vector):
    router = build_router("random", [GOLD, SLA("silver", floor=0.5)])
    for use in (
        lambda: router.route(features=vector(0), sla="iron"),
        lambda: router.status("iron"),
        lambda: router.remove_sla("iron"),
    ):
        with pytest.raises(InvalidInput, match="sla is 'iron': name one of: gold, silver"):
            use()


def test_a_request_without_prompt_and_features_is_refused(build_router):
    with pytest.raises(InvalidInput, match="prompt is missing: give a prompt or its features"):
        build_router().route()


def test_the_first_sla_is_the_default_and_a_request_may_have_a_floor_of_its_own(
    build_router, vector
):
    router = build_router("random", [SLA("silver", floor=0.5), GOLD])
    assert router.route(features=vector(0)).sla == "silver"
    assert router.route(features=vector(0), sla="gold", floor=0.33).floor == 0.33


def test_features_may_be_lists_doubles_or_sparse(build_router, vector):
    routers = [build_router("mess_plus") for _ in range(4)]
    x = vector(1)
    forms = [x, x.tolist(), x.astype(np.float64), SparseFeatures(np.arange(6), x, 6)]
    made = [router.route(features=form) for router, form in zip(routers, forms, strict=True)]
    assert len({(d.model, tuple(d.propensities)) for d in made}) == 1


def test_ids_are_given_or_made_and_never_used_twice(build_router, vector):
    router = build_router("random", seed=255)
    assert router.route(features=vector(0)).id == "dff-1"
    assert router.route(features=vector(0), id="mine").id == "mine"
    with pytest.raises(InvalidInput, match="id is 'mine': give every decision its own id"):
        router.route(features=vector(0), id="mine")
    router.route(features=vector(0), id="dff-4")
    with pytest.raises(InvalidInput, match="id is 'dff-4'"):
        router.route(features=vector(0))
    assert len(router.log) == len(router.remembered) == 3


def test_a_model_that_was_not_called_gets_no_outcome_and_no_feedback(build_router, vector):
    router = build_router("cheapest")
    decision = router.route(features=vector(0))
    for use in (
        lambda: router.feedback(decision.id, satisfied=True, model="large"),
        lambda: router.outcome(decision.id, cost=1.0, model="large"),
    ):
        with pytest.raises(InvalidInput, match="name a model that this decision called: small"):
            use()


@pytest.mark.parametrize("given", [{}, {"satisfied": True, "score": 1.0}])
def test_feedback_wants_exactly_one_verdict(given, build_router, vector):
    router = build_router("cheapest")
    decision = router.route(features=vector(0))
    with pytest.raises(InvalidInput, match=r"feedback is .*: give one of the two"):
        router.feedback(decision.id, **given)


def test_a_request_that_nobody_served_gets_no_feedback(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, budget=floorline.Budget(total=0.0))])
    (decision,) = router.decide([router.request(features=vector(0))])
    assert decision.declined
    with pytest.raises(InvalidInput, match="decision is"):
        router.feedback(decision.id, satisfied=True)
    assert router.status().labels == 0


def test_capabilities_context_and_exclusions_narrow_the_choice(build_router, vector):
    zoo = Zoo(
        [
            Model("a", call_price=1.0, context_window=100),
            Model("b", call_price=2.0),
            Model("c", call_price=3.0, capabilities=frozenset({"tools"})),
        ]
    )
    router = build_router("cheapest", zoo=zoo)
    assert router.route(features=vector(0), input_tokens=100).model == "a"
    assert router.route(features=vector(0), input_tokens=101).model == "b"
    assert router.route(features=vector(0), needs=["tools"]).model == "c"
    assert router.route(features=vector(0), exclude=["a"]).model == "b"
    with pytest.raises(InvalidInput, match="no model can serve it"):
        router.route(features=vector(0), exclude=["a", "b", "c"])


def test_an_sla_may_name_its_models(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, models=("medium", "large"))])
    assert router.route(features=vector(0)).model == "medium"
    with pytest.raises(InvalidInput, match=r"large: excluded by the request"):
        router.route(features=vector(0), exclude=["medium", "large"])


def test_models_slower_than_the_ceiling_are_passed_over_unless_all_are(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, max_latency=1.0)])
    for name in ("small", "medium", "large"):
        decision = router.route(features=vector(0))
        assert decision.model == name
        router.outcome(decision.id, cost=1.0, latency=3.0)
    assert router.route(features=vector(0)).model in ("small", "medium", "large")


def test_models_join_leave_and_change_their_price(build_router, vector):
    router = build_router("cheapest")
    router.add_model(Model("free"))
    assert router.route(features=vector(0)).model == "free"
    router.remove_model("free")
    assert router.route(features=vector(0)).model == "small"
    router.add_model(Model("large", call_price=0.1))
    assert router.route(features=vector(0)).model == "large"
    assert router.zoo.names == ("small", "medium", "large")


def test_changes_that_break_a_promise_are_refused_and_not_logged(build_router):
    router = build_router("random", [SLA("gold", floor=0.5, models=("large",))])
    joules = Zoo(router.zoo.models, cost_unit="J")
    for change, message in (
        (lambda: router.remove_model("large"), "SLA.models of SLA 'gold' is 'large'"),
        (lambda: router.change_zoo(joules), "zoo.cost_unit is 'J': keep 'USD'"),
        (lambda: router.remove_sla("gold"), "sla is 'gold': keep at least one SLA"),
        (lambda: router.set_sla(SLA("x", floor=0.1, models=("y",))), "SLA 'x' is 'y'"),
    ):
        with pytest.raises(InvalidInput) as caught:
            change()
        assert message in str(caught.value)
    assert len(router.log) == 0


def test_promises_come_and_go(build_router, vector):
    router = build_router("mess_plus")
    router.set_sla(SLA("silver", floor=0.5))
    assert router.route(features=vector(0), sla="silver").floor == 0.5
    router.set_sla(SLA("silver", floor=0.6))
    assert router.route(features=vector(0), sla="silver").floor == 0.6
    assert router.status("silver").requests == 2
    router.remove_sla("silver")
    with pytest.raises(InvalidInput, match="name one of: gold"):
        router.route(features=vector(0), sla="silver")


@pytest.mark.parametrize(
    ("floor", "satisfied", "n", "verdict"),
    [
        (0.8, 1.0, 0, "unknown"),
        (0.8, 1.0, 3, "unknown"),
        (0.8, 0.5, 4, "at risk"),
        (0.8, 1.0, 400, "kept"),
        (0.8, 0.5, 400, "broken"),
    ],
)
def test_the_verdict_says_no_more_than_the_labels_do(
    floor, satisfied, n, verdict, build_router, vector
):
    router = build_router("cheapest", [SLA("gold", floor=floor)])
    for t in range(n):
        router.feedback(router.route(features=vector(t % 9)).id, score=satisfied)
    status = router.status()
    assert status.verdict == verdict
    assert status.lower <= (status.satisfaction or 0) <= status.upper


def test_the_recent_mean_is_that_of_the_window(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, label_window=4)])
    for t in range(10):
        router.feedback(router.route(features=vector(t)).id, satisfied=t >= 7)
    assert (router.status().satisfaction, router.status().recent) == (0.3, 0.75)


def test_the_seed_decides_all_draws(build_router, vector):
    def served(seed):
        router = build_router("random", seed=seed)
        return [router.route(features=vector(t)).model for t in range(30)]

    assert served(1) == served(1) != served(2)


def test_a_batch_is_decided_in_order_and_logged_like_single_requests(build_router, vector):
    router = build_router("cheapest")
    made = router.decide(
        [router.request(features=vector(t)) for t in range(3)], ids=["a", "b", "c"]
    )
    assert [(d.id, d.seq) for d in made] == [("a", 1), ("b", 2), ("c", 3)]
    assert [event.id for event in router.log.read()] == ["a", "b", "c"]
    with pytest.raises(InvalidInput, match="id is 'b'"):
        router.decide([router.request(features=vector(0))], ids=["b"])


def test_chat_messages_are_routed_by_their_request(zoo):
    router = Router(zoo, "random", [GOLD], encoder=HashedNgrams(96))
    question = [{"role": "user", "content": "Why is the sky blue?"}]
    np.testing.assert_array_equal(
        router.route(question).features, router.route("Why is the sky blue?").features
    )
    odd = [{"role": "king", "content": ["Why is the", {"type": 7}]}, {"content": {}}, None]
    assert router.route(odd).input_tokens == 3
    with pytest.raises(InvalidInput, match=r"messages is \[\]: give at least one message"):
        router.route([])


def test_errors_about_decisions_name_the_id(build_router):
    with pytest.raises(UnknownDecision, match="decision 'x' is unknown"):
        build_router().feedback("x", satisfied=True)


def test_a_conversation_stays_on_its_model(build_router, vector):
    router = build_router("random", [SLA("gold", floor=0.0)], seed=3)
    first = router.route(features=vector(0), context=RequestContext(session="acme/1"))
    for t in range(20):
        again = router.route(features=vector(t), context=RequestContext(session="acme/1"))
        assert again.model == first.model
        assert again.propensity == 1.0
    others = {router.route(features=vector(t)).model for t in range(20)}
    assert len(others) > 1


def test_a_conversation_changes_model_when_its_promise_needs_it(build_router, vector):
    router = build_router("best_fixed", [SLA("gold", floor=0.9)])
    stuck = RequestContext(session="acme/1")
    first = router.route(features=vector(0), exclude=["large"], context=stuck)
    assert router.route(features=vector(1), context=stuck).model == first.model
    router.feedback(first.id, satisfied=False)
    assert router.route(features=vector(2), context=stuck).model == "large"


def test_a_conversation_is_forgotten_after_an_hour(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.0)])
    context = RequestContext(session="acme/1")
    assert router.route(features=vector(0), exclude=["small"], at=0.0, context=context).model != (
        "small"
    )
    assert router.route(features=vector(0), at=3599.0, context=context).model != "small"
    assert router.route(features=vector(0), at=9000.0, context=context).model == "small"


def test_naming_a_model_bypasses_every_promise(vector):
    zoo = Zoo([Model("small", output_price=1.0), Model("large", output_price=9.0)])
    router = Router(zoo, slas=[SLA("gold", floor=0.9)])
    before = router.policy.snapshot()
    decision = router.log_direct_call("large", "Why?", context=RequestContext(tenant="acme"))
    assert (decision.model, decision.policy, decision.sla) == ("large", "direct", "")
    assert router.outcome(decision.id, cost=0.5, output_tokens=9)
    assert router.feedback(decision.id, satisfied=True)
    assert not router.feedback(decision.id, satisfied=True)
    assert pack(router.policy.snapshot()) == pack(before)
    assert router.status("gold").requests == 0
    with pytest.raises(InvalidInput, match="name a model of the zoo: small, large"):
        router.log_direct_call("huge", "Why?")


def test_feedback_on_a_forgotten_decision_counts_once_it_is_recalled(build_router, vector):
    router = build_router("cheapest", memory=3)
    first = router.route(features=vector(0))
    router.outcome(first.id, cost=1.0)
    for t in range(5):
        router.route(features=vector(t))
    with pytest.raises(UnknownDecision):
        router.feedback(first.id, satisfied=True)
    assert router.restore_decision(first)
    assert not router.restore_decision(first)
    assert router.feedback(first.id, satisfied=True)
    assert router.status().labels == 1
    again = build_router("cheapest", memory=3)
    again.apply(decode_event(encode_event(event)) for event in router.log.read())
    assert again.snapshot() == router.snapshot()


def test_a_recalled_decision_knows_its_earlier_score(build_router, vector):
    router = build_router("cheapest", memory=1)
    first = router.route(features=vector(0))
    router.feedback(first.id, satisfied=True)
    router.route(features=vector(1))
    router.restore_decision(first, {first.model: 1.0})
    assert not router.feedback(first.id, satisfied=True)
    assert router.feedback(first.id, satisfied=False)
    assert (router.status().labels, router.status().satisfaction) == (1, 0.0)


def test_a_failed_call_and_what_replaced_it_are_one_request(build_router, vector):
    router = build_router("cheapest")
    failed = router.route(features=vector(0))
    router.outcome(failed.id, cost=0.0, error="timeout")
    router.route(
        features=vector(0), exclude=[failed.model], context=RequestContext(after=failed.id)
    )
    assert router.status().requests == 1


def test_savings_compare_with_the_best_fixed_model():
    zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=10.0)])
    router = Router(zoo, "cheapest", [SLA("gold", floor=0.5)])
    assert router.status().savings is None
    for _ in range(4):
        router.outcome(router.route("Why?").id, cost=1.0)
    status = router.status()
    alone = {"small": 1.0, "large": 10.0}[status.best_fixed]
    assert status.savings == pytest.approx(1.0 - 1.0 / alone)


def test_without_a_price_no_savings_are_known():
    zoo = Zoo([Model("none"), Model("large", call_price=10.0)])
    router = Router(zoo, "cheapest", [SLA("gold", floor=0.5), SLA("own", 0.5, models=("large",))])
    for _ in range(4):
        router.outcome(router.route("Why?").id, cost=0.0)
    status = router.status()
    assert (status.savings, status.missing_prices) == (None, ("none",))
    assert "spent 0 USD without none, of unknown prices" in repr(status)
    assert "saved" not in status._repr_html_()
    # It may not serve under the other one.
    assert router.status("own").missing_prices == ()
    free = Router(zoo.with_model(Model("none", free=True)), "cheapest", [SLA("gold", floor=0.5)])
    assert free.status().missing_prices == ()


def test_a_message_sent_again_does_not_undo_its_correction(build_router, vector):
    router = build_router("cheapest")
    id = router.route(features=vector(0)).id
    assert router.feedback(id, satisfied=True, key="first")
    assert router.feedback(id, satisfied=False, key="second")
    assert not router.feedback(id, satisfied=True, key="first")
    assert router.status().satisfaction == 0.0
    again = build_router("cheapest")
    again.restore(router.snapshot())
    assert not again.feedback(id, satisfied=True, key="first")


# What may be read of a router.


def test_the_slas_can_be_read_and_not_written(build_router):
    router = build_router("random", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    assert list(router.slas) == ["gold", "silver"]
    with pytest.raises(TypeError):
        router.slas["gold"] = SLA("gold", floor=0.1)
    router.remove_sla("gold")
    assert list(router.slas) == ["silver"]


def test_what_is_remembered_of_a_decision_can_be_read_and_not_written(build_router, vector):
    router = build_router("cheapest", memory=2)
    decision = router.route(features=vector(0))
    record = router.find(decision.id)
    assert record.decision is decision
    assert record.reserved == {"small": decision.expected_cost}
    with pytest.raises(TypeError):
        record.reserved["small"] = 0.0
    router.outcome(decision.id, cost=1.0)
    router.feedback(decision.id, score=0.5, key="message")
    record = router.find(decision.id)
    assert (record.reserved, record.scores, record.keys) == ({}, {"small": 0.5}, ("message",))
    later = [router.route(features=vector(t)).id for t in (1, 2)]
    assert router.find(decision.id) is None
    assert (list(router.remembered), router.memory) == (later, 2)


def test_what_is_left_of_a_budget_can_be_read(build_router, vector):
    budget = Budget(total=100.0, per_model={"large": 30.0}, period=60.0)
    router = build_router("cheapest", [SLA("gold", floor=0.5, budget=budget)])
    router.outcome(router.route(features=vector(0), at=1.0).id, cost=25.0, at=1.0)
    assert router.budget_left(at=2.0).tolist() == [75.0, 75.0, 30.0]
    assert router.budget_left("gold", at=61.0).tolist() == [100.0, 100.0, 30.0]
    router.set_sla(SLA("free", floor=0.5))
    assert np.isinf(router.budget_left("free")).all()


# Time.


def test_a_renewed_budget_renews_in_library_use(zoo):
    sla = SLA("gold", floor=0.0, budget=Budget(total=2.0, period=0.05))
    router = Router(zoo, "cheapest", [sla], encoder=HashedNgrams(96))
    served = 0
    for _ in range(6):
        try:
            router.outcome(router.route("Hello").id, cost=1.0)
            served += 1
        except BudgetExhausted:
            pass
        time.sleep(0.06)
    assert served == 6


def test_the_clock_is_the_systems_by_default(zoo):
    router = Router(zoo, "cheapest", [GOLD], encoder=HashedNgrams(96))
    before = time.time()
    decision = router.route("Hello")
    router.outcome(decision.id, cost=1.0)
    router.feedback(decision.id, satisfied=True)
    router.log_direct_call("large", "Hello")
    router.add_model(Model("new"))
    router.set_sla(SLA("silver", floor=0.5))
    router.remove_sla("silver")
    router.remove_model("new")
    times = [event.at for event in router.log.read()]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()
    assert len(times) == 8


def test_a_given_time_holds_instead_of_the_clocks(build_router, vector):
    router = build_router("cheapest", clock=lambda: 5.0)
    decisions = [router.route(features=vector(0)), router.route(features=vector(0), at=0.0)]
    decisions += router.decide([router.request(features=vector(0))], at=7)
    assert [decision.at for decision in decisions] == [5.0, 0.0, 7.0]


@pytest.mark.parametrize("at", [np.nan, np.inf, -np.inf, "now", True])
def test_times_that_are_no_numbers_are_refused_and_leave_no_trace(at, build_router, vector):
    router = build_router("cheapest")
    decision = router.route(features=vector(0))
    before = router.snapshot()
    request = router.request(features=vector(0))
    for use in (
        lambda: router.route(features=vector(0), at=at),
        lambda: router.request(features=vector(0), at=at),
        lambda: router.decide([request], at=at),
        lambda: router.outcome(decision.id, cost=1.0, at=at),
        lambda: router.feedback(decision.id, satisfied=True, at=at),
        lambda: router.restore_decision(decision, at=at),
        lambda: router.add_model(Model("new"), at=at),
        lambda: router.set_sla(SLA("new", floor=0.5), at=at),
        lambda: router.remove_sla("gold", at=at),
        lambda: router.budget_left(at=at),
    ):
        with pytest.raises(InvalidInput, match=r"at is .*: give seconds \(not milliseconds\)"):
            use()
    assert (router.snapshot(), len(router.log)) == (before, 1)


# Satisfied or not.


@pytest.mark.parametrize(
    ("given", "score"),
    [(True, 1.0), (False, 0.0), (np.True_, 1.0), (np.False_, 0.0), (1, 1.0), (0, 0.0)],
)
def test_satisfied_is_a_bool_or_0_or_1(given, score, build_router, vector):
    router = build_router("cheapest")
    decision = router.route(features=vector(0))
    assert router.feedback(decision.id, satisfied=given)
    assert router.find(decision.id).scores == {"small": score}


@pytest.mark.parametrize(
    "given", ["no", "false", "", np.nan, 0.4, 1.0, 0.0, 2, -1, [], [True], np.array([True])]
)
def test_nothing_else_says_that_a_user_is_satisfied(given, build_router, vector):
    router = build_router("cheapest")
    decision = router.route(features=vector(0))
    fix = "give True or False; a number from 0 to 1 goes into score"
    with pytest.raises(InvalidInput, match=f"satisfied is .*: {fix}"):
        router.feedback(decision.id, satisfied=given)
    assert (router.status().labels, len(router.log)) == (0, 1)


# Ids.


def test_ids_never_repeat_between_routers(zoo, vector):
    encoder = HashedNgrams(96)
    routers = [Router(zoo, "random", [GOLD], encoder=encoder) for _ in range(3)]
    ids = {router.route("Hello").id for router in routers for _ in range(10)}
    assert len(ids) == 30


def test_a_restored_router_issues_no_id_again(zoo):
    encoder = HashedNgrams(96)
    router = Router(zoo, "random", [GOLD], encoder=encoder)
    start = router.snapshot()
    ids = [router.route("Hello").id for _ in range(5)]
    router.restore(start)
    ids += [router.route("Hello").id for _ in range(5)]
    other = Router(zoo, "random", [GOLD], encoder=encoder)
    other.restore(start)
    ids += [other.route("Hello").id for _ in range(5)]
    rebuilt = Router(zoo, "random", [GOLD], encoder=encoder)
    rebuilt.apply(router.log.read())
    ids.append(rebuilt.route("Hello").id)
    assert len(set(ids)) == 16


def test_events_with_lower_numbers_do_not_make_ids_repeat(zoo):
    router, other = (Router(zoo, "random", [GOLD], encoder=HashedNgrams(96)) for _ in range(2))
    ids = [router.route("Hello").id for _ in range(3)]
    other.route("Hello")
    router.apply(other.log.read())
    ids += [router.route("Hello").id for _ in range(3)]
    assert len(set(ids)) == 6


def test_what_is_decided_does_not_depend_on_ids(build_router, live, random_steps):
    lives = []
    for prefix in ("d3", "another", None):
        router, made = build_router("primal_dual", id_prefix=prefix), []
        live(router, random_steps(300, seed=4), made)
        lives.append([(d.model, d.propensities.tolist(), d.quality, d.cost) for d in made])
    assert lives[0] == lives[1] == lives[2]


# Threads.


def test_threads_share_a_router(build_router, vector):
    """Every call is logged and folded whole: the log folds to the state, and sums are right."""
    budget = Budget(total=1e9)
    router = build_router("primal_dual", [SLA("gold", floor=0.8, budget=budget)], memory=10_000)
    threads, calls, seen = 8, 150, []

    def work(number):
        for call in range(calls):
            decision = router.route(features=vector(call % 20))
            router.outcome(decision.id, cost=1.0, latency=0.1)
            router.feedback(decision.id, satisfied=(call + number) % 3 > 0)
            seen.append(decision.id)
            if call % 30 == 0:
                router.set_sla(SLA(f"own{number}", floor=0.5))
                router.snapshot()
                router.status()
                assert set(router.slas) >= {"gold"}
                assert len(router.remembered) <= threads * calls
                router.certificate("gold", window=True)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, number) for number in range(threads)]:
                done.result()
    finally:
        sys.setswitchinterval(switch)
    assert len(set(seen)) == threads * calls
    status = router.status("gold")
    assert (status.requests, status.labels) == (threads * calls, threads * calls)
    assert (status.spent, status.reserved) == (threads * calls, 0.0)
    made = [event.seq for event in router.log.read() if isinstance(event, Decision)]
    assert made == list(range(1, threads * calls + 1))
    again = build_router("primal_dual", [SLA("gold", floor=0.8, budget=budget)], memory=10_000)
    again.apply(router.log.read())
    assert again.snapshot() == router.snapshot()


def test_a_slow_judge_holds_up_no_other_thread(build_router, vector):
    router = build_router("cheapest")
    first, asked, go_on = router.route(features=vector(0)), Event(), Event()

    def score(decision, response):
        asked.set()
        assert go_on.wait(60)
        return 1.0

    judge = Judge(score, rate=1.0)
    with ThreadPoolExecutor(1) as pool:
        judged = pool.submit(router.judge_response, judge, first.id)
        assert asked.wait(60)
        assert router.route(features=vector(1)).model == "small"
        go_on.set()
        assert judged.result(60)
    assert router.status().labels == 1


def test_a_users_label_that_comes_while_a_judge_works_stays(build_router, vector):
    router = build_router("cheapest", memory=2)
    decision = router.route(features=vector(0))

    def score(judged, response):
        router.feedback(judged.id, satisfied=False)
        return 1.0

    assert not router.judge_response(Judge(score, rate=1.0), decision.id)
    assert router.find(decision.id).scores == {"small": 0.0}


def test_a_decision_forgotten_while_a_judge_works_leaves_no_trace(build_router, vector):
    router = build_router("cheapest", memory=2)
    decision = router.route(features=vector(0))

    def score(judged, response):
        for number in (1, 2):
            router.route(features=vector(number))
        return 1.0

    with pytest.raises(UnknownDecision):
        router.judge_response(Judge(score, rate=1.0), decision.id)
    again = build_router("cheapest", memory=2)
    again.apply(router.log.read())
    assert again.snapshot() == router.snapshot()


def test_a_request_made_before_the_zoo_changed_is_refused(build_router, vector):
    router = build_router("cheapest")
    request = router.request(features=vector(0), exclude=["small"])
    router.remove_model("large")
    with pytest.raises(InvalidInput, match=r"of length 3.*: make it again: the zoo has 2 models"):
        router.decide([request])


# What the log cannot give back is refused.


@pytest.mark.parametrize("field", ["tenant", "key", "session", "after"])
def test_contexts_are_texts(field, build_router, vector):
    router = build_router("cheapest")
    context = RequestContext(**{field: 17})
    with pytest.raises(InvalidInput, match=rf"RequestContext\.{field} is 17: give a text"):
        router.route(features=vector(0), context=context)
    with pytest.raises(InvalidInput, match="id is 17: give a text"):
        router.route(features=vector(0), id=17)
    assert len(router.log) == 0


def test_a_decision_remembers_its_latest_keys_only(build_router, vector):
    router = build_router("cheapest")
    id = router.route(features=vector(1)).id
    for n in range(3 * MAX_KEYS):
        assert router.feedback(id, score=n / 1000, key=f"message-{n}")
    assert len(router.find(id).keys) == MAX_KEYS
    assert not router.feedback(id, score=0.5, key=f"message-{2 * MAX_KEYS}")
    again = build_router("cheapest")
    again.restore(router.snapshot())
    assert again.find(id).keys == router.find(id).keys
