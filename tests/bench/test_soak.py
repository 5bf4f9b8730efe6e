"""What the soak says of a series: whether it grows, and how sure that is."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def soak():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location(
            "soak_replicas", BENCHMARKS / "soak_replicas.py"
        )
        module = importlib.util.module_from_spec(spec)
        before = sys.path[:]
        spec.loader.exec_module(module)
        sys.path[:] = before
    return module


SECONDS = np.arange(180) * 10.0


def test_a_line_has_its_slope(soak):
    per_hour, half = soak.slope(SECONDS, 100.0 + 6.0 * SECONDS / 3600.0)
    assert per_hour == pytest.approx(6.0)
    assert half == pytest.approx(0.0, abs=1e-6)
    assert soak.slope(SECONDS, np.full(len(SECONDS), 8.0)) == (0.0, 0.0)


@pytest.mark.parametrize("similarity", [0.0, 0.8])
def test_intervals_hold_although_neighbours_are_alike(soak, similarity):
    assert soak.coverage(similarity, runs=200) >= 0.9


def test_an_interval_from_all_samples_would_not(soak):
    assert soak.coverage(0.8, runs=200, parts=90) < 0.8


def test_verdicts(soak):
    assert soak.verdict(1.0, 2.0, mean=10.0).startswith("flat: 0 is in the interval")
    assert soak.verdict(0.3, 0.1, mean=100.0) == "flat: < 10% a day"
    assert soak.verdict(1.0, 0.1, mean=100.0) == "**grows**"
    assert soak.verdict(-1.0, 0.1, mean=100.0) == "falls"


def test_the_first_minutes_are_left_out(soak):
    points = [(at, 1000.0 if at <= 300.0 else 5.0) for at in SECONDS]
    (row,) = soak.table_of({"memory": points, "too few": points[-5:]}, 300.0)
    assert row[:4] == ("memory", "5.00", "5.00", "5.00")
