"""Faults that routers like this one were found to have, and that must be impossible here."""

import copy
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import Stateful, pack, unpack
from floorline.encoders import HashedNgrams
from floorline.errors import BudgetExhausted, InvalidInput, UnknownDecision
from floorline.estimators import CostEstimator, NearestNeighbours, OnlineLogistic, RunningMean
from floorline.events import decode_event, encode_event
from floorline.policies import POLICIES, History, Policy
from floorline.policies.base import certain
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo
from tests.support.inside import fold_of

POISON = [np.nan, np.inf, -np.inf]
ALL = sorted(POLICIES)


def slas_for(policy):
    gold = SLA("gold", floor=0.8)
    return [gold] if POLICIES[policy].knows == "labels" else [gold, SLA("silver", floor=0.5)]


# 1. Feedback that arrives twice, late, in another order, or changed.


@pytest.mark.parametrize("policy", ALL)
def test_the_same_feedback_twice_changes_nothing(policy, build_router, vector):
    router = build_router(policy)
    for t in range(30):
        decision = router.route(features=vector(t))
        assert router.outcome(decision.id, cost=2.0)
        assert router.feedback(decision.id, score=t % 2)
        once = fold_of(router).snapshot() | {"events_": 0}
        assert not router.feedback(decision.id, score=t % 2)
        assert not router.outcome(decision.id, cost=3.0)
        assert pack(fold_of(router).snapshot() | {"events_": 0}) == pack(once)


def test_feedback_counts_the_same_in_any_order(build_router, vector):
    def labelled(order):
        router = build_router("random")
        ids = [router.route(features=vector(t)).id for t in range(20)]
        for position in order:
            router.feedback(ids[position], satisfied=position % 3 > 0)
        return router.status()

    assert labelled(range(20)) == labelled(np.random.default_rng(1).permutation(20))


def test_unknown_and_forgotten_decisions_are_refused_and_change_nothing(build_router, vector):
    router = build_router("mess_plus", memory=3)
    first = router.route(features=vector(0))
    for t in range(1, 4):
        router.route(features=vector(t))
    before = router.snapshot()
    for id in ("never", first.id):
        with pytest.raises(UnknownDecision, match="one of the last 3 decisions"):
            router.feedback(id, satisfied=True)
        with pytest.raises(UnknownDecision):
            router.outcome(id, cost=1.0)
    assert router.snapshot() == before
    assert len(router.log) == router.position


def test_late_feedback_still_counts_while_it_is_remembered(build_router, vector):
    router = build_router("mess_plus", memory=100)
    first = router.route(features=vector(0))
    for t in range(1, 100):
        router.route(features=vector(t))
    assert router.feedback(first.id, satisfied=False)
    assert router.status().labels == 1


def test_of_changed_scores_the_last_one_counts(build_router, vector):
    router = build_router("mess_plus", [SLA("gold", floor=0.8, label_window=10)])
    ids = [router.route(features=vector(t)).id for t in range(3)]
    for id in ids:
        router.feedback(id, score=0.0)
    router.feedback(ids[1], score=1.0)
    status = router.status()
    assert (status.labels, status.satisfaction) == (3, pytest.approx(1 / 3))
    assert status.recent == pytest.approx(1 / 3)
    assert router.policy.queues_["gold"] == pytest.approx(3 * 0.8 - 1)


@pytest.mark.slow
@given(scores=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=8))
def test_a_corrected_queue_is_never_shorter_than_that_of_the_last_score(
    scores, build_router, vector
):
    corrected, direct = build_router("mess_plus"), build_router("mess_plus")
    a, b = (router.route(features=vector(0)).id for router in (corrected, direct))
    for score in scores:
        corrected.feedback(a, score=score)
    direct.feedback(b, score=scores[-1])
    queue, plain = (r.policy.queues_["gold"] for r in (corrected, direct))
    assert queue >= plain - 1e-12
    assert corrected.status() == direct.status()


# 2. NaN and infinity, wherever they could come in.


@pytest.fixture
def trained(build_router, some_life):
    router = build_router("mess_plus")
    some_life(router, 150, seed=1, knows="labels")
    return router


def assert_untouched(router, before, refuse):
    with pytest.raises(InvalidInput):
        refuse()
    assert router.snapshot() == before
    assert len(router.log) == router.position


@pytest.mark.parametrize("bad", [*POISON, 1e30])
def test_bad_features_are_refused_and_leave_no_trace(bad, trained, vector):
    before = trained.snapshot()
    for x in (vector(1).copy(), vector(1).astype(np.float64), vector(1).tolist()):
        x[2] = bad
        assert_untouched(trained, before, lambda x=x: trained.route(features=x))
    x = SparseFeatures(np.array([0, 3], np.int32), np.array([1, bad], np.float32), 6)
    assert_untouched(trained, before, lambda: trained.route(features=x))


@pytest.mark.parametrize(
    "x",
    [
        "six numbers",
        np.zeros(5, np.float32),
        np.zeros((1, 6), np.float32),
        SparseFeatures(np.array([3, 1], np.int32), np.ones(2, np.float32), 6),
        SparseFeatures(np.array([3, 3], np.int32), np.ones(2, np.float32), 6),
        SparseFeatures(np.array([6], np.int32), np.ones(1, np.float32), 6),
        SparseFeatures(np.array([-1], np.int32), np.ones(1, np.float32), 6),
        SparseFeatures(np.array([1], np.int32), np.ones(2, np.float32), 6),
    ],
)
def test_malformed_features_are_refused_and_leave_no_trace(x, trained):
    assert_untouched(trained, trained.snapshot(), lambda: trained.route(features=x))


def test_features_changed_after_routing_do_not_change_what_is_learned(build_router, vector):
    kept, changed = build_router("random"), build_router("random")
    buffer = vector(1).copy()
    for router, x in ((kept, vector(1).copy()), (changed, buffer)):
        router.route(features=x)
    buffer[:] = np.nan
    for router in (kept, changed):
        (decision,) = router.remembered
        router.feedback(decision, satisfied=True)
    assert changed.snapshot() == kept.snapshot()


@pytest.mark.parametrize("bad", [*POISON, -0.1, 1.1, "1"])
def test_bad_scores_are_refused_and_leave_no_trace(bad, trained, vector):
    decision = trained.route(features=vector(1))
    before = trained.snapshot()
    assert_untouched(trained, before, lambda: trained.feedback(decision.id, score=bad))


@pytest.mark.parametrize("bad", [*POISON, -1.0, None])
def test_bad_costs_are_refused_and_leave_no_trace(bad, trained, vector):
    decision = trained.route(features=vector(1))
    before = trained.snapshot()
    assert_untouched(trained, before, lambda: trained.outcome(decision.id, cost=bad))


@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "latency"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1])
def test_bad_measurements_are_refused_and_leave_no_trace(field, bad, trained, vector):
    decision = trained.route(features=vector(1))
    before = trained.snapshot()
    assert_untouched(
        trained, before, lambda: trained.outcome(decision.id, cost=1.0, **{field: bad})
    )


@pytest.mark.parametrize(
    "argument",
    [
        {"input_tokens": -1},
        {"input_tokens": np.nan},
        {"at": np.nan},
        {"at": np.inf},
        {"floor": np.nan},
        {"floor": 1.01},
    ],
)
def test_bad_arguments_of_route_are_refused_and_leave_no_trace(argument, trained, vector):
    before = trained.snapshot()
    assert_untouched(trained, before, lambda: trained.route(features=vector(1), **argument))


def test_decisions_after_refused_poison_are_those_without_it(build_router, vector):
    plain, attacked = build_router("mess_plus"), build_router("mess_plus")
    for t in range(200):
        made = [router.route(features=vector(t)) for router in (plain, attacked)]
        assert encode_event(made[0]) == encode_event(made[1])
        with pytest.raises(InvalidInput):
            attacked.feedback(made[1].id, score=np.nan)
        with pytest.raises(InvalidInput):
            attacked.outcome(made[1].id, cost=np.inf)
        with pytest.raises(InvalidInput):
            attacked.route(features=np.full(6, np.nan, np.float32))
        for router, decision in zip((plain, attacked), made, strict=True):
            for name in decision.called:
                router.outcome(decision.id, model=name, cost=2.0)
                router.feedback(decision.id, model=name, score=t % 2)


@pytest.mark.parametrize("kind", [OnlineLogistic, RunningMean, NearestNeighbours])
@pytest.mark.parametrize(
    ("x", "y", "weight"),
    [
        *[([0, bad, 0], 1.0, 1.0) for bad in (*POISON, 1e18)],
        *[([0, 1, 0], bad, 1.0) for bad in (*POISON, -0.5, 2.0)],
        *[([0, 1, 0], 1.0, bad) for bad in (*POISON, -1.0, 1e30)],
    ],
)
def test_estimators_refuse_poison_and_keep_every_bit(kind, x, y, weight):
    estimator = kind(3, ["small", "large"])
    for t in range(10):
        estimator.learn_one(np.eye(3, dtype=np.float32)[t % 3], t % 2, float(t % 4 > 1))
    before = pack(estimator.snapshot())
    with pytest.raises(InvalidInput):
        estimator.learn_one(np.array(x, dtype=np.float32), 0, y, weight)
    assert pack(estimator.snapshot()) == before


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
def test_no_accepted_label_ever_makes_an_estimate_not_finite(optimizer):
    estimator = OnlineLogistic(3, ["only"], optimizer=optimizer)
    largest = np.array([9e9, 0, 1e-9], dtype=np.float32)
    for t in range(200):
        estimator.learn_one(largest, 0, float(t % 3 == 0), weight=1e6)
        assert np.isfinite(estimator.predict_one(largest)).all()
    assert np.isfinite(estimator.weights_).all()
    assert np.isfinite(estimator.squares_).all()


@pytest.mark.parametrize("bad", [*POISON, -1.0])
def test_the_cost_estimator_refuses_poison_and_keeps_every_bit(bad, zoo):
    estimator = CostEstimator(zoo)
    estimator.learn_one(0, cost=1.0, input_tokens=5, output_tokens=7)
    before = pack(estimator.snapshot())
    for arguments in ({"cost": bad}, {"cost": 1.0, "output_tokens": bad}):
        with pytest.raises(InvalidInput):
            estimator.learn_one(0, input_tokens=5, **arguments)
    assert pack(estimator.snapshot()) == before


@pytest.mark.parametrize("field", ["features", "quality", "cost"])
def test_a_history_that_is_bad_at_its_end_teaches_nothing(field, build_router):
    values = {
        "features": np.ones((5, 6), np.float32),
        "quality": np.ones((5, 3)),
        "cost": np.ones((5, 3)),
    }
    values[field][-1, -1] = np.inf
    router = build_router("mess_plus")
    before = router.snapshot()
    history = History(
        input_tokens=np.ones(5, np.int64), **values | {"features": [*values["features"]]}
    )
    with pytest.raises(InvalidInput, match="features" if field == "features" else field):
        router.policy.warm_start(history)
    assert router.snapshot() == before


# 3. Budgets charged with what was expected instead of what was paid.


def test_an_estimate_is_charged_at_once_and_corrected_by_the_real_cost(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, budget=Budget(total=100.0))])
    decision = router.route(features=vector(0))
    assert router.budget_left("gold") == pytest.approx(100.0 - decision.expected_cost)
    router.outcome(decision.id, cost=60.0)
    assert router.budget_left("gold").tolist() == [40.0] * 3
    assert (router.status().spent, router.status().reserved) == (60.0, 0.0)


def test_a_budget_per_model_is_charged_with_its_own_calls_only(build_router, vector):
    budget = Budget(per_model={"small": 10.0, "large": 50.0})
    router = build_router("cheapest", [SLA("gold", floor=0.5, budget=budget)])
    decision = router.route(features=vector(0))
    assert decision.model == "small"
    router.outcome(decision.id, cost=9.5)
    assert router.budget_left("gold").tolist() == [0.5, np.inf, 50.0]
    assert router.route(features=vector(1)).model == "medium"


@given(costs=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_real_costs_exceed_a_budget_by_at_most_what_estimates_were_off(
    costs, seed, build_router, vector
):
    router = build_router("random", [SLA("gold", floor=0.5, budget=Budget(total=90.0))], seed=seed)
    paid = excess = 0.0
    for t, cost in enumerate(costs):
        try:
            decision = router.route(features=vector(t))
        except BudgetExhausted:
            continue
        excess = max(excess, cost - decision.expected_cost)
        router.outcome(decision.id, cost=cost)
        paid += cost
        assert router.status().spent == pytest.approx(paid)
    assert paid <= 90.0 + max(0.0, excess) + 1e-9


def test_an_exhausted_budget_says_so_and_what_to_do(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, budget=Budget(total=3.0))])
    router.outcome(router.route(features=vector(0)).id, cost=3.0)
    with pytest.raises(
        BudgetExhausted, match=r"'gold': raise Budget\.total or .* period"
    ) as caught:
        router.route(features=vector(1))
    assert str(caught.value).count("\n") == 0
    assert router.status().declined == 1


def test_a_budget_with_a_period_is_renewed_by_event_time(build_router, vector):
    sla = SLA("gold", floor=0.5, budget=Budget(total=3.0, period=60.0))
    router = build_router("cheapest", [sla])
    router.outcome(router.route(features=vector(0), at=0.0).id, cost=3.0)
    with pytest.raises(BudgetExhausted):
        router.route(features=vector(1), at=59.9)
    router.outcome(router.route(features=vector(2), at=60.0).id, cost=3.0)
    with pytest.raises(BudgetExhausted):
        router.route(features=vector(3), at=61.0)
    assert router.status().spent == 6.0


def test_a_changed_period_is_renewed_when_it_ends(build_router, vector):
    router = build_router(
        "cheapest", [SLA("gold", floor=0.5, budget=Budget(total=3.0, period=1.0))]
    )
    router.outcome(router.route(features=vector(0), at=5000.0).id, cost=3.0)
    router.set_sla(SLA("gold", floor=0.5, budget=Budget(total=3.0, period=100.0)))
    with pytest.raises(BudgetExhausted):
        router.route(features=vector(1), at=5000.5)
    assert router.route(features=vector(2), at=5100.0).model == "small"


def test_forgotten_decisions_stay_charged_at_their_estimate(build_router, vector):
    sla = SLA("gold", floor=0.5, budget=Budget(total=1000.0))
    router = build_router("cheapest", [sla], memory=2)
    made = [router.route(features=vector(t)) for t in range(10)]
    expected = sum(decision.expected_cost for decision in made)
    status = router.status()
    assert status.spent + status.reserved == pytest.approx(expected)
    assert status.reserved == pytest.approx(2 * made[0].expected_cost)


def test_exploration_of_all_models_is_trimmed_to_what_the_budget_holds(
    build_router, build_policy, vector
):
    sla = SLA("gold", floor=0.5, budget=Budget(total=24.0))
    router = build_router(build_policy("mess_plus", c=1.0), [sla])
    decision = router.route(features=vector(0))
    assert decision.explored
    assert decision.called == ("large", "small")
    assert sum(decision.cost[name] for name in decision.called) <= 24.0


def test_calls_of_a_withdrawn_promise_are_not_charged_to_its_successor(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5), SLA("silver", floor=0.4)], memory=3)
    old = [router.route(features=vector(t), sla="gold") for t in range(3)]
    router.feedback(old[0].id, satisfied=True)
    router.remove_sla("gold")
    router.set_sla(SLA("gold", floor=0.9))
    router.outcome(old[0].id, cost=5.0)
    assert not router.feedback(old[0].id, satisfied=False)
    router.route(features=vector(9), sla="silver")
    status = router.status("gold")
    assert (status.spent, status.reserved, status.labels) == (0.0, 0.0, 0)


# 4. State that a checkpoint misses.


def parts(value, path="fold"):
    """Every stateful object reachable by attributes, with its path."""
    if isinstance(value, Stateful):
        yield path, value
        for name, member in vars(value).items():
            yield from parts(member, f"{path}.{name}")
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from parts(member, f"{path}[{key!r}]")


def constants(root):
    """What is not under a name that ends in ``_``: may never change after construction."""
    return {
        f"{path}.{name}": frozen(value)
        for path, part in parts(root)
        for name, value in vars(part).items()
        if not name.endswith("_") and not name.startswith("_")
    }


def frozen(value):
    if isinstance(value, functools.partial):
        return value.func, value.args, copy.deepcopy(value.keywords)
    return copy.deepcopy(value)


def assert_same_constants(before, after):
    for path in before.keys() & after.keys():
        np.testing.assert_equal(after[path], before[path], err_msg=path)
    # Entries of mappings come and go with models and promises.
    assert not {path for path in before.keys() ^ after.keys() if "[" not in path}


def assert_nothing_is_kept_outside_the_state(router, live):
    before = constants(fold_of(router))
    live(router)
    assert_same_constants(before, constants(fold_of(router)))


@pytest.mark.parametrize("policy", ALL)
def test_nothing_outside_the_state_ever_changes(policy, build_router, some_life):
    router = build_router(policy, slas_for(policy), memory=50)
    knows = POLICIES[policy].knows
    assert_nothing_is_kept_outside_the_state(router, lambda r: some_life(r, 400, 7, knows))


class Forgetful(Policy):
    """Keeps its queue where no snapshot looks."""

    name = "forgetful"
    queue = 0.0

    def __init__(self):
        self.queue = 0.0

    def decide(self, request, rng):
        return certain(0, np.zeros(3), np.zeros(3))

    def on_decision(self, decision):
        self.queue += 1.0


def test_a_policy_that_hides_state_is_caught(build_router, some_life):
    router = build_router(Forgetful())
    with pytest.raises(AssertionError, match="queue"):
        assert_nothing_is_kept_outside_the_state(router, lambda r: some_life(r, 50, 7, "means"))


@pytest.mark.parametrize("policy", ALL)
def test_snapshots_cover_every_attribute_that_is_state(policy, build_router, some_life):
    router = build_router(policy, slas_for(policy))
    some_life(router, 200, 3, POLICIES[policy].knows)
    for path, part in parts(fold_of(router)):
        state = {name for name in vars(part) if name.endswith("_")}
        assert set(part.snapshot()) == state, path


@pytest.mark.parametrize("policy", ALL)
def test_a_snapshot_survives_packing_and_restoring_bit_for_bit(policy, build_router, some_life):
    router = build_router(policy, slas_for(policy))
    some_life(router, 300, 4, POLICIES[policy].knows)
    saved = router.snapshot()
    assert pack(unpack(saved)) == saved
    fresh = build_router(policy, slas_for(policy))
    assert fresh.snapshot() != saved
    fresh.restore(saved)
    assert fresh.snapshot() == saved


def test_prices_queues_and_budgets_come_back_from_a_snapshot(build_router, vector):
    sla = SLA("gold", floor=0.8, budget=Budget(total=100.0))
    router = build_router("mess_plus", [sla])
    router.add_model(Model("small", call_price=2.5))
    router.add_model(Model("new", call_price=0.1))
    router.set_sla(SLA("bronze", floor=0.2, budget=Budget(per_model={"new": 7.0}, period=60.0)))
    decision = router.route(features=vector(0))
    router.outcome(decision.id, cost=3.0)
    router.feedback(decision.id, satisfied=False)
    fresh = build_router("mess_plus", [sla])
    fresh.restore(router.snapshot())
    assert fresh.zoo == router.zoo
    assert fresh.slas == router.slas
    assert fresh.policy.queues_["gold"] == router.policy.queues_["gold"] > 0
    assert fresh.status("gold") == router.status("gold")
    assert fresh.status("gold").spent == 3.0


# 5. Restored and rebuilt routers that decide differently.


@pytest.mark.slow
@pytest.mark.parametrize("policy", ALL)
@given(before=st.integers(0, 250), seed=st.integers(0, 10_000))
@settings(max_examples=4)
def test_a_restored_router_decides_exactly_as_the_saved_one(
    policy, before, seed, build_router, live, random_steps
):
    knows = POLICIES[policy].knows
    steps = random_steps(before + 80, seed, knows)
    router = build_router(policy, slas_for(policy), memory=40)
    live(router, steps[:before])
    twin = build_router(policy, slas_for(policy), memory=40)
    twin.restore(router.snapshot())
    assert live(twin, steps[before:]) == live(router, steps[before:])
    assert twin.snapshot() == router.snapshot()


@pytest.mark.parametrize("policy", ALL)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=3)
def test_a_router_rebuilt_from_its_log_is_the_one_that_lived_it(
    policy, seed, build_router, some_life
):
    router = build_router(policy, slas_for(policy), memory=40)
    some_life(router, 200, seed, POLICIES[policy].knows)
    rebuilt = build_router(policy, slas_for(policy), memory=40)
    # Through bytes, as a log on disk gives them back.
    rebuilt.apply(decode_event(encode_event(event)) for event in router.log.read())
    assert rebuilt.snapshot() == router.snapshot()


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 100))
@settings(max_examples=10)
def test_a_snapshot_and_the_log_after_it_give_the_state_before_the_crash(
    seed, cut, build_router, live, random_steps
):
    steps = random_steps(100, seed)
    router = build_router("mess_plus")
    live(router, steps[:cut])
    saved = router.snapshot()
    live(router, steps[cut:])
    recovered = build_router("mess_plus")
    recovered.restore(saved)
    recovered.apply(router.log.read(recovered.position))
    assert recovered.snapshot() == router.snapshot()


def test_a_snapshot_can_be_restored_after_the_most_capable_model_left(build_router, build_policy):
    def build():
        return build_router(build_policy("mess_plus", most_capable="medium"))

    router = build()
    router.remove_model("medium")
    fresh = build()
    fresh.restore(router.snapshot())
    assert fresh.snapshot() == router.snapshot()


# 6. Routers that read only the beginning of a prompt.


def test_prompts_that_differ_only_after_5000_characters_are_told_apart():
    encoder = HashedNgrams()
    opening = "Here is a long report about shipping containers. " * 110
    assert len(opening) > 5000
    easy = [f"{opening} Question {n}: what colour is the sky?" for n in range(30)]
    hard = [f"{opening} Question {n}: prove the Riemann hypothesis." for n in range(30)]
    zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    router = Router(zoo, "random", [SLA("gold", floor=0.8)], encoder=encoder)
    estimator = OnlineLogistic(encoder.dim, zoo.names)
    for a, b in zip(easy, hard, strict=True):
        x, y = encoder.encode(a), encoder.encode(b)
        assert not np.array_equal(x, y)
        estimator.learn_one(x, 0, 1.0)
        estimator.learn_one(y, 0, 0.0)
    x, y = (
        encoder.encode(f"{opening} Question 99: {q}")
        for q in ("what colour is the sky?", "prove the Riemann hypothesis.")
    )
    assert estimator.predict_one(x)[0] > estimator.predict_one(y)[0] + 0.3
    decisions = [router.route(prompts[0]) for prompts in (easy, hard)]
    assert not np.array_equal(decisions[0].features, decisions[1].features)
