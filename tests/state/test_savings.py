"""What is saved against strategies that ignore prompts, and what they are told."""

import pytest
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.sla import Budget
from floorline.state.eligibility import eligible_models


def served(models, sla=None, policy="cheapest", requests=20, **about):
    sla = SLA("gold", floor=0.8, **about) if sla is None else sla
    router = Router(Zoo(models), policy, [sla], seed=1)
    for number in range(requests):
        decision = router.route("hello", at=float(number))
        router.outcome(decision.id, cost=decision.expected_cost, at=float(number))
    return router


HINTED = [
    Model("small", call_price=1.0, quality_hint=0.6),
    Model("large", call_price=5.0, quality_hint=0.9),
]


def by_name(status):
    return {(one.name, one.told): one for one in status.references}


def test_references_that_are_told_the_hints():
    found = by_name(served(HINTED).status("gold"))
    best, mix = found["best fixed", "hints"], found["static mix", "hints"]
    assert best.models == {"large": 1.0}
    assert (best.cost, best.quality) == (100.0, 0.9)
    assert best.savings == pytest.approx(0.8)
    assert mix.models == pytest.approx({"small": 1 / 3, "large": 2 / 3})
    assert mix.quality == pytest.approx(0.8)
    assert mix.cost == pytest.approx(20 * (1 / 3 + 10 / 3))
    assert mix.savings == pytest.approx(1.0 - 20.0 / mix.cost)


def test_a_model_like_another_one_has_its_hint():
    models = [*HINTED, Model("other", call_price=2.0, quality_like="large")]
    mix = by_name(served(models).status("gold"))["static mix", "hints"]
    assert mix.models == pytest.approx({"small": 1 / 3, "other": 2 / 3})


def test_hints_are_told_only_if_every_model_has_one():
    models = [HINTED[0], Model("large", call_price=5.0)]
    assert {told for _, told in by_name(served(models).status("gold"))} <= {"estimates"}


def test_estimates_are_those_that_the_policy_has_today():
    router = served(HINTED, policy="primal_dual", requests=60)
    known = router.policy.model_estimates()
    mix = by_name(router.status("gold"))["static mix", "estimates"]
    quality = dict(zip(known.models, known.mean.tolist(), strict=True))
    expected = sum(share * quality[name] for name, share in mix.models.items())
    assert mix.quality == pytest.approx(expected)


def test_the_best_fixed_model_of_the_status_is_that_of_the_references():
    status = served(HINTED, policy="primal_dual", requests=60).status("gold")
    best = by_name(status)["best fixed", "estimates"]
    assert best.models == {status.best_fixed: 1.0}
    assert best.savings == status.savings


def test_models_that_may_not_serve_are_no_reference():
    models = [*HINTED, Model("huge", call_price=50.0, quality_hint=0.99)]
    router = served(models, sla=SLA("gold", floor=0.8, models=("small", "large")))
    assert by_name(router.status("gold"))["best fixed", "hints"].models == {"large": 1.0}


def test_a_reference_serves_the_requests_that_were_declined_too():
    router = served(HINTED, policy="primal_dual", budget=Budget(total=10.0), requests=0)
    for number in range(20):
        (decision,) = router.decide([router.request("hello", at=float(number))], at=float(number))
        if not decision.declined:
            router.outcome(decision.id, cost=decision.expected_cost, at=float(number))
    status = router.status("gold")
    assert status.declined > 5
    assert by_name(status)["best fixed", "hints"].cost == pytest.approx(100.0)


def test_before_the_first_request_there_is_no_reference():
    status = served(HINTED, requests=0).status("gold")
    assert (status.references, status.best_fixed, status.savings) == ((), None, None)


def test_the_status_shows_what_is_told_what():
    shown = served(HINTED).status("gold")._repr_html_()
    assert "saved against the static mix (small, large), told the hints" in shown


def test_the_outlook_says_what_would_bring_a_model_traffic():
    models = [*HINTED, Model("middle", call_price=4.0, quality_hint=0.7)]
    router = served(models, policy="primal_dual", requests=40)
    rows = {row.model: row for row in router.outlook("gold")}
    assert list(rows) == list(eligible_models(fold_of(router), router.slas["gold"]))
    assert sum(row.share for row in rows.values()) == pytest.approx(1.0)
    for row in rows.values():
        assert 0.0 <= row.quality <= 1.0
        assert row.sd > 0.0
        if row.share > 0.0:
            assert "The cheapest mix sends it" in row.text
            assert row.cost_below is None or row.cost_below >= row.cost
        else:
            assert row.text.startswith("The cheapest mix sends it nothing. It would get requests")
            assert row.cost_below is None or row.cost_below <= row.cost


def test_without_estimates_the_outlook_knows_costs_only():
    router = served([Model("small", call_price=1.0), Model("large", call_price=5.0)], requests=0)
    for row in router.outlook():
        assert row.share is row.quality is row.cost_below is row.quality_above is None
        assert row.text == "The policy does not estimate how good the models are."
