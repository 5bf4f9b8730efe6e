"""What senders of false labels can do to the others, through a router."""

import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline import SLA, Router
from floorline.core.bounds import MAX_LATENCY
from floorline.events import Feedback, RequestContext

TRUTH = {"small": 0.75, "medium": 0.85, "large": 0.95}
COST = {"small": 1.0, "medium": 4.0, "large": 20.0}
GOLD = SLA("gold", floor=0.8)


def serve(router, vector, steps, *, share=0.05, rate=0.1, lie=lambda y: 0.0, spread=1, seed=0):
    """Requests of ten honest tenants and of attackers; return what honest users truly got."""
    rng = np.random.default_rng(seed)
    got = []
    for step in range(steps):
        attacks = rng.random() < share
        name = f"attacker {rng.integers(spread)}" if attacks else f"tenant {rng.integers(10)}"
        context = RequestContext(tenant=name)
        decision = router.route(features=vector(step % 50), at=float(step), context=context)
        router.outcome(decision.id, cost=COST[decision.model], at=float(step))
        y = float(rng.random() < TRUTH[decision.model])
        if attacks:
            router.feedback(decision.id, score=lie(y), at=float(step))
        else:
            got.append(y)
            if rng.random() < rate:
                router.feedback(decision.id, score=y, at=float(step))
    return got


class EveryLabelAlike(Router):
    """As it was before senders were weighed."""

    def _label_weights(self, decision, model):
        return 1.0, 1.0


@pytest.fixture
def build(build_router):
    """Build a router with the flagship; ``weighed`` or not."""

    def make(slas=(GOLD,), weighed=True, **arguments):
        router = build_router("primal_dual", list(slas), **arguments)
        if not weighed:
            router.__class__ = EveryLabelAlike
        return router

    return make


def attackers_share(router, sla="gold"):
    rows = router.status(sla).senders
    return sum(row.weight for row in rows if "attacker" in row.sender) / sum(
        row.weight for row in rows
    )


def test_one_request_in_twenty_labelled_bad_does_not_break_an_honest_promise(build, vector):
    before, after = build(weighed=False), build()
    for router in (before, after):
        got = serve(router, vector, 2500)
        assert np.mean(got) > 0.8
    assert before.certificate().verdict in ("broken", "unreachable")
    assert after.certificate().verdict not in ("broken", "unreachable")
    assert after.certificate().satisfaction > 0.78
    assert attackers_share(before) > 0.3
    assert attackers_share(after) < 0.03


def test_it_hardly_costs_the_others_more(build, vector):
    def spent(weighed, share, seed):
        router = build(weighed=weighed, seed=seed)
        serve(router, vector, 2000, share=share, rate=1.0, seed=seed)
        return router.status().spent

    # The median of three streams, since one alone may be cheap or dear by chance.
    ratios = [spent(True, 0.1, seed) / spent(True, 0.0, seed) for seed in range(3)]
    assert np.median(ratios) < 1.3
    assert spent(False, 0.1, 0) > 1.4 * spent(False, 0.0, 0)


def test_labels_all_good_do_not_lower_what_others_get(build, vector):
    before, after = build(weighed=False), build()
    got = [np.mean(serve(r, vector, 2500, share=0.2, lie=lambda y: 1.0)) for r in (before, after)]
    assert got[0] < 0.77 < got[1]


def test_a_change_that_all_report_is_learned_as_fast(build, vector):
    """After it, the model that got worse serves about as many requests as without weights."""
    served = []
    for weighed in (False, True):
        router, rng = build(weighed=weighed), np.random.default_rng(0)
        models = []
        for step in range(1200):
            truth = {"small": 0.9 if step < 700 else 0.2, "medium": 0.92, "large": 0.95}
            context = RequestContext(tenant=f"tenant {step % 10}")
            decision = router.route(features=vector(step % 50), at=float(step), context=context)
            router.outcome(decision.id, cost=COST[decision.model], at=float(step))
            y = float(rng.random() < truth[decision.model])
            router.feedback(decision.id, score=y, at=float(step))
            models.append(decision.model)
        assert models[:700].count("small") > 500
        served.append(models[700:].count("small"))
        assert router.status().label_weight > 0.97 * 1200
    assert abs(served[1] - served[0]) < 20


def test_attackers_with_many_tenants_weigh_no_more_than_their_requests(build, vector):
    router = build()
    serve(router, vector, 2500, share=0.2, spread=1000)
    rows = fold_of(router).ledgers_["gold"].senders_.rows(300)
    lies = sum(row.weight for row in rows if "tenant:tenant" not in row.sender)
    assert lies / sum(row.weight for row in rows) < 0.25


def test_weights_are_in_the_log_and_a_fold_of_it_gives_the_same_state(build, vector):
    router = build()
    serve(router, vector, 600)
    given = [event for event in router.log.read() if isinstance(event, Feedback)]
    assert any(event.weight < 0.5 for event in given)
    assert router.status().label_weight == pytest.approx(sum(event.weight for event in given))
    again, restored = build(), build()
    again.apply(router.log.read())
    restored.restore(router.snapshot())
    assert again.snapshot() == restored.snapshot() == router.snapshot()
    for each in (router, restored):
        serve(each, vector, 300, seed=1)
    assert restored.status() == router.status()


def test_a_tenants_own_sla_counts_its_labels_in_full(build, vector):
    """However much they contradict what others say."""
    router = build((SLA("gold", floor=0.8), SLA("gold@hard", floor=0.5)))
    rng = np.random.default_rng(0)
    for step in range(1500):
        hard = step % 5 == 0
        decision = router.route(
            features=vector(step % 50),
            sla="gold@hard" if hard else "gold",
            at=float(step),
            context=RequestContext(tenant="hard" if hard else f"tenant {step % 4}"),
        )
        y = rng.random() < TRUTH[decision.model] - 0.4 * hard
        router.feedback(decision.id, satisfied=bool(y), at=float(step))
    own, given = router.status("gold@hard"), list(router.log.read())
    assert own.label_weight == own.labels == 300
    assert own.senders[0].weight == 300
    late = [e for e in given if isinstance(e, Feedback) and e.weight == 1.0 > e.influence]
    assert len(late) > 200
    assert np.mean([event.influence for event in late]) < 0.5


def test_a_correction_has_the_weight_of_the_label_that_it_corrects(build, vector):
    router = build(memory=400)
    serve(router, vector, 300, share=0.2)
    context = RequestContext(tenant="attacker 0")
    decision = router.route(features=vector(0), at=300.0, context=context)
    sums = []
    for score in (0.0, 1.0, 0.25):
        router.feedback(decision.id, score=score, at=300.0)
        sums.append(fold_of(router).ledgers_["gold"].satisfied_)
    weight = router.find(decision.id).weights[decision.model][0]
    assert weight < 0.2
    assert sums[1] - sums[0] == pytest.approx(weight)
    assert sums[2] - sums[0] == pytest.approx(0.25 * weight)
    # Also after the decision was forgotten and restored.
    record = router.find(decision.id)
    serve(router, vector, 500, share=0.2, seed=2)
    assert router.find(decision.id) is None
    router.restore_decision(record.decision, record.scores, record.keys, record.weights, at=900.0)
    before = fold_of(router).ledgers_["gold"].satisfied_
    router.feedback(decision.id, score=1.0, at=900.0)
    assert fold_of(router).ledgers_["gold"].satisfied_ - before == pytest.approx(0.75 * weight)


def test_complaints_of_one_sender_do_not_make_silence_mean_satisfied(build, vector):
    """Thirty complaints before any other label made a missing label count as satisfied for all."""
    states = []
    for weighed in (False, True):
        router = build(weighed=weighed)
        serve(router, vector, 400, share=0.1, rate=0.0)
        states.append(router.policy.complaints_.silence_is_satisfied_)
    assert states == [True, False]


def test_one_absurd_latency_moves_nobody(build_router, vector):
    router = build_router("cheapest", [SLA("gold", floor=0.5, max_latency=1.0)])

    def call(tenant, latency):
        context = RequestContext(tenant=tenant)
        decision = router.route(features=vector(0), at=0.0, context=context)
        router.outcome(decision.id, cost=1.0, latency=latency, at=0.0)
        return decision.model

    assert {call("a", 0.5) for _ in range(10)} == {"small"}
    call("b", MAX_LATENCY)
    assert call("a", 0.5) == "small"
    # Nor does a flood of them, as long as others call the model too.
    for _ in range(60):
        call("a", 0.5)
    assert {call("b", MAX_LATENCY) for _ in range(300)} == {"small"}
    # A model that is slow for others too is left.
    call("a", 5.0)
    assert call("a", 0.5) != "small"


def test_weights_known_before_the_label_keep_the_certificate_valid():
    """Weights that follow earlier labels in the worst way: high after luck, low after bad luck."""
    from floorline.guarantees.betting import betting_lower

    rng = np.random.default_rng(0)
    runs, length, delta, p = 1000, 300, 0.1, 0.8
    weight = np.ones(runs)
    total, satisfied = np.zeros(runs), np.zeros(runs)
    missed = np.zeros(runs, dtype=bool)
    for _ in range(length):
        y = (rng.random(runs) < p).astype(float)
        total += weight
        satisfied += weight * y
        lower = betting_lower(total, satisfied, delta / 2.0)
        upper = 1.0 - betting_lower(total, total - satisfied, delta / 2.0)
        missed |= (lower > p) | (upper < p)
        behind = satisfied < p * total
        weight = np.where(behind, 0.05, rng.random(runs))
    assert missed.mean() < delta
