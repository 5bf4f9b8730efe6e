import pickle

import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline.errors import BudgetExhausted, InvalidInput, NoModelCanServe
from floorline.sla import SLA, Budget
from floorline.state.eligibility import able, affordable, call_costs, within_budget
from floorline.zoo import CallLimits, Model, Zoo


@pytest.fixture
def fold(build_router):
    """Build the fold behind a router of these SLAs."""

    def build(*slas, policy="cheapest", **kwargs):
        return fold_of(build_router(policy, list(slas) or [SLA("gold", floor=0.8)], **kwargs))

    return build


def mask(fold, sla=None, *, tokens=0, needs=(), exclude=()):
    allowed = able(fold, fold.sla(sla), tokens, needs, exclude)
    return None if allowed is None else allowed.tolist()


def test_without_any_limit_all_models_may_serve(fold):
    assert mask(fold()) is None


def test_capabilities_exclusions_and_context_windows_bar_models(fold):
    zoo = Zoo(
        [
            Model("a", context_window=100),
            Model("b", capabilities=frozenset({"tools"})),
            Model("c", capabilities=frozenset({"tools", "vision"})),
        ]
    )
    limited = fold(zoo=zoo)
    assert mask(limited, tokens=101) == [False, True, True]
    assert mask(limited, needs=["tools", "vision"]) == [False, False, True]
    assert mask(limited, exclude=["b"]) == [True, False, True]
    with pytest.raises(InvalidInput, match="no model can serve it"):
        mask(limited, needs=["audio"])


def test_an_sla_may_name_the_models_that_serve_it(fold):
    named = fold(SLA("gold", floor=0.8, models=("small", "large")), SLA("free", floor=0.1))
    assert mask(named) == [True, False, True]
    assert mask(named, "free") is None
    assert mask(named, exclude=["small"]) == [False, False, True]
    with pytest.raises(InvalidInput, match=r"large: excluded by the request"):
        mask(named, exclude=["small", "large"])


def test_the_text_says_of_each_model_why_it_cannot_serve(build_router, vector):
    zoo = Zoo(
        [
            Model("a", call_price=1.0, context_window=8_192, capabilities=frozenset({"vision"})),
            Model("b", call_price=2.0),
            Model("c", call_price=3.0, capabilities=frozenset({"vision", "tools"})),
            Model("d", call_price=4.0, capabilities=frozenset({"vision"})),
        ]
    )
    router = build_router("cheapest", [SLA("gold", floor=0.8, models=("a", "b", "c"))], zoo=zoo)
    with pytest.raises(NoModelCanServe) as caught:
        router.route(
            features=vector(0),
            input_tokens=8_000,
            limits=CallLimits(9_000, 1_000),
            needs=iter(["vision", "audio"]),
            exclude=iter(["c"]),
        )
    assert caught.value.limits == {
        "a": "its context window holds 8,192 tokens, and the request needs 9,000",
        "b": "lacks audio, vision",
        "c": "excluded by the request",
        "d": "lacks audio",
    }
    assert str(caught.value).startswith("request is {'tokens': 9000, 'needs': ['audio', ")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(NoModelCanServe, match="d: SLA 'gold' does not allow it"):
        router.route(features=vector(0), exclude=["a", "b", "c"])


def test_the_text_says_what_a_budget_and_a_ceiling_bar(build_router, vector):
    budget = Budget(total=6.0)
    router = build_router("cheapest", [SLA("gold", floor=0.8, max_latency=2.0, budget=budget)])
    for cost, latency in ((1.0, 5.0), (3.0, 1.0)):
        decision = router.route(features=vector(0))
        router.outcome(decision.id, cost=cost, latency=latency)
    with pytest.raises(BudgetExhausted) as caught:
        router.route(features=vector(2), exclude=["large"])
    limits = caught.value.limits
    assert limits["small"] == "its median latency of 5 s is above 2 s"
    assert limits["medium"].endswith("of the budget, and 2 is left")
    assert limits["large"] == "excluded by the request"
    assert "within the budget of SLA 'gold': raise " in str(caught.value)
    assert "or for its next period (small: its median latency of 5 s is" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_longest_answer_must_fit_the_context_window_too(build_router, vector):
    zoo = Zoo([Model("a", call_price=1.0, context_window=100), Model("b", call_price=2.0)])
    router = build_router("cheapest", zoo=zoo)
    served = [
        router.route(features=vector(0), input_tokens=50, limits=CallLimits(90, tokens)).model
        for tokens in (None, 50, 51)
    ]
    assert served == ["a", "a", "b"]


def test_a_limit_that_is_not_certain_reserves_a_call_without_one():
    zoo = Zoo([Model("a", output_price=1e6, max_output_tokens=500), Model("b", output_price=1e6)])
    expected = np.array([30.0, 30.0])

    def costs(tokens, *, is_certain):
        found = call_costs(zoo, expected, CallLimits(0, tokens, is_certain=is_certain))
        return found.needed.tolist(), found.largest.tolist()

    assert costs(100, is_certain=True) == ([100.0, 100.0], [100.0, 100.0])
    assert costs(100, is_certain=False) == ([100.0, 100.0], [500.0, 8192.0])
    assert costs(10, is_certain=False) == ([30.0, 30.0], [500.0, 8192.0])
    assert costs(9000, is_certain=False) == ([500.0, 9000.0], [500.0, 9000.0])
    assert costs(None, is_certain=False) == ([30.0, 30.0], [500.0, 8192.0])


def slow_router(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.8, max_latency=2.0)])
    for latency in (5.0, 1.0):
        router.outcome(router.route(features=vector(0)).id, cost=1.0, latency=latency)
    return router


def test_models_above_the_latency_ceiling_are_barred(build_router, vector):
    router = slow_router(build_router, vector)
    assert mask(fold_of(router)) == [False, True, True]


def test_a_ceiling_that_no_model_meets_bars_none(build_router, vector):
    router = slow_router(build_router, vector)
    assert mask(fold_of(router), exclude=["medium", "large"]) == [True, False, False]


def test_models_whose_estimated_cost_exceeds_the_rest_are_barred(fold):
    budget = Budget(total=19.0, per_model={"small": 0.0})
    limited = fold(SLA("gold", floor=0.8, budget=budget), policy="random")
    promise = limited.sla(None)
    assert affordable(limited, promise, 0, None, 0.0).tolist() == [False, True, False]
    allowed = np.array([True, False, True])
    assert not affordable(limited, promise, 0, allowed, 0.0).any()


def test_a_budget_per_model_is_renewed_with_its_period(fold):
    limited = fold(SLA("gold", floor=0.8, budget=Budget(total=5.0, period=60.0)), policy="random")
    ledger = limited.ledgers_["gold"]
    ledger.reserve("medium", 4.0)
    ledger.settle("medium", reserved=4.0, real=4.0)
    promise = limited.sla(None)
    assert affordable(limited, promise, 0, None, 59.0).tolist() == [False, False, False]
    assert affordable(limited, promise, 0, None, 60.0).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("total", "called", "kept"),
    [
        (100.0, (2, 0, 1), (2, 0, 1)),
        (24.0, (2, 0, 1), (2, 0)),
        (22.0, (2, 1, 0), (2, 0)),
        (19.0, (2, 1, 0), ()),
        (0.0, (0,), ()),
    ],
    ids=["all fit", "the last does not", "the second does not", "the served one does not", "none"],
)
def test_calls_are_left_out_that_the_budget_does_not_hold(total, called, kept, fold):
    limited = fold(SLA("gold", floor=0.8, budget=Budget(total=total)))
    cost = np.array([1.5, 4.0, 20.0])
    assert within_budget(limited, called, cost, limited.sla(None), 0.0).called == kept


def test_calls_are_left_out_whose_own_budget_does_not_hold_them(fold):
    limited = fold(SLA("gold", floor=0.8, budget=Budget(per_model={"medium": 3.0})))
    cost = np.array([1.5, 4.0, 20.0])
    assert within_budget(limited, (2, 1, 0), cost, limited.sla(None), 0.0).called == (2, 0)
    assert within_budget(limited, (1, 2), cost, limited.sla(None), 0.0).called == ()
