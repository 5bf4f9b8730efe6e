"""The gateway's clock, and budgets of keys and SLAs while the system's clock is set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock_steps import served_by_clocks

from floorline.gateway.clock import MAX_SLEW, READ_SECONDS, Clock

DAY = 86_400.0


class System:
    """A system's clock that can be set, and a monotonic one."""

    def __init__(self, wall=1.7e9):
        self.wall = wall
        self.passed = 0.0
        self.clock = Clock(lambda: self.wall, lambda: self.passed)

    def wait(self, seconds, step=0.0):
        self.passed += seconds
        self.wall += seconds + step
        return self.clock()


def test_without_steps_it_is_the_systems_clock():
    system = System()
    for _ in range(100):
        assert system.wait(7.3) == pytest.approx(system.wall, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.0, 1e5), st.floats(-1e9, 1e9)), max_size=50))
def test_whatever_is_set_it_passes_as_seconds_do(steps):
    system = System()
    before = system.clock()
    for seconds, step in steps:
        now = system.wait(seconds, step)
        # Between two looks at the system's clock nothing is made up for.
        assert abs(now - before - seconds) <= MAX_SLEW * (seconds + READ_SECONDS) + 1e-5
        before = now


@pytest.mark.parametrize("step", [60.0, -60.0])
def test_a_small_step_is_made_up_for_within_two_hours(step):
    system = System()
    system.wait(1.0, step)
    assert system.clock.ahead == pytest.approx(-step, abs=0.02)
    for _ in range(120):
        system.wait(60.0)
    assert system.clock.ahead == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("of", ["key", "sla"])
@pytest.mark.parametrize(
    "steps",
    [
        {5: 365 * DAY, 6: -365 * DAY},
        {5: 30 * DAY, 10: -30 * DAY, 15: 30 * DAY, 20: -30 * DAY},
        {5: -2 * DAY},
        {5: -30 * 365 * DAY},
    ],
    ids=["a year ahead and back", "thirty days and back, twice", "two days back", "1970"],
)
def test_steps_of_the_systems_clock_give_no_budget_twice_and_starve_none(of, steps, tmp_path):
    found = served_by_clocks(tmp_path, of=of, hours=72, steps=steps)
    # Ten calls of a hundred fit into each day's budget, as without any step.
    assert found == served_by_clocks(tmp_path / "right", of=of, hours=72, steps={})
    assert sum(found) == 30


@pytest.mark.parametrize("first", [30 * DAY, -30 * DAY])
@pytest.mark.parametrize("of", ["key", "sla"])
def test_restarts_with_a_wrong_clock_give_no_more_than_the_days_that_pass(of, first, tmp_path):
    steps = {n: first * (-1) ** n for n in range(2, 12)}
    found = served_by_clocks(tmp_path, of=of, hours=72, steps=steps, restart=True)
    assert 20 <= sum(found) <= 30
