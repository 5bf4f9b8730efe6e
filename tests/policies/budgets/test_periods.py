"""How often a budget is renewed, by clocks that are right, jump, and are put right again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.policies.budgets.periods import BudgetPeriods

DAY = 86_400.0
NOW = 20_000 * DAY


def renewals(stamps, period=DAY):
    """Those of the ``stamps`` at which a budget is renewed, beside the first one of the stream."""
    periods = BudgetPeriods()
    periods.advance(period, NOW)
    return [at for at in stamps if periods.advance(period, at)]


def hours(*given):
    return [NOW + 3600.0 * hour for hour in given]


@given(st.lists(st.floats(0.0, 3000.0), max_size=60), st.sampled_from([DAY, 60.0, 7 * DAY]))
def test_times_that_move_on_renew_every_period_that_has_a_request(given_hours, period):
    stamps = hours(*sorted(given_hours))
    expected = len({math.floor(at / period) for at in stamps} - {math.floor(NOW / period)})
    assert len(renewals(stamps, period)) == expected


def test_a_jump_forward_is_one_renewal():
    assert len(renewals(hours(1, 24 * 365, 24 * 365 + 1))) == 1


def test_one_stamp_a_year_ahead_gives_one_budget_early_and_no_more():
    stamps = hours(1, 24 * 365, *range(2, 24 * 10))
    found = renewals(stamps)
    # The year, and then every midnight but the first one.
    assert [round((at - NOW) / DAY) for at in found] == [365, *range(2, 10)]


def test_thirty_days_forward_and_back_again_and_again_give_one_budget_early():
    stamps = []
    for hour in range(48):
        stamps += hours(hour / 2, 24 * 30 + hour / 2)
    assert len(renewals(stamps)) == 1
    # Also if each jump goes elsewhere.
    stamps = []
    for hour in range(48):
        stamps += hours(hour / 2, 24 * (30 + 7 * hour))
    assert len(renewals(stamps)) == 1


def test_chains_of_jumps_are_paid_back():
    """Each cycle visits three days in the future, and the days of the next cycle are others."""
    stamps = []
    for cycle in range(20):
        stamps += hours(1 + cycle / 10, *(24 * (30 + 10 * n + 100 * cycle) for n in range(3)))
    assert len(renewals(stamps)) == 3


@pytest.mark.parametrize("period", [1.0, 60.0, DAY])
def test_small_steps_back_at_the_boundaries_neither_give_nor_take(period):
    stamps, days = [], 30
    for day in range(1, days):
        boundary = NOW + day * period
        stamps += [boundary - period / 4, boundary, boundary - 0.001, boundary + 0.002]
        stamps += [boundary - 0.003, boundary + period / 2]
    assert len(renewals(stamps, period)) == days - 1


def test_a_start_with_a_clock_of_1970_neither_starves_nor_gives_more():
    early = [3600.0, 7200.0]
    # Back in the present, the day goes on that the clock had left.
    assert renewals([*hours(1, 2), *early, *hours(5, 6, 23, 24, 30, 48)]) == hours(24, 48)
    # Who stays in 1970 has a budget for each day there, too.
    assert len(renewals([*hours(1, 2), *(DAY * day for day in range(20))])) == 18


def test_a_step_back_for_good_starves_nothing():
    found = renewals([*hours(1, 2), *hours(*range(-24 * 30, -24 * 20))])
    assert len(found) == 8


@given(
    st.lists(st.tuples(st.floats(0.01, 40.0), st.none() | st.floats(-2000.0, 2000.0)), max_size=80)
)
def test_wrong_stamps_never_give_more_than_passed_and_the_right_clock_renews_again(steps):
    """Any number of stamps are wrong, each beside a right one; a budget may be one period early."""
    periods = BudgetPeriods()
    periods.advance(DAY, NOW)
    at, count = 0.0, 0
    for gap, error in steps:
        at += gap
        copy = _again(periods)
        announced = copy.renews(DAY, hours(at)[0])
        assert copy.snapshot() == periods.snapshot()
        renewed = periods.advance(DAY, hours(at)[0])
        assert renewed == announced
        count += renewed
        if error is not None and abs(error) > 72.0:
            count += periods.advance(DAY, hours(at + error)[0])
            count += periods.advance(DAY, hours(at)[0])
    assert count <= at / 24.0 + 2
    found = [periods.advance(DAY, hours(at + 24.0 * n)[0]) for n in range(1, 20)]
    assert all(found[8:])


def _again(periods):
    """A copy through a snapshot."""
    copy = BudgetPeriods()
    copy.restore(unpack(pack(periods.snapshot())))
    return copy
