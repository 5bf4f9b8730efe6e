import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.estimators import OnlineLogistic, OnlinePerceptron
from floorline.events import Outcome
from floorline.policies import Request, make_policy
from floorline.policies.query_all_policy import exploration_probability
from floorline.policies.virtual_queue import VirtualQueues
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

JOULES = Zoo(
    [Model("1b", call_price=50.0), Model("8b", call_price=300.0), Model("70b", call_price=2000.0)],
    cost_unit="J",
)


class Fixed:
    """Estimator with the same predictions for all prompts and labels; it records the labels."""

    def __init__(self, dim, models):
        self.labels = []

    def predict_one(self, x):
        return np.array([0.3, 0.6, 0.9])

    def uncertainty_one(self, x):
        return np.zeros(3)

    def learn_one(self, x, model, y, weight=1.0):
        self.labels.append((model, y))

    def set_models(self, names):
        pass

    def snapshot(self):
        return {}

    def restore(self, state):
        pass


def test_decisions_follow_the_published_rule(build_router, vector):
    """V = 1e-4, τ = 0.8, ŝ = (.3, .6, .9), ĉ = (50, 300, 2000) J; Q by Q ← max(0, Q + τ − s)."""
    router = build_router(
        make_policy("mess_plus", c=0.0, estimator=Fixed), [SLA("gold", floor=0.8)], zoo=JOULES
    )
    queue = 0.0
    served = []
    for t, score in enumerate([0, 1, 1, 1, 1, 0.5, 0, 0]):
        assert router.policy.queues_["gold"] == pytest.approx(queue)
        scores = 1e-4 * np.array([50, 300, 2000]) + queue * (0.8 - np.array([0.3, 0.6, 0.9]))
        decision = router.route(features=vector(t))
        assert decision.index == scores.argmin()
        served.append(decision.model)
        router.feedback(decision.id, score=score)
        queue = max(0.0, queue + 0.8 - score)
    # Q = 0, .8, .6, .4, .2, 0, .3, 1.1; 8b is best from Q = .025 / .3 on, 70b from .17 / .3 on.
    assert served == ["1b", "70b", "70b", "8b", "8b", "1b", "8b", "70b"]


def test_the_floor_of_the_request_changes_the_queue(build_router, vector):
    router = build_router(make_policy("mess_plus", c=0.0), [SLA("gold", floor=0.8)])
    router.feedback(router.route(features=vector(0), floor=0.3).id, score=0.0)
    assert router.policy.queues_["gold"] == pytest.approx(0.3)


def test_every_sla_has_its_own_queue(build_router, vector):
    router = build_router("mess_plus", [SLA("gold", floor=0.8), SLA("silver", floor=0.5)])
    router.feedback(router.route(features=vector(0), sla="silver").id, score=0.0)
    assert router.policy.queues_["gold"] == 0.0
    assert router.policy.queues_["silver"] == pytest.approx(0.5)


@given(st.lists(st.floats(-1, 1), max_size=30))
def test_the_queue_follows_its_recursion_and_is_never_negative(shortfalls):
    queues = VirtualQueues({"gold": SLA("gold", floor=0.9)})
    expected = 0.0
    for shortfall in shortfalls:
        queues.add("gold", shortfall)
        expected = max(0.0, expected + shortfall)
        assert queues["gold"] == expected >= 0.0


def test_costs_in_dollars_are_scaled_to_the_joules_of_the_paper(build_router):
    dollars = Zoo([Model(m.name, call_price=m.call_price * 1e-7) for m in JOULES.models])
    assert build_router("mess_plus", zoo=dollars).policy.scale_ == pytest.approx(1e7)
    assert build_router("mess_plus", zoo=JOULES).policy.scale_ == 1.0


def test_decisions_do_not_depend_on_the_cost_unit(build_router, vector):
    routers = [
        build_router("mess_plus", zoo=Zoo([Model(n, call_price=p * k) for n, p in prices]))
        for k in (1.0, 1e-6)
        for prices in [(("a", 1.0), ("b", 7.0), ("c", 30.0))]
    ]
    for t in range(200):
        made = [router.route(features=vector(t)) for router in routers]
        assert made[0].called == made[1].called
        for router, decision in zip(routers, made, strict=True):
            for name in decision.called:
                router.feedback(decision.id, model=name, score=float((t + ord(name)) % 3 == 0))


@pytest.mark.parametrize(
    ("c", "t", "p"),
    [(0.1, 1, 0.1), (0.1, 16, 0.05), (0.1, 10_000, 0.01), (3.0, 16, 1.0), (0, 5, 0)],
)
def test_the_exploration_schedule_is_c_over_the_fourth_root_of_t(c, t, p):
    assert exploration_probability(c, t) == pytest.approx(p)


def test_the_exploration_rate_follows_the_schedule(build_router, build_policy, vector):
    explored = 0
    for seed in range(5):
        router = build_router(build_policy("mess_plus", c=0.5), seed=seed)
        explored += sum(router.route(features=vector(t % 50)).explored for t in range(400))
    expected = 5 * sum(exploration_probability(0.5, t) for t in range(1, 401))
    assert explored == pytest.approx(expected, abs=3.5 * expected**0.5)


def test_while_exploring_all_models_are_charged_and_the_most_capable_one_is_served(
    build_router, build_policy, vector
):
    router = build_router(build_policy("mess_plus", c=1.0))
    decision = router.route(features=vector(0))
    assert decision.explored
    assert decision.called == ("large", "small", "medium")
    assert router.status().reserved == pytest.approx(decision.cost_estimates.sum())
    for name, cost in (("large", 30.0), ("small", 2.0), ("medium", 5.0)):
        router.outcome(decision.id, model=name, cost=cost)
    assert router.status().spent == 37.0


def test_the_most_capable_model_can_be_named(build_router, build_policy, vector):
    router = build_router(build_policy("mess_plus", c=1.0, most_capable="medium"))
    assert router.route(features=vector(0)).model == "medium"
    with pytest.raises(InvalidInput, match="model is 'titan': name a model of the zoo: small"):
        build_router(build_policy("mess_plus", most_capable="titan"))


def test_only_labels_of_exploration_train_and_only_the_served_one_changes_the_queue(
    build_router, vector
):
    router = build_router(make_policy("mess_plus", c=1.0, estimator=Fixed))
    explored = router.route(features=vector(0))
    for name, score in (("large", 1.0), ("small", 0.0), ("medium", 0.5)):
        router.feedback(explored.id, model=name, score=score)
    assert router.policy.quality_.labels == [(2, 1.0), (0, 0.0), (1, 0.5)]
    assert router.policy.queues_["gold"] == 0.0
    greedy = build_router(make_policy("mess_plus", c=0.0, estimator=Fixed))
    greedy.feedback(greedy.route(features=vector(0)).id, score=0.0)
    assert greedy.policy.quality_.labels == []
    assert greedy.policy.queues_["gold"] == pytest.approx(0.8)


def test_costs_of_failed_calls_are_not_learned(build_router, vector):
    router = build_router("mess_plus")
    decision = router.route(features=vector(0))
    before = pack(router.policy.cost_.snapshot())
    router.outcome(decision.id, cost=0.0, error="timeout")
    assert pack(router.policy.cost_.snapshot()) == before


def test_a_longer_queue_never_prefers_a_worse_model(build_router, vector):
    policy = build_router(make_policy("mess_plus", c=0.0, estimator=Fixed)).policy
    served = []
    for length in np.linspace(0, 3, 50):
        policy.queues_.length_["gold"] = float(length)
        request = Request(vector(0), "gold", 0.8)
        served.append(policy.decide(request, np.random.default_rng(0)).model)
    assert served == sorted(served)
    assert served[0] == 0
    assert served[-1] == 2


# The public code's reading.


def test_the_code_decides_by_the_costs_of_the_last_exploration(build_router, vector):
    """V = 1e-3, τ = 0.8, ŝ = (.3, .6, .9); 1 J each before the first exploration."""
    policy = make_policy("mess_plus", reading="code", c=0.0, estimator=Fixed)
    router = build_router(policy, [SLA("gold", floor=0.8)], zoo=JOULES)
    assert router.policy.V == 1e-3
    # Equal costs: with any shortfall the best model serves, however dear it is.
    first = router.route(features=vector(0))
    router.feedback(first.id, score=0.7)
    assert router.route(features=vector(1)).model == "70b"
    explored = msgspec.structs.replace(
        router.route(features=vector(2)), id="explored", seq=99, explored=True
    )
    for model, cost in enumerate((50.0, 300.0, 2000.0)):
        outcome = Outcome(decision="explored", model=explored.models[model], cost=cost)
        router.policy.on_outcome(explored, model, outcome)
    # .001·(50, 300, 2000) + .1·(.8 − ŝ) = (.1, .32, 1.99): now the cheapest.
    assert router.policy.explored_cost_.tolist() == [50.0, 300.0, 2000.0]
    assert router.route(features=vector(3)).model == "1b"
    failed = Outcome(decision="explored", model="1b", cost=0.0, error="timeout")
    router.policy.on_outcome(explored, 0, failed)
    assert router.policy.explored_cost_[0] == 50.0


def test_costs_of_exploration_follow_their_models(build_router, vector):
    router = build_router(make_policy("mess_plus", reading="code", c=1.0), zoo=JOULES)
    decision = router.route(features=vector(0))
    for name in decision.called:
        router.outcome(decision.id, model=name, cost=float(len(name)))
    router.remove_model("8b")
    router.add_model(Model("400b", call_price=9000.0))
    assert dict(zip(router.zoo.names, router.policy.explored_cost_.tolist(), strict=True)) == {
        "1b": 2.0,
        "70b": 3.0,
        "400b": 1.0,
    }


def test_the_code_thins_the_queue_and_never_the_predictor(build_router, vector):
    def lived(share):
        policy = make_policy("mess_plus", c=100.0, queue_label_share=share, estimator=Fixed)
        router = build_router(policy, [SLA("gold", floor=1.0)])
        for t in range(400):
            decision = router.route(features=vector(t))
            for name in decision.called:
                router.feedback(decision.id, model=name, score=0.0)
        return len(router.policy.quality_.labels), router.policy.queues_["gold"]

    assert lived(1.0) == (1200, 400.0)
    assert lived(0.0) == (1200, 0.0)
    labels, queue = lived(0.2)
    assert labels == 1200
    assert queue == pytest.approx(80, abs=30)


def test_the_readings_differ_in_v_costs_and_predictor_and_either_can_be_set():
    paper, code = (make_policy("mess_plus", reading=one) for one in ("paper", "code"))
    assert (paper.V, code.V) == (1e-4, 1e-3)
    assert (paper.estimator, code.estimator) == (OnlineLogistic, OnlinePerceptron)
    assert paper.fingerprint != code.fingerprint
    mixed = make_policy("mess_plus", reading="code", V=1e-5, estimator=OnlineLogistic)
    assert (mixed.V, mixed.estimator) == (1e-5, OnlineLogistic)
    with pytest.raises(InvalidInput, match=r"mess_plus\.reading is 'cod': did you mean 'code'"):
        make_policy("mess_plus", reading="cod")
