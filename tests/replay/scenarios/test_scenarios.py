import math

import numpy as np
import pytest

from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import InvalidInput
from floorline.policies.base import DECLINED
from floorline.replay import Spec, prepare
from floorline.replay.run import _empty_run
from floorline.replay.scenarios.metrics import (
    Detections,
    mean_of,
    periods,
    references,
    running_share,
    running_spend,
    stretches,
    until_halved,
    until_settled,
)
from floorline.replay.scenarios.streams import (
    DEMAND,
    budgeted,
    joins,
    leaves,
    misleading_prompts,
    price_change,
    quality_change,
    replay_scenario,
    shared,
    steady,
    useless_prompts,
)
from floorline.sla import SLA, Budget

AT = 400
MODEL = "sim-medium"


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(1200, seed=5), HashedNgrams(96))


@pytest.fixture(scope="module")
def scene(data):
    return steady(data, floor=0.7, requests=1000, seed=3)


def run_of(model, satisfied, cost):
    """A run of these calls, made by hand."""
    count = len(model)
    run = _empty_run(Spec("cheapest", 0.5), np.arange(count))
    paid = np.broadcast_to(np.asarray(cost, dtype=float), count)
    right = np.broadcast_to(np.asarray(satisfied, dtype=float), count)
    return run._replace(model=np.asarray(model), satisfied=right, cost=paid, served_cost=paid)


def test_a_steady_stream_and_what_was_before_share_no_row(data, scene):
    assert (scene.data.rows, scene.rest.rows) == (1000, 200)
    both = np.vstack([scene.data.quality, scene.rest.quality])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(data.quality, axis=0))
    again = steady(data, floor=0.7, requests=1000, seed=3)
    np.testing.assert_array_equal(again.data.features, scene.data.features)
    assert scene.regimes == [(0, 1000)]
    assert len(scene.history(150).features) == 150
    with pytest.raises(InvalidInput, match="requests"):
        steady(data, floor=0.7, requests=1201, seed=3)


def differing(before, after):
    """Steps and models at which two tables of labels differ."""
    rows, models = np.nonzero(before != after)
    return set(rows.tolist()), set(models.tolist())


@pytest.mark.parametrize(
    ("share", "more", "end"),
    [(-0.3, {}, 1000), (0.5, {}, 1000), (-0.3, {"until": 700}, 700), (-0.5, {"slide": True}, 1000)],
)
def test_a_change_of_quality_changes_its_model_in_its_time_only(scene, share, more, end):
    model = scene.data.zoo.index(MODEL)
    changed = quality_change(scene, MODEL, share, AT, seed=1, **more)
    rows, models = differing(scene.data.quality, changed.data.quality)
    assert models == {model}
    assert min(rows) >= AT
    assert max(rows) < end
    part = slice(AT, end)
    before, after = scene.data.quality[part, model], changed.data.quality[part, model]
    worth = 0.5 if "slide" in more else 1.0
    could = before if share < 0 else 1.0 - before
    assert abs(after - before).sum() / could.sum() == pytest.approx(abs(share) * worth, abs=0.06)
    assert ((after - before) * share >= 0).all()
    assert changed.regimes[-1][1] == scene.data.rows
    assert changed.changes == ((AT,) if "until" not in more else (AT, end))
    np.testing.assert_array_equal(changed.data.cost, scene.data.cost)


def test_a_larger_change_goes_further_in_the_same_rows(scene):
    small, large = (
        differing(scene.data.quality, quality_change(scene, MODEL, share, AT).data.quality)[0]
        for share in (-0.15, -0.3)
    )
    assert small < large


def test_a_slide_grows(scene):
    column = scene.data.zoo.index(MODEL)
    slid = quality_change(scene, MODEL, -0.8, AT, slide=True)
    lost = (scene.data.quality - slid.data.quality)[AT:, column]
    assert lost[:200].sum() < lost[200:400].sum() < lost[400:].sum()


def test_a_change_of_price_is_known_at_once_and_changes_bills(scene):
    dear = price_change(scene, MODEL, 5.0, AT)
    column = scene.data.zoo.index(MODEL)
    np.testing.assert_array_equal(dear.data.cost[:AT], scene.data.cost[:AT])
    expected = scene.data.cost[AT:].copy()
    expected[:, column] *= 5.0
    np.testing.assert_allclose(dear.data.cost[AT:], expected)
    factors = dear.zoo_at(AT).typical_costs / dear.zoo_at(AT - 1).typical_costs
    assert factors[column] == pytest.approx(5.0)
    assert np.delete(factors, column) == pytest.approx(1.0)


def test_models_join_and_leave_at_their_step(scene):
    joined, left = joins(scene, MODEL, AT), leaves(scene, MODEL, AT)
    assert [MODEL in joined.zoo_at(step) for step in (0, AT - 1, AT)] == [False, False, True]
    assert [MODEL in left.zoo_at(step) for step in (0, AT - 1, AT)] == [True, True, False]
    assert joined.history(50).quality.shape == (50, len(scene.data.zoo) - 1)
    column = scene.data.zoo.index(MODEL)
    for scene_, serves in ((joined, slice(AT, None)), (left, slice(None, AT))):
        run = replay_scenario(scene_, "random", seed=1, past=scene_.history(50))
        steps = np.flatnonzero(run.model == column)
        assert len(steps) > 0
        assert set(steps.tolist()) <= set(range(1000)[serves])


def test_useless_prompts_come_from_others_and_misleading_ones_turn(scene):
    useless = useless_prompts(scene, seed=1)
    assert not np.array_equal(useless.data.features, scene.data.features)
    np.testing.assert_array_equal(
        np.sort(useless.data.features, axis=0), np.sort(scene.data.features, axis=0)
    )
    assert not np.array_equal(useless.rest.features, scene.rest.features)
    misleading = misleading_prompts(scene, AT)
    np.testing.assert_array_equal(misleading.data.features[:AT], scene.data.features[:AT])
    np.testing.assert_array_equal(misleading.data.features[AT:], -scene.data.features[AT:])
    for other in (useless, misleading):
        np.testing.assert_array_equal(other.data.quality, scene.data.quality)


def test_slas_share_a_stream_in_their_shares_and_the_harder_one_is_harder(scene):
    slas = [SLA("low", floor=0.6), SLA("middle", floor=0.7), SLA("hard", floor=0.7)]
    both = shared(scene, slas, [0.5, 0.25, 0.25], seed=2, harder="hard")
    asked = np.array(both.timeline.sla)
    for name, share in (("low", 0.5), ("middle", 0.25), ("hard", 0.25)):
        assert (asked == name).mean() == pytest.approx(share, abs=0.06)
    ease = scene.data.quality.mean(axis=1)
    assert ease[asked == "hard"].max() <= np.median(ease)
    # The harder half is as hard in the beginning as at the end.
    hard = ease[asked == "hard"]
    halves = [part.mean() for part in np.array_split(hard, 2)]
    assert halves[0] == pytest.approx(halves[1], abs=0.06)
    alone = both.only("hard")
    assert alone.data.rows == (asked == "hard").sum()
    assert [sla.name for sla in alone.timeline.slas] == ["hard"]
    with pytest.raises(InvalidInput, match="shares"):
        shared(scene, slas, [0.5, 0.5], seed=2)
    with pytest.raises(InvalidInput, match="shares"):
        shared(scene, slas, [0.2, 0.2, 0.6], seed=2, harder="hard")
    with pytest.raises(InvalidInput, match="sla"):
        both.only("nobody")


@pytest.mark.parametrize(
    ("demand", "when", "share"),
    [
        ("even", lambda t: t < 2, 0.5),
        ("daily", lambda t: t % 1 < 0.5, 0.5 + 0.9 / np.pi),
        ("bursts", lambda t: (t % 1 >= 0.6) & (t % 1 < 0.7), 0.5),
        ("falls", lambda t: t < 2, 0.75),
    ],
)
def test_demand_is_as_uneven_as_it_says(scene, demand, when, share):
    budget = Budget(total=1.0, period=60.0)
    made = budgeted(scene, demand=demand, periods=4, budget=budget, floor=0.6, seed=7)
    at = np.array(made.timeline.at)
    assert (np.diff(at) >= 0).all()
    assert at[0] >= 0.0
    assert at[-1] < 4.0
    assert when(at).mean() == pytest.approx(share, abs=0.05)
    assert made.timeline.slas[0].budget == Budget(total=1.0, period=1.0)
    assert set(DEMAND) == {"even", "daily", "bursts", "falls"}


def hand_budgeted(scene, at, **budget):
    """Ten requests of a scene, at these times, under a budget per second."""
    sla = SLA("stream", floor=0.5, budget=Budget(period=1.0, **budget))
    ten = scene._replace(data=scene.data.take(np.arange(10)))
    return ten._replace(timeline=ten.timeline._replace(slas=(sla,), at=at))


def test_periods_by_hand(scene):
    at = (0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 2.1, 2.2, 2.3, 2.4)
    made = hand_budgeted(scene, at, total=10.0, per_model={MODEL: 4.0})
    column = made.data.zoo.index(MODEL)
    model = np.array([0, column, 0, DECLINED, DECLINED, 0, 0, column, 0, 0])
    run = run_of(model, model != DECLINED, np.where(model == DECLINED, 0.0, 2.0))
    first, second = periods(made, run)
    assert (first.spent, first.each) == (0.6, (0.5, 0.6))
    assert second.each == (0.5, 1.0)
    assert (first.served, first.satisfaction, first.requests) == (0.6, 0.6, 5)
    assert first.dry == pytest.approx(0.7)
    assert (second.dry, second.served) == (0.0, 1.0)
    assert first.fill <= first.best
    np.testing.assert_allclose(
        running_spend(made, run), [0.2, 0.4, 0.6, 0.6, 0.6, 0.2, 0.4, 0.6, 0.8, 1.0]
    )


def test_a_period_in_which_nobody_was_served_is_dry(scene):
    made = hand_budgeted(scene, tuple(0.05 * n for n in range(10)), total=1.0)
    run = run_of(np.full(10, DECLINED), 0.0, 0.0)
    (only,) = periods(made, run)
    assert (only.dry, only.served, only.spent) == (1.0, 0.0, 0.0)


def test_without_a_budget_there_are_no_periods(scene):
    run = run_of(np.zeros(1000, dtype=int), 1.0, 1.0)
    assert periods(scene, run) == []
    assert not running_spend(scene, run).any()


def test_budgets_are_kept_end_to_end(scene):
    budget = Budget(total=float(scene.data.cost.mean(axis=0).min()) * 500, period=1.0)
    made = budgeted(scene, demand="bursts", periods=2, budget=budget, floor=0.5, seed=1)
    run = replay_scenario(made, "primal_dual", seed=1)
    found = periods(made, run)
    assert len(found) == 2
    for period in found:
        assert period.spent <= 1.0
        assert period.satisfaction <= period.best + 1e-9
    assert running_spend(made, run).max() <= 1.0


class Counting:
    """Stands for a router whose policy has called these many changes so far."""

    def __init__(self, changes):
        self.policy = type("", (), {"changes_detected": changes})()


def test_detections_are_the_steps_at_which_the_count_rises():
    seen = Detections()
    for step, count in enumerate([0, 0, 1, 1, 3, 3]):
        seen(step, Counting(count))
    assert seen.steps == [2, 4]
    assert (seen.first_after(0), seen.first_after(3)) == (2, 1)
    assert math.isinf(seen.first_after(5))


def test_a_policy_without_levels_detects_nothing(scene):
    seen = Detections()
    replay_scenario(scene, "random", seed=1, watch=seen)
    assert seen.steps == []


def test_shares_and_how_soon_they_fall_and_settle_by_hand():
    # Model 0 serves all, half from step 1,000 on, none from 1,300 on.
    model = np.ones(3000, dtype=int)
    model[:1000] = 0
    model[1000:1300:2] = 0
    run = run_of(model, 1.0, 1.0)
    share = running_share(run, 0, window=100)
    assert share[[0, 999, 1099, 1399]].tolist() == [1.0, 1.0, 0.5, 0.0]
    # The window of a hundred requests is the first that is half.
    assert until_halved(run, 0, 1000) == pytest.approx(100, abs=2)
    assert math.isnan(until_halved(run, 1, 1000))
    assert math.isinf(until_halved(run_of(np.zeros(3000, dtype=int), 1.0, 1.0), 0, 1000))
    # 80 % of the latest 200 are model 1 when 60 requests of the last stretch are in.
    assert until_settled(run, 1, 1000) == pytest.approx(419, abs=2)
    assert math.isnan(until_settled(run, 0, 1000))


def test_stretches_by_hand(scene):
    satisfied = np.ones(1000)
    satisfied[:20] = 0.0
    satisfied[AT:] = 0.0
    changed = quality_change(scene, MODEL, -0.3, AT)
    first, second = stretches(changed, run_of(np.zeros(1000, dtype=int), satisfied, 2.0))
    assert first.satisfaction == pytest.approx(1 - 20 / AT)
    assert (second.satisfaction, second.cost, second.explored) == (0.0, 2.0, 0.0)
    assert first.lowest == pytest.approx(20 * 0.7)
    assert second.lowest == pytest.approx((1000 - AT) * 0.7)
    mix = references(changed, AT, 1000)["static mix"].cost
    assert second.cost_per_mix == pytest.approx(2.0 / mix)


def test_references_know_their_stretch_and_no_more(scene):
    changed = quality_change(scene, "sim-medium", -0.9, AT)
    plain, before, after = (
        references(scene, AT, 1000),
        references(changed, 0, AT),
        references(changed, AT, 1000),
    )
    assert before == references(scene._replace(changes=(AT,)), 0, AT)
    assert before["old mix"] == before["static mix"]
    assert after["static mix"].satisfaction == pytest.approx(0.7)
    assert after["static mix"].cost > plain["static mix"].cost
    assert after["old mix"].satisfaction < 0.6
    for point in before, after:
        assert point["oracle"].cost <= point["static mix"].cost
        assert point["best fixed"].satisfaction >= point["static mix"].satisfaction


def test_references_use_models_only_while_they_serve(scene):
    best = scene.data.zoo.names[-1]
    left = leaves(scene, best, AT)
    before, after = references(left, 0, AT), references(left, AT, 1000)
    assert before["best fixed"].satisfaction > after["best fixed"].satisfaction
    assert after["best fixed"].cost < before["best fixed"].cost


def test_means_of_what_is_finite():
    assert mean_of([1.0, math.inf, math.nan, 3.0]) == 2.0
    assert math.isnan(mean_of([math.inf]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda scene, name: quality_change(scene, name, -1.0, AT),
        lambda scene, name: price_change(scene, name, 0.01, AT),
        lambda scene, name: leaves(scene, name, AT),
    ],
)
@pytest.mark.parametrize("policy", ["primal_dual", "sla_router"])
def test_nobody_is_told_a_change_before_it_comes(scene, change, policy):
    model = scene.data.zoo.names[int(replay_scenario(scene, policy, seed=1).model[AT:].max())]
    plain, other = (replay_scenario(made, policy, seed=1) for made in (scene, change(scene, model)))
    np.testing.assert_array_equal(plain.model[:AT], other.model[:AT])
    assert not np.array_equal(plain.model[AT:], other.model[AT:])


@pytest.mark.slow
def test_a_policy_without_labels_sees_nothing_of_a_change_of_quality(scene):
    for feedback in ("served", "served+sparse:0"):
        plain = replay_scenario(scene, "primal_dual", seed=2, feedback=feedback)
        used = scene.data.zoo.names[int(np.bincount(plain.model[AT:]).argmax())]
        changed = quality_change(scene, used, -0.9, AT)
        other = replay_scenario(changed, "primal_dual", seed=2, feedback=feedback)
        same = np.array_equal(plain.model, other.model)
        assert same == (feedback == "served+sparse:0")


def test_a_large_drop_is_left_at_once_and_may_be_detected_end_to_end(data):
    detected = []
    for seed in (4, 5, 6, 7):
        scene = steady(data, floor=0.7, requests=1200, seed=seed)
        probe = replay_scenario(scene, "primal_dual", seed=seed)
        used = int(np.bincount(probe.model[:600]).argmax())
        changed = quality_change(scene, scene.data.zoo.names[used], -0.9, 600)
        seen = Detections()
        run = replay_scenario(changed, "primal_dual", seed=seed, watch=seen)
        # A model that is left before the test has enough labels is not called changed, and the
        # posterior leaves it soon.
        detected.append(seen.first_after(600) < 300)
        assert until_halved(run, used, 600) < 400
        assert run.satisfied[600:].mean() > 0.65
    assert any(detected)
