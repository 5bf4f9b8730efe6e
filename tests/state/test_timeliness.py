"""Promises of latency: what counts as late, their certificates and their prices."""

import msgspec
import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline.errors import BudgetExhausted
from floorline.events import DISCONNECTED, RequestContext
from floorline.sla import SLA, Budget, LatencyPromise
from floorline.state.elapsed import CallTimes, Elapsed
from floorline.state.latency_certificate import certify_latency
from floorline.state.latency_price import LatencyPrice, highest_log_price
from floorline.state.timeliness import PromiseCounts

FAST = SLA("fast", floor=0.5, latency={"p95": 2.0}, ttft={"p90": 0.5})
P95 = LatencyPromise("latency", "p95", 0.95, 2.0)


def call(router, vector, at=0.0, after="", exclude=(), **outcome):
    context = RequestContext(after=after)
    decision = router.route(features=vector(0), at=at, context=context, exclude=exclude)
    ended = outcome.pop("ended", at)
    if outcome:
        router.outcome(decision.id, cost=1.0, at=ended, **outcome)
    return decision


def counts(router, sla="fast"):
    return {c.measure: c for c in router.certificate(sla).latency}


def test_answers_within_the_limit_and_late_ones_are_counted(build_router, vector):
    router = build_router("cheapest", [FAST])
    call(router, vector, latency=1.0, first_token=0.2)
    call(router, vector, latency=3.0, first_token=0.2)
    call(router, vector, latency=1.0)  # Its first content is no later than its end.
    call(router, vector, error="timeout")
    call(router, vector)  # Still open.
    made = counts(router)
    assert (made["latency"].requests, made["latency"].within) == (4, 0.5)
    assert (made["ttft"].requests, made["ttft"].unknown) == (3, 1)
    assert made["ttft"].within == pytest.approx(2 / 3)
    assert router.status().latency == router.certificate().latency


def test_a_fallback_counts_once_from_the_first_decision_on(build_router, vector):
    router = build_router("cheapest", [FAST])
    first = call(router, vector, at=10.0, error="timeout", ended=11.8)
    assert counts(router)["latency"].requests == 1
    # 0.2 s after 1.75 s of the failed call: within 2 s.
    call(router, vector, at=11.75, after=first.id, exclude=[first.model], latency=0.2)
    made = counts(router)["latency"]
    assert (made.requests, made.within) == (1, 1.0)
    second = call(router, vector, at=20.0, error="timeout")
    third = call(router, vector, at=21.0, after=second.id, exclude=[second.model], error="timeout")
    call(router, vector, at=21.9, after=third.id, exclude=["small"], latency=0.3)
    made = counts(router)["latency"]
    assert (made.requests, made.within) == (2, 0.5)
    # The model that answered was itself fast enough.
    assert {m.model: m.within for m in made.models}[first.model] == 0.0


def test_a_failed_call_of_a_promise_that_came_back_is_not_taken_back(build_router, vector):
    router = build_router("cheapest", [FAST])
    failed = call(router, vector, error="timeout")
    router.set_sla(SLA("fast", floor=0.5, latency={"p95": 3.0}))
    router.set_sla(FAST)
    call(router, vector, after=failed.id, exclude=[failed.model])
    assert [c.requests for c in router.certificate().latency] == [0, 0]


def test_a_call_that_outlives_its_model_says_nothing_of_one_that_comes_back(build_router, vector):
    router = build_router("cheapest", [FAST])
    zoo = router.zoo
    made = call(router, vector)
    router.change_zoo(zoo.without(made.model))
    router.outcome(made.id, cost=1.0, latency=9.0, at=9.0)
    router.change_zoo(zoo)
    certified = counts(router)["latency"]
    assert (certified.requests, certified.within) == (1, 0.0)
    assert [model.calls for model in certified.models] == [0] * len(zoo)


@pytest.mark.parametrize("chain", [{"a": "a"}, {"a": "b", "b": "a"}])
def test_a_chain_of_failed_calls_that_names_itself_ends(build_router, vector, chain):
    router = build_router("cheapest", [FAST])
    for at, (id, after) in enumerate(chain.items()):
        context = RequestContext(after=after)
        router.route(features=vector(0), id=id, at=float(at), context=context)
    for id in chain:
        router.outcome(id, cost=1.0, latency=0.1, at=5.0)
    made = counts(router)["latency"]
    assert (made.requests, made.within) == (len(chain), 1.0)


def test_a_failed_call_whose_replacement_is_declined_stays_late(build_router, vector):
    sla = SLA("fast", floor=0.5, latency={"p95": 2.0}, budget=Budget(total=1.5))
    router = build_router("cheapest", [sla])
    first = router.route(features=vector(0), at=0.0)
    router.outcome(first.id, cost=1.5, error="timeout", at=1.0)
    with pytest.raises(BudgetExhausted):
        call(router, vector, at=1.0, after=first.id)
    made = counts(router)["latency"]
    assert (made.requests, made.within) == (1, 0.0)


def test_a_client_that_left_is_late_beyond_the_limit_and_unknown_within(build_router, vector):
    router = build_router("cheapest", [FAST])
    call(router, vector, at=0.0, error=DISCONNECTED, ended=5.0)
    call(router, vector, at=0.0, error=DISCONNECTED, ended=1.0)
    made = counts(router)["latency"]
    assert (made.requests, made.within, made.unknown) == (1, 0.0, 1)


def test_unknown_times_widen_the_bounds_in_both_directions():
    known = certify_latency(FAST, P95, PromiseCounts(900, 880, 0, {}), ())
    unsure = certify_latency(FAST, P95, PromiseCounts(900, 880, 100, {}), ())
    assert unsure.within == known.within
    assert unsure.lower < 880 / 1000 < known.lower
    assert unsure.upper > known.upper


@pytest.mark.parametrize(
    ("within", "verdict"),
    [(1990, "kept"), (1880, "at risk"), (1700, "broken"), (1910, "unknown")],
)
def test_verdicts(within, verdict):
    models = {"m": [2000, within], "other": [5, 5]}
    made = certify_latency(FAST, P95, PromiseCounts(2000, within, 0, models), ("m", "other"))
    assert made.verdict == verdict
    assert made.promise == "whole answer within 2 s for 95 % of the requests"


def test_no_request_is_unknown_and_no_fast_model_unreachable():
    empty = certify_latency(FAST, P95, PromiseCounts(0, 0, 0, {}), ("m",))
    assert (empty.verdict, empty.within, empty.lower, empty.upper) == ("unknown", None, 0.0, 1.0)
    models = {"m": [600, 300], "n": [400, 250]}
    made = certify_latency(FAST, P95, PromiseCounts(1000, 550, 0, models), ("m", "n"))
    assert made.verdict == "unreachable"
    assert "no model is fast enough" in made.reason
    assert [row.model for row in made.models] == ["n", "m"]


def test_a_promise_that_no_mix_keeps_beside_the_floor_is_unreachable():
    """The fast model satisfies half of the requests, the slow one all: floor .9 needs 80 %."""
    sla = SLA("both", floor=0.9, latency={"p95": 2.0})
    calls = {"fast": [2000, 2000], "slow": [2000, 0]}
    labels = {"fast": [2000.0, 2000.0, 1000.0], "slow": [2000.0, 2000.0, 2000.0]}
    counts = PromiseCounts(4000, 2000, 0, calls)
    made = certify_latency(sla, P95, counts, ("fast", "slow"), labels)
    assert made.verdict == "unreachable"
    assert "no mix of models that keeps the floor 0.9 keeps this promise" in made.reason
    # Without labels, or at a floor that leaves enough to the fast model, it is only broken.
    assert certify_latency(sla, P95, counts, ("fast", "slow")).verdict == "broken"
    low = SLA("both", floor=0.5, latency={"p95": 2.0})
    assert certify_latency(low, P95, counts, ("fast", "slow"), labels).verdict == "broken"
    # Nor is it unreachable while one of the models has no labels.
    del labels["fast"]
    assert certify_latency(sla, P95, counts, ("fast", "slow"), labels).verdict == "broken"


def test_promises_change_at_run_time_and_a_changed_one_starts_anew(build_router, vector):
    router = build_router("cheapest", [FAST])
    for _ in range(3):
        call(router, vector, latency=1.0, first_token=0.1)
    router.set_sla(SLA("fast", floor=0.5, latency={"p95": 1.5, "p99": 4.0}, ttft={"p90": 0.5}))
    made = [(c.quantile, c.requests) for c in router.certificate().latency]
    assert made == [("p90", 3), ("p95", 0), ("p99", 0)]
    router.set_sla(SLA("fast", floor=0.5))
    call(router, vector, latency=1.0)
    assert router.certificate().latency == ()


def test_a_snapshot_or_the_log_restores_promises_to_the_bit(build_router, vector):
    def build():
        return build_router("primal_dual", [FAST, SLA("plain", floor=0.5)])

    router = build()
    rng = np.random.default_rng(0)
    for number in range(80):
        made = call(router, vector, at=float(number))
        seconds = float(rng.exponential(2.0))
        router.outcome(made.id, cost=1.0, latency=seconds, first_token=seconds / 3, at=number + 0.5)
    folded, restored = build(), build()
    folded.apply(router.log.read())
    restored.restore(router.snapshot())
    assert folded.snapshot() == restored.snapshot() == router.snapshot()
    following = [r.route(features=vector(3), at=99.0, id="x") for r in (folded, restored, router)]
    assert len({d.model for d in following}) == 1
    assert following[0].propensities.tolist() == following[1].propensities.tolist()
    assert fold_of(router).ledgers_["fast"].timeliness_.prices_["latency p95 2 s"].log_price_ > 0.0


def test_certificates_are_serialised_with_their_promises(build_router, vector):
    router = build_router("cheapest", [FAST])
    call(router, vector, latency=1.0)
    shown = msgspec.to_builtins(router.status())
    assert [p["quantile"] for p in shown["latency"]] == ["p90", "p95"]
    assert "whole answer within 2 s" in router.status()._repr_html_()
    assert "whole answer within 2 s" in router.certificate()._repr_html_()


def test_the_price_finds_a_mix_that_keeps_the_promise():
    """Two models: late always and never, at costs 1 and 3; a tenth of the requests may be late."""
    promise = LatencyPromise("latency", "p90", 0.9, 1.0)
    price, rng = LatencyPrice(), np.random.default_rng(0)
    surplus, late = 0.0, []
    for _ in range(5000):
        slow = 1.0 + price.price(promise, 3.0) < 3.0 + 0.02 * price.price(promise, 3.0)
        chance = 0.98 if slow else 0.02
        price.served(promise, chance, surplus)
        late.append(rng.random() < chance)
        surplus += promise.tolerated - late[-1]
    assert 0.08 < np.mean(late) <= 0.1
    assert 0.0 <= price.log_price_ <= highest_log_price(promise)


def test_a_failed_call_that_is_not_replaced_stays_late(build_router, vector):
    router = build_router("cheapest", [FAST])
    timeliness = fold_of(router).ledgers_["fast"].timeliness_
    times = CallTimes(Elapsed(0.1, 0.1), Elapsed(9.0, 9.0), failed=False)
    timeliness.ended("d1", "small", times, 0.0)
    timeliness.replace("d1")
    assert timeliness.counts(P95).known == 1


def test_the_floor_has_priority(build_router, vector):
    """The fast model satisfies no request: it serves no more of them than the floor leaves."""
    sla = SLA("gold", floor=0.7, latency={"p80": 2.0})
    seconds, happy = {"small": 1.0, "medium": 9.0, "large": 9.0}, {"small": 0.0}
    for policy in ("mess_plus", "primal_dual"):
        router, scores = build_router(policy, [sla]), []
        for number in range(800):
            at = float(number)
            made = router.route(features=vector(number), at=at)
            for model in made.called:
                router.outcome(made.id, model=model, cost=1.0, latency=seconds[model], at=at)
            scores.append(happy.get(made.model, 1.0))
            router.feedback(made.id, score=scores[-1], at=at)
        # Within a standard deviation of 800 labels.
        assert np.mean(scores) >= 0.7 - np.sqrt(0.21 / 800)
        # What the floor leaves goes to the fast model.
        assert np.mean(scores) < 0.8
        assert router.certificate().latency[0].verdict in ("broken", "unreachable")
