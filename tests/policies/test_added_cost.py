"""What serving a model costs beside its call: the same for every policy that minimises cost."""

import numpy as np
import pytest

from floorline.policies import Request, make_policy
from floorline.sla import SLA

SECONDS = {"small": 9.0, "medium": 1.0, "large": 1.0}
COSTS = {"small": 1.0, "medium": 4.0, "large": 20.0}


def serve(build_router, vector, policy, sla, requests=600):
    """Serve a stream of which only the small model is slow; every response satisfies."""
    router = build_router(policy, [sla])
    made = []
    for number in range(requests):
        at = float(number)
        decision = router.route(features=vector(number), at=at, id=f"d{number}")
        for model in decision.called:
            seconds = SECONDS[model]
            router.outcome(decision.id, model=model, cost=COSTS[model], latency=seconds, at=at)
        router.feedback(decision.id, satisfied=True, at=at)
        made.append(decision)
    return router, made


@pytest.mark.parametrize(
    "policy", ["cheapest", "mess_plus", "sla_router", "carrot", "omnirouter", "primal_dual"]
)
def test_policies_that_minimise_cost_keep_a_promise_of_latency(policy, build_router, vector):
    sla = SLA("gold", floor=0.3, latency={"p80": 2.0})
    router, made = serve(build_router, vector, make_policy(policy), sla)
    without, _ = serve(build_router, vector, make_policy(policy), SLA("gold", floor=0.3))
    fast = np.mean([SECONDS[decision.model] <= 2.0 for decision in made])
    assert fast >= 0.79
    assert router.certificate().latency[0].within == fast
    # It costs no more than it must: the slow model serves most of what the promise leaves to it.
    assert fast < 0.93
    assert without.certificate().latency == ()


@pytest.mark.parametrize("policy", ["cheapest", "mess_plus", "carrot", "primal_dual"])
def test_without_a_late_request_a_promise_changes_no_decision(policy, build_router, vector):
    slas = SLA("gold", floor=0.6), SLA("gold", floor=0.6, ttft={"p99": 20.0})
    plain, promised = (
        serve(build_router, vector, make_policy(policy), sla, 200)[1] for sla in slas
    )
    for one, other in zip(plain, promised, strict=True):
        assert one.added_cost is None
        assert other.added_cost is None
        assert one.scored_costs is one.cost_estimates
        assert one.model == other.model
        assert one.propensities.tobytes() == other.propensities.tobytes()
        assert one.cost_estimates.tobytes() == other.cost_estimates.tobytes()


def test_added_cost_is_no_cost_of_the_call(build_router, vector):
    sla = SLA("gold", floor=0.3, latency={"p80": 2.0})
    _, made = serve(build_router, vector, "primal_dual", sla, 200)
    priced = [decision for decision in made if decision.added_cost is not None]
    assert priced
    assert max(decision.added_cost[0] for decision in priced) > 1.0
    assert all(decision.expected_cost < 30.0 for decision in priced)


def test_a_budget_weighs_lateness_and_declines_no_request_for_it(build_router, vector):
    from floorline.sla import Budget

    sla = SLA("gold", floor=0.3, latency={"p80": 2.0}, budget=Budget(total=1e6))
    _, made = serve(build_router, vector, "primal_dual", sla, 300)
    assert not any(decision.declined for decision in made)
    assert np.mean([SECONDS[d.model] <= 2.0 for d in made]) >= 0.79


def test_a_request_without_it_is_scored_by_its_cost():
    cost = np.array([1.0, 2.0])
    assert Request(np.zeros(1), "gold", 0.5).scored(cost) is cost
    added = Request(np.zeros(1), "gold", 0.5, added_cost=np.array([5.0, 0.0]))
    assert added.scored(cost).tolist() == [6.0, 2.0]


def test_long_prompts_go_where_they_are_in_time_and_short_ones_where_they_are_cheap(
    build_router, vector
):
    sla = SLA("gold", floor=0.3, ttft={"p95": 1.0})
    router = build_router("cheapest", [sla])
    served = {True: [], False: []}
    for number in range(1500):
        long, at = number % 5 == 0, float(number)
        tokens = 20_000 if long else 200
        made = router.route(features=vector(number), input_tokens=tokens, at=at)
        first = 4.0 if long and made.model == "small" else 0.3
        cost = COSTS[made.model]
        router.outcome(made.id, cost=cost, latency=first + 0.1, first_token=first, at=at)
        served[long].append(made.model == "small")
    assert router.certificate().latency[0].within >= 0.95
    assert np.mean(served[False][50:]) > 0.85
    assert np.mean(served[True][50:]) < 0.3
