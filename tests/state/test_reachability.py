import numpy as np
import pytest

from floorline.sla import SLA, Budget
from floorline.state.certificate import certificate_of
from floorline.state.ledger import Ledger
from floorline.state.reachability import Evidence, reachability_of
from floorline.zoo import Model

GOLD = SLA("gold", floor=0.8)
NAMES = ["small", "medium", "large"]


def evidence_of(means, labels=400, cost=(1.0, 4.0, 20.0), *, requests=1000, budgets=1):
    names = NAMES[: len(means)]
    counts = np.broadcast_to(labels, len(means)).tolist()
    sums = {name: [n, n, n * mean] for name, mean, n in zip(names, means, counts, strict=True) if n}
    return Evidence(names, sums, dict(zip(names, cost, strict=False)), requests, budgets)


def ledger_of(parts, *, floor=0.8, more_requests=0):
    """Ledger of labels (model, number, satisfied); a model of None has left the zoo."""
    ledger = Ledger()
    for model, number, satisfied in parts:
        for label in range(number):
            score = float(label < satisfied)
            ledger.label(f"{model} {label}", score, None, floor=floor, model=model)
    ledger.requests_ = ledger.labels_ + more_requests
    return ledger


def test_out_of_reach_is_shown_by_the_bounds_of_all_models():
    found = reachability_of(GOLD, evidence_of([0.3, 0.6, 0.7]))
    assert found.finding == "out of reach"
    assert f"highest upper bound is {found.upper:.4f}" in found.reason
    assert [bound.model for bound in found.models] == ["large", "medium", "small"]
    assert [round(bound.mean, 3) for bound in found.models] == [0.7, 0.6, 0.3]
    assert all(bound.mean < bound.upper < 0.8 for bound in found.models)
    assert found.upper == found.models[0].upper
    assert found.confidence == 0.975
    assert (found.affordable, found.budget_per_request) == (None, None)


@pytest.mark.parametrize("labels", [[400, 0, 400], [400, 400, 10]])
def test_one_model_of_few_labels_leaves_it_open(labels):
    found = reachability_of(GOLD, evidence_of([0.3, 0.6, 0.7], labels))
    assert (found.finding, found.models[0].labels) == ("open", min(labels))
    assert found.models[0].upper > 0.8


def test_models_that_may_not_serve_do_not_count():
    evidence = evidence_of([0.3, 0.6, 0.9])
    assert reachability_of(GOLD, evidence).finding == "open"
    without = evidence._replace(models=["small", "medium"])
    assert reachability_of(GOLD, without).finding == "out of reach"
    assert reachability_of(GOLD, evidence._replace(models=[])).finding == "open"


def test_a_budget_that_pays_for_no_mix_that_reaches_the_floor():
    def found(budget, **given):
        sla = SLA("gold", floor=0.8, budget=budget)
        return reachability_of(sla, evidence_of([0.5, 0.7, 0.9], 4000, **given))

    rich, poor = found(Budget(total=18_000.0)), found(Budget(total=4_000.0))
    assert (rich.finding, poor.finding) == ("open", "unaffordable")
    assert poor.budget_per_request == 4.0
    # All requests to the model of cost 4: no more than its bound.
    assert poor.affordable == pytest.approx(poor.models[1].upper, abs=1e-6)
    assert "the budget of 4 per request pays for" in poor.reason
    # Twenty periods give twenty times as much.
    renewed = found(Budget(total=4_000.0, period=60.0), budgets=20)
    assert (renewed.finding, renewed.budget_per_request) == ("open", 80.0)
    own = found(Budget(per_model={"large": 1_000.0}))
    assert (own.finding, own.budget_per_request) == ("unaffordable", None)
    assert "the models' budgets pay for" in own.reason
    # What no request has asked for yet has no price.
    assert found(Budget(total=4_000.0), requests=0).affordable is None


def test_the_error_is_divided_among_the_models_that_a_mix_can_need():
    def upper(budget):
        return reachability_of(SLA("gold", floor=0.8, budget=budget), evidence_of([0.6] * 3)).upper

    plain, total = upper(None), upper(Budget(total=1e9))
    own = upper(Budget(total=1e9, per_model={"large": 1e9}))
    assert plain < total < own
    assert own == upper(Budget(per_model=dict.fromkeys(NAMES, 1e9)))


def test_unreachable_comes_before_broken_and_says_both():
    ledger = ledger_of([("small", 400, 200), ("large", 400, 270)])
    made = certificate_of(GOLD, ledger, ["small", "large"])
    assert made.verdict == "unreachable"
    assert made.reason.startswith(made.reachability.reason)
    assert "for the responses so far, the upper bound" in made.reason
    assert certificate_of(GOLD, ledger, ["small", "large", "new"]).verdict == "broken"
    shown = made._repr_html_()
    assert "satisfaction with large" in shown
    assert "400 labels of mean 0.675" in shown


def test_what_was_kept_stays_kept_and_the_evidence_is_given():
    ledger = ledger_of([(None, 2000, 1900), ("small", 200, 100)])
    made = certificate_of(GOLD, ledger, ["small"])
    assert (made.verdict, made.reachability.finding) == ("kept", "out of reach")


def test_a_floor_that_was_raised_is_judged_as_it_is_now():
    ledger = ledger_of([("small", 4000, 3240)], floor=0.8)
    assert certificate_of(GOLD, ledger, ["small"]).verdict == "unknown"
    assert certificate_of(SLA("gold", floor=0.9), ledger, ["small"]).verdict == "unreachable"
    assert certificate_of(SLA("gold", floor=0.7), ledger, ["small"]).verdict == "unknown"


def test_complaints_only_say_nothing_of_the_models():
    ledger = ledger_of([("small", 300, 0)], more_requests=1000)
    made = certificate_of(GOLD, ledger, ["small"])
    assert (made.verdict, made.reachability.finding) == ("unknown", "open")
    assert certificate_of(GOLD, ledger_of([("small", 300, 0)]), ["small"]).verdict == "unreachable"


def test_corrected_labels_are_those_of_their_model():
    ledger = ledger_of([("small", 10, 10), ("large", 10, 10)])
    ledger.label("large 3", 0.0, 1.0, floor=0.8, model="large")
    ledger.label("gone 3", 0.0, 1.0, floor=0.8, model="gone")
    assert ledger.by_model_ == {"small": [10.0, 10.0, 10.0], "large": [10.0, 10.0, 9.0]}
    ledger.keep_models(["large", "new"])
    assert ledger.by_model_ == {"large": [10.0, 10.0, 9.0]}


def test_a_router_counts_labels_by_the_models_that_may_serve(build_router, vector):
    router = build_router("cheapest", slas=[SLA("gold", floor=0.8, models=("small", "large"))])
    for number in range(80):
        decision = router.route(features=vector(number))
        router.feedback(decision.id, score=0.4)
        router.feedback(decision.id, score=0.5)
    found = {bound.model: bound for bound in router.certificate().reachability.models}
    assert set(found) == {"small", "large"}
    assert (found["small"].labels, found["large"].labels) == (80, 0)
    assert (found["small"].mean, found["large"].mean) == (pytest.approx(0.5), None)
    assert (found["large"].upper, found["large"].cost) == (1.0, 20.0)
    assert router.status().reachability == router.certificate().reachability
    assert router.certificate(window=True).reachability is None
    router.set_sla(SLA("gold", floor=0.8, models=("small",)))
    assert router.certificate().verdict == "unreachable"
    router.set_sla(SLA("gold", floor=0.8, max_latency=1.0))
    assert len(router.certificate().reachability.models) == 3
    router.outcome(router.route(features=vector(0)).id, cost=1.0, latency=9.0)
    assert [b.model for b in router.certificate().reachability.models] == ["medium", "large"]


def test_a_model_that_comes_back_begins_anew(build_router, vector):
    router = build_router("cheapest")
    decisions = [router.route(features=vector(number)) for number in range(80)]
    for decision in decisions:
        router.feedback(decision.id, score=0.5)
    for other in ("medium", "large"):
        router.remove_model(other)
    assert router.certificate().verdict == "unreachable"
    router.add_model(Model("small again", call_price=9.0))
    router.remove_model("small")
    router.add_model(Model("small", call_price=9.0))
    router.feedback(decisions[0].id, score=1.0)
    found = {bound.model: bound.labels for bound in router.certificate().reachability.models}
    assert found == {"small again": 0, "small": 0}
    assert router.certificate().verdict == "broken"
    folded, restored = build_router("cheapest"), build_router("cheapest")
    folded.apply(router.log.read())
    restored.restore(router.snapshot())
    assert folded.certificate() == restored.certificate() == router.certificate()


def test_budgets_are_counted_by_the_periods_with_a_request(build_router, vector):
    sla = SLA("gold", floor=0.8, budget=Budget(total=100.0, period=60.0))
    router = build_router("cheapest", slas=[sla])
    for at in (30.0, 59.0, 61.0, 500.0, 501.0):
        router.route(features=vector(0), at=at)
    assert router.certificate().reachability.budget_per_request == 3 * 100.0 / 5


@pytest.mark.parametrize("truth", [0.8, 0.83])
def test_false_findings_are_rarer_than_promised(truth):
    """The best model is at the floor or a little above it, and served by what its labels say."""
    rng = np.random.default_rng(7)
    means, false = np.array([0.4, 0.5, truth]), 0
    for _ in range(400):
        labels, total = np.zeros(3), np.zeros(3)
        for _ in range(80):
            # Blocks of requests to the model that looks best, and a few to the others.
            block = np.where(np.arange(3) == (total / np.maximum(labels, 1)).argmax(), 20, 2)
            labels, total = labels + block, total + rng.binomial(block, means)
            # No bound at this confidence is nearer than 1.9 standard errors.
            if 0.8 - total[2] / labels[2] < 1.9 * (0.16 / labels[2]) ** 0.5:
                continue
            sums = dict(zip(NAMES, np.array([labels, labels, total]).T.tolist(), strict=True))
            if reachability_of(GOLD, Evidence(NAMES, sums, {}, 1000, 1)).finding != "open":
                false += 1
                break
    # The promise is 2.5 %, 10 of 400 streams.
    assert false <= 10
