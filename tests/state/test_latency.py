"""Latest calls of each model, and how many of them are late."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.events import DISCONNECTED, INTERRUPTED, UNREPORTED, Outcome
from floorline.sla import LatencyPromise
from floorline.state.elapsed import NEVER, UNKNOWN, Elapsed, elapsed
from floorline.state.latency import (
    BUCKETS,
    LATENCY_WINDOW,
    MAX_AGE_SECONDS,
    LatencyWindows,
    is_late,
)

P95 = LatencyPromise("latency", "p95", 0.95, 2.0)
FIRST = LatencyPromise("ttft", "p50", 0.5, 0.5)


def outcome(**fields):
    return Outcome(decision="d", model="m", cost=0.0, **fields)


@pytest.mark.parametrize(
    ("fields", "total", "first"),
    [
        ({"latency": 3.0}, Elapsed(3.0, 3.0), Elapsed(0.0, 3.0)),
        ({"latency": 3.0, "first_token": 0.4}, Elapsed(3.0, 3.0), Elapsed(0.4, 0.4)),
        ({}, UNKNOWN, UNKNOWN),
        ({"error": "timeout"}, NEVER, NEVER),
        # The stream ended in an error after its first content.
        ({"error": "x", "latency": 3.0, "first_token": 0.4}, NEVER, Elapsed(0.4, 0.4)),
        ({"error": INTERRUPTED}, NEVER, NEVER),
        # The provider's own error of a request that is not valid says nothing of speed.
        ({"error": "the provider answered 400", "latency": 0.1}, None, None),
        ({"error": UNREPORTED}, UNKNOWN, UNKNOWN),
        # The client left: it waited at least until then.
        ({"error": DISCONNECTED, "at": 17.0}, Elapsed(7.0, math.inf), Elapsed(7.0, math.inf)),
        ({"error": DISCONNECTED, "latency": 5.0, "at": 17.0}, Elapsed(5.0, math.inf), UNKNOWN),
        (
            {"error": DISCONNECTED, "latency": 5.0, "first_token": 0.4},
            Elapsed(5.0, math.inf),
            Elapsed(0.4, 0.4),
        ),
    ],
)
def test_what_an_outcome_says_of_the_time(fields, total, first):
    made = outcome(**fields)
    assert elapsed(made, "latency", began=10.0) == total
    assert elapsed(made, "ttft", began=10.0) == first


def test_a_client_that_left_within_the_limit_counts_neither_way():
    left = Elapsed(1.0, math.inf)
    assert left.is_within(2.0) is None
    assert left.is_within(0.5) is False
    assert left.plus(3.0).is_within(2.0) is False


def share(windows, model="m", bucket=0, promise=P95):
    return float(windows.late_shares(promise, bucket, (model,))[0])


def test_a_model_without_calls_is_not_late():
    windows = LatencyWindows()
    windows.watch([P95])
    assert share(windows) == 0.0


def test_a_bucket_is_shrunk_to_the_model_and_the_model_to_none_late():
    windows = LatencyWindows()
    windows.watch([P95])
    for number in range(100):
        windows.add("m", "", number % 2, 1.0 if number % 2 == 0 else 3.0)
    assert share(windows, bucket=0) < 0.2 < 0.8 < share(windows, bucket=1)
    whole = 50 / 101
    assert share(windows, bucket=3) == pytest.approx(whole)
    assert share(windows, bucket=0) == pytest.approx(5 * whole / 55)


def test_one_sender_moves_a_share_by_at_most_half_however_many_calls_it_reports():
    windows = LatencyWindows()
    windows.watch([P95])
    for number in range(60):
        windows.add("m", f"tenant {number % 3}", 0, 1.0)
    before = share(windows)
    for _ in range(5000):
        windows.add("m", "liar", 0, 1e4)
    assert before < 0.01
    assert share(windows) <= 0.51
    assert windows.median("m") == 1.0
    # Nor does a liar that reports 0 s hide that the model is slow for the others.
    slow = LatencyWindows()
    slow.watch([P95])
    for _ in range(60):
        slow.add("m", "honest", 0, 9.0)
    for _ in range(5000):
        slow.add("m", "liar", 0, 0.0)
    assert share(slow) >= 0.49


def test_a_liar_with_a_tenth_of_the_calls_moves_a_share_by_a_tenth():
    windows = LatencyWindows()
    windows.watch([P95])
    for number in range(3000):
        liar = number % 10 == 0
        windows.add("m", "liar" if liar else f"tenant {number % 9}", 0, 1e4 if liar else 1.0)
    assert share(windows) == pytest.approx(0.1, abs=0.015)


def test_old_calls_are_forgotten_so_that_a_slow_model_is_tried_again():
    windows = LatencyWindows()
    windows.watch([P95])
    for _ in range(50):
        windows.add("slow", "", 0, 9.0, at=0.0)
    assert share(windows, "slow") > 0.9
    windows.add("other", "", 0, 1.0, at=MAX_AGE_SECONDS + 1.0)
    assert share(windows, "slow") == 0.0
    assert windows.median("slow") == 0.0


CALLS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "x", "y"]),
    st.integers(0, BUCKETS - 1),
    st.one_of(st.none(), st.just(math.inf), st.floats(-5.0, 5.0).filter(bool)),
    st.one_of(st.none(), st.floats(0.0, 5.0)),
    st.floats(0.0, 3 * MAX_AGE_SECONDS),
)


@given(st.lists(CALLS, max_size=300), st.integers(0, 300))
def test_counts_are_those_of_the_calls_in_the_windows(calls, split):
    """Incremental counts, a snapshot in between and a count from scratch agree."""
    windows = LatencyWindows()
    windows.watch([P95, FIRST])
    for number, (model, sender, bucket, total, first, at) in enumerate(
        sorted(calls, key=lambda c: c[5])
    ):
        if number == split:
            again = LatencyWindows()
            again.watch([P95, FIRST])
            again.restore(windows.snapshot())
            windows = again
        windows.add(model, sender, bucket, total, first, at)
        windows.late_shares(P95, bucket, ("a", "b"))
    fresh = LatencyWindows()
    fresh.restore(windows.snapshot())
    fresh.watch([P95, FIRST])
    for promise in (P95, FIRST):
        for bucket in range(BUCKETS):
            kept = windows.late_shares(promise, bucket, ("b", "a", "new"))
            np.testing.assert_array_equal(
                kept, fresh.late_shares(promise, bucket, ("b", "a", "new"))
            )
            assert ((kept >= 0.0) & (kept <= 1.0)).all()
    assert all(len(latest) <= LATENCY_WINDOW for latest in windows.latest_.values())


def test_times_that_are_not_known_are_neither_late_nor_not():
    assert [is_late(s, 2.0) for s in (None, 1.0, 3.0, math.inf, -1.0, -3.0)] == [
        None,
        False,
        True,
        True,
        None,
        True,
    ]
