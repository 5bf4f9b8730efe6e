"""Budgets are spent evenly, nearly wholly and never beyond; prices are those of the program."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline import Model, Router, Zoo
from floorline.core.snapshots import pack, unpack
from floorline.events import Decision, Outcome
from floorline.optimization.budget_lp import solve_budgets
from floorline.policies.budgets.config import PacingConfig
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.replay.scenarios.streams import DEMAND
from floorline.sla import SLA, Budget

NAMES = ["small", "middle", "large"]
MEANS = np.array([1.0, 5.0, 30.0])


def pacing_for(budget, *, horizon, window=500):
    config = PacingConfig(horizon=horizon, budget_window_requests=window)
    return Pacing(SLA("gold", floor=0.0, budget=budget), NAMES, config)


def stream(count, seed=0, *, alike=False):
    """Estimates of quality and cost, and real costs, (count, 3) each."""
    rng = np.random.default_rng(seed)
    if alike:
        quality, cost = np.tile([0.3, 0.5, 0.6], (count, 1)), np.tile(MEANS, (count, 1))
    else:
        noise = 0.1 * rng.normal(size=(count, 3))
        quality = np.clip(0.5 * rng.random((count, 1)) + [0.1, 0.25, 0.4] + noise, 0, 1)
        cost = rng.lognormal(0.0, 0.4, (count, 3)) * MEANS
    return quality, cost, cost * rng.lognormal(0.0, 0.3, (count, 3))


def decision(quality, cost, model, at=0.0):
    name = NAMES[model] if model >= 0 else ""
    return Decision(
        id="",
        seq=0,
        sla="gold",
        floor=0.0,
        model=name,
        called=(name,) if name else (),
        propensities=np.zeros(len(quality)),
        explored=False,
        models=tuple(NAMES),
        quality_estimates=quality,
        cost_estimates=cost,
        index=model,
        features=None,
        input_tokens=0,
        policy="test",
        at=at,
    )


def spend(pacing, quality, cost, real, times=None):
    """(T, 3) what was paid by serving the best score within pace; a provider's cap holds."""
    paid = np.zeros_like(cost)
    for t, (q, c) in enumerate(zip(quality, cost, strict=True)):
        score = np.where(pacing.within_pace(c), q - pacing.prices * c, -1.0)
        best = int(score.argmax()) if score.max() >= 0 else -1
        made = decision(q, c, best, 0.0 if times is None else times[t])
        pacing.see(made, q)
        if best < 0:
            continue
        if real[t, best] <= pacing.tracker_.may_spend()[best] + c[best]:
            paid[t, best] = real[t, best]
        pacing.settle(made, best, Outcome(decision="", model=NAMES[best], cost=paid[t, best]))
    return paid


@pytest.mark.parametrize("total", [2000.0, 10_000.0])
@pytest.mark.parametrize("off", [1.0, 1.5, 0.7])
def test_a_total_budget_is_spent_to_within_two_percent_and_evenly(total, off):
    """Also where calls cost half as much again as estimated for ever, or a third less."""
    quality, cost, real = stream(2000)
    paid = spend(pacing_for(Budget(total=total), horizon=2000), quality, cost, off * real)
    so_far = paid.sum(axis=1).cumsum() / total
    assert 0.98 <= so_far[-1] <= 1.0
    for share in (0.25, 0.5, 0.75):
        assert so_far[int(share * 2000)] == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("alike", [False, True])
def test_each_models_own_budget_is_spent_to_within_two_percent(alike):
    amounts = {"small": 500.0, "middle": 3000.0, "large": 6000.0}
    quality, cost, real = stream(2000, alike=alike)
    paid = spend(pacing_for(Budget(per_model=amounts), horizon=2000), quality, cost, real)
    shares = paid.sum(axis=0) / list(amounts.values())
    assert ((shares >= 0.98) & (shares <= 1.0)).all()
    half = paid[:1000].sum(axis=0) / list(amounts.values())
    assert (half <= 0.6).all()


def test_requests_that_all_look_alike_do_not_exhaust_a_budget_early():
    quality, cost, real = stream(2000, alike=True)
    paid = spend(pacing_for(Budget(total=1000.0), horizon=2000), quality, cost, real)
    so_far = paid.sum(axis=1).cumsum() / 1000.0
    assert 0.98 <= so_far[-1] <= 1.0
    assert (so_far <= np.arange(1, 2001) / 2000 + 0.1).all()


def uneven(demand, counts, rng):
    """Times of as many requests in each period of 100 seconds."""
    grid = np.linspace(0.0, 1.0, 1001)
    density = DEMAND[demand](grid, 1)
    reached = density.cumsum() / density.sum()
    phases = [np.sort(np.interp(rng.random(n), reached, grid)) for n in counts]
    late = np.nextafter(1.0, 0.0)
    return np.concatenate([100.0 * (i + np.minimum(p, late)) for i, p in enumerate(phases)])


@pytest.mark.parametrize("guess", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("demand", ["even", "daily", "bursts"])
def test_uneven_demand_that_falls_to_a_third_spends_every_period(demand, guess):
    counts = [600, 600, 200, 200]
    times = uneven(demand, counts, np.random.default_rng(1))
    quality, cost, real = stream(len(times))
    pacing = pacing_for(Budget(total=2000.0, period=100.0), horizon=round(guess * 600))
    paid = spend(pacing, quality, cost, real, times).sum(axis=1)
    shares = [paid[times // 100 == i].sum() / 2000.0 for i in range(4)]
    assert max(shares) <= 1.0
    assert shares[1] >= 0.98
    # A call of the dear model is 1.5 % of what 200 requests may cost.
    assert min(shares[2:]) >= 0.97


def test_a_models_own_budget_is_renewed_and_spent_beside_the_total():
    times = uneven("daily", [600] * 3, np.random.default_rng(2))
    quality, cost, real = stream(len(times))
    budget = Budget(total=2500.0, per_model={"large": 400.0}, period=100.0)
    paid = spend(pacing_for(budget, horizon=600), quality, cost, real, times)
    for period in (1, 2):
        rows = times // 100 == period
        # Less than a call is left of it.
        assert 0.9 <= paid[rows, 2].sum() / 400.0 <= 1.0
        assert 0.98 <= paid[rows].sum() / 2500.0 <= 1.0


def test_dear_calls_ahead_of_their_time_keep_nobody_from_what_all_could_have():
    pacing = pacing_for(Budget(total=1000.0), horizon=200)
    cost = np.array([2.0, 5.0, 100.0])
    for _ in range(3):
        assert pacing.within_pace(cost)[2]
        pacing.see(decision(np.array([0.3, 0.5, 0.9]), cost, 2), np.array([0.3, 0.5, 0.9]))
    # 700 are left for 197 requests: 3.6 each.
    assert pacing.within_pace(cost).tolist() == [True, False, False]


def test_another_period_is_learned_anew():
    times = uneven("even", [100, 100], np.random.default_rng(3))
    quality, cost, real = stream(len(times))
    pacing = pacing_for(Budget(total=500.0, period=100.0), horizon=1000)
    spend(pacing, quality, cost, real, times)
    assert pacing.forecast_.expected_ < 300
    pacing.set_sla(SLA("gold", floor=0.0, budget=Budget(total=700.0, period=100.0)))
    assert pacing.forecast_.expected_ < 300
    pacing.set_sla(SLA("gold", floor=0.0, budget=Budget(total=700.0, period=400.0)))
    assert pacing.forecast_.expected_ == 1000


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0.05, 20.0)), min_size=1, max_size=5),
    st.floats(10.0, 500.0),
    st.floats(5.0, 200.0),
    st.integers(1, 500),
    st.integers(0, 2**20),
)
def test_never_over_in_any_period_whatever_arrives(periods, total, own, horizon, seed):
    """Counts and their crowding to the end or the beginning differ from period to period."""
    rng = np.random.default_rng(seed)
    phases = [np.sort(rng.random(n)) ** crowding for n, crowding in periods]
    times = np.concatenate([50.0 * (i + 0.999 * p) for i, p in enumerate(phases)])
    quality, cost, real = stream(len(times), seed)
    budget = Budget(total=total, per_model={"large": own}, period=50.0)
    paid = spend(pacing_for(budget, horizon=horizon, window=50), quality, cost, real, times)
    for period in range(len(periods)):
        spent = paid[times // 50 == period]
        assert spent.sum() <= total + 1e-9
        assert spent[:, 2].sum() <= own + 1e-9


def test_steps_descend_to_the_optimum_of_the_program():
    quality, cost, _ = stream(500)
    budget = Budget(total=4000.0, per_model={"middle": 1500.0, "large": 3000.0})
    pacing = pacing_for(budget, horizon=500)
    for q, c in zip(quality, cost, strict=True):
        pacing.window_.add(q, c)
    left, total = pacing._due()
    for _ in range(100):
        pacing._step()
    exact = solve_budgets(quality, cost, left, total)

    def dual(own, shared):
        most = np.maximum((quality - (own + shared) * cost).max(axis=1), 0.0).sum()
        return own[1:] @ left[1:] + shared * total + most

    assert dual(pacing.own_, pacing.shared_) <= 1.001 * exact.value
    assert dual(pacing.own_, pacing.shared_) >= exact.value - 1e-6


def test_a_history_prices_the_first_request():
    quality, cost, _ = stream(400)
    budget = Budget(per_model={"large": 2000.0})
    pacing = pacing_for(budget, horizon=400)
    assert pacing.prices.tolist() == [0.0, 0.0, 0.0]
    pacing.prepare(quality, cost)
    exact = solve_budgets(quality, cost, np.array([np.inf, np.inf, 2000.0])).prices
    np.testing.assert_allclose(pacing.prices, exact)
    assert pacing.prices[2] > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.floats(0.0, 1.0), st.floats(1.0, 4.0))
def test_prices_do_not_rise_with_the_budget(seed, small, factor):
    quality, cost, _ = stream(60, seed)
    found = []
    for amount in (small * 500.0, small * 500.0 * factor):
        pacing = pacing_for(Budget(total=amount, per_model={"large": amount}), horizon=60)
        for q, c in zip(quality, cost, strict=True):
            pacing.window_.add(q, c)
        left, total = pacing._due()
        found.append((pacing._own_price(2, float(left[2])), pacing._shared_price(total)))
    assert found[1][0] <= found[0][0]
    assert found[1][1] <= found[0][1] + 1e-12


EVENTS = st.lists(
    st.tuples(st.integers(0, 2**20), st.floats(0.0, 3.0), st.floats(0.0, 40.0)), max_size=60
)


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.floats(0.0, 200.0), st.floats(0.0, 100.0), st.sampled_from([None, 25.0]))
def test_never_over_budget_and_the_state_continues_bit_for_bit(events, total, own, period):
    budget = Budget(total=total, per_model={"middle": own}, period=period)
    pacing, twin = (pacing_for(budget, horizon=30, window=10) for _ in range(2))
    at, spent = 0.0, {}
    for position, (seed, off, gap) in enumerate(events):
        if position == len(events) // 2:
            twin.restore(unpack(pack(pacing.snapshot())))
        at += gap
        (quality,), (cost,), _ = stream(1, seed)
        real = off * cost[None, :]
        paid = spend(pacing, quality[None, :], cost[None, :], real, [at])
        if position >= len(events) // 2:
            spend(twin, quality[None, :], cost[None, :], real, [at])
        when = 0 if period is None else int(at // period)
        spent[when] = spent.get(when, 0.0) + paid[0]
        assert (pacing.prices >= 0).all()
        assert np.isfinite(pacing.prices).all()
    for amounts in spent.values():
        assert amounts.sum() <= total + 1e-9
        assert amounts[1] <= own + 1e-9
    if events:
        assert pack(pacing.snapshot()) == pack(twin.snapshot())


def test_without_a_budget_nothing_is_priced_or_turned_away():
    pacing = pacing_for(None, horizon=10)
    quality, cost, real = stream(30)
    paid = spend(pacing, quality, cost, real)
    assert not pacing.limited
    assert (paid.sum(axis=1) > 0).all()
    assert pacing.prices.tolist() == [0.0, 0.0, 0.0]


def test_other_models_leave_what_is_known_of_those_that_stay():
    quality, cost, real = stream(300)
    budget = Budget(per_model={"small": 100.0, "large": 900.0})
    pacing = pacing_for(budget, horizon=600)
    spend(pacing, quality, cost, real)
    large, spent = pacing.prices[2], pacing.tracker_.spent[2]
    pacing.set_models(["large", "new"])
    assert pacing.prices.tolist() == [large, 0.0]
    assert pacing.tracker_.spent.tolist() == [spent, 0.0]
    for _ in range(50):
        pacing.see(decision(np.array([0.6, 0.4]), np.array([30.0, 1.0]), -1), np.array([0.6, 0.4]))
    assert np.isfinite(pacing.prices).all()


def test_a_raised_budget_lowers_the_prices_at_once():
    quality, cost, real = stream(300)
    pacing = pacing_for(Budget(total=500.0), horizon=600)
    spend(pacing, quality, cost, real)
    before = pacing.prices
    pacing.set_sla(SLA("gold", floor=0.0, budget=Budget(total=2000.0)))
    assert (pacing.prices < before).all()
    pacing.set_sla(SLA("gold", floor=0.0))
    assert pacing.prices.tolist() == [0.0, 0.0, 0.0]


def test_amounts_that_change_while_serving_need_no_solver(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    pacing = pacing_for(Budget(total=2000.0), horizon=600)
    quality, cost, _ = stream(200)
    for q, c in zip(quality, cost, strict=True):
        pacing.see(decision(q, c, int((q - pacing.prices * c).argmax())), q)
    before = pacing.shared_
    pacing.set_sla(SLA("gold", floor=0.0, budget=Budget(total=800.0, per_model={"large": 90.0})))
    assert pacing.shared_ > before


def test_a_change_of_one_sla_takes_no_work_for_others_without_a_budget(monkeypatch):
    zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    router = Router(zoo, slas=[SLA(f"s{n}", floor=0.5) for n in range(20)])
    touched, real = [], BudgetTracker.set_sla

    def counted(self, sla):
        touched.append(sla.name)
        real(self, sla)

    monkeypatch.setattr(BudgetTracker, "set_sla", counted)
    router.set_sla(SLA("new", floor=0.7))
    assert touched == ["new"]
    router.set_sla(SLA("s3", floor=0.7, budget=Budget(total=5.0)))
    assert touched == ["new", "s3"]
    router.set_sla(SLA("s3", floor=0.7))
    assert touched == ["new", "s3", "s3"]
