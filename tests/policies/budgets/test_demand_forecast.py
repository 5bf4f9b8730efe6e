"""Forecasts of a period's requests know its shape, follow its level and never break."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.policies.budgets.config import PacingConfig
from floorline.policies.budgets.demand_forecast import DemandForecast


def wave(count, rng):
    """Phases of a period that swings by 90 %."""
    grid = np.linspace(0.0, 1.0, 1001)
    density = 1.0 + 0.9 * np.sin(2.0 * np.pi * grid)
    reached = density.cumsum() / density.sum()
    return np.sort(np.interp(rng.random(count), reached, grid))


def live(forecast, phases):
    """Forecasts after every request of a period."""
    found = []
    for phase in phases.tolist():
        forecast.see(phase)
        found.append(forecast.to_come())
    return np.array(found)


@pytest.mark.parametrize("guess", [0.2, 1.0, 5.0])
def test_the_shape_is_known_from_the_second_period_on(guess):
    rng = np.random.default_rng(0)
    forecast = DemandForecast(PacingConfig(horizon=round(guess * 1000)))
    live(forecast, wave(1000, rng))
    for _ in range(3):
        forecast.turn()
        found = live(forecast, wave(1000, rng))
        true = np.arange(999, -1, -1)
        assert np.abs(found - true)[100:].max() <= 330
        assert np.abs(found - true)[900:].max() <= 30


def test_a_forecast_is_rather_too_low():
    rng = np.random.default_rng(1)
    forecast = DemandForecast(PacingConfig(horizon=500))
    off = []
    for _ in range(30):
        found = live(forecast, np.sort(rng.random(500)))
        off.append(found - np.arange(499, -1, -1))
        forecast.turn()
    mean = np.mean(off[1:], axis=0)
    assert (mean[50:450:50] < 0.0).all()
    assert mean.min() >= -110


def test_a_lower_level_is_noticed_within_a_tenth_of_the_period():
    rng = np.random.default_rng(2)
    forecast = DemandForecast(PacingConfig(horizon=1200))
    for count in (1200, 1200):
        live(forecast, wave(count, rng))
        forecast.turn()
    found = live(forecast, wave(400, rng))
    assert found[40] == pytest.approx(360, rel=0.35)
    assert found[200] == pytest.approx(200, rel=0.2)


def test_a_level_that_changes_within_the_period_is_followed():
    rng = np.random.default_rng(3)
    forecast = DemandForecast(PacingConfig(horizon=1000))
    for _ in range(2):
        live(forecast, np.sort(rng.random(1000)))
        forecast.turn()
    found = live(
        forecast, np.sort(np.concatenate([0.5 * rng.random(500), 0.5 + 0.5 * rng.random(100)]))
    )
    assert found[560] == pytest.approx(39, abs=25)


def test_starting_within_a_period_says_nothing_of_what_came_before():
    rng = np.random.default_rng(4)
    forecast = DemandForecast(PacingConfig(horizon=1000))
    live(forecast, 0.75 + 0.25 * np.sort(rng.random(250)))
    forecast.turn()
    assert forecast.expected_ == pytest.approx(1000, rel=0.15)
    assert np.diff(forecast.reached_).max() < 2.5 / 48


def test_an_empty_period_tells_nothing():
    forecast = DemandForecast(PacingConfig(horizon=100))
    before = pack(forecast.snapshot())
    forecast.turn()
    assert pack(forecast.snapshot()) == before


@given(
    st.integers(1, 10_000),
    st.lists(st.lists(st.floats(0.0, 1.0), max_size=30), max_size=4),
)
def test_any_times_give_forecasts_and_a_state_that_continues(horizon, phases):
    forecast, twin = (DemandForecast(PacingConfig(horizon=horizon)) for _ in range(2))
    for period in phases:
        found = live(forecast, np.array(period))
        live(twin, np.array(period))
        twin.restore(unpack(pack(forecast.snapshot())))
        assert np.isfinite(found).all()
        assert (found >= 0.0).all()
        forecast.turn()
        twin.turn()
        assert (np.diff(forecast.reached_) >= 0.0).all()
    assert pack(forecast.snapshot()) == pack(twin.snapshot())
