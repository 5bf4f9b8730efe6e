import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.errors import InvalidInput
from floorline.events import Feedback, Outcome
from floorline.state.event_log import MemoryLog, event_bytes


def event(number):
    return Outcome(decision=str(number), model="small", cost=float(number))


@given(n=st.integers(0, 30), start=st.integers(0, 35))
def test_it_gives_back_what_was_appended_from_a_position_on(n, start):
    log = MemoryLog()
    for number in range(n):
        log.append(event(number))
    assert len(log) == n
    assert list(log.read(start)) == [event(number) for number in range(start, n)]


@given(n=st.integers(0, 30), most=st.integers(0, 10), start=st.integers(0, 30))
def test_a_bounded_log_gives_the_latest_or_says_what_is_dropped(n, most, start):
    log = MemoryLog(most * event_bytes(event(0)))
    for number in range(n):
        log.append(event(number))
    assert len(log) == n
    dropped = max(0, n - most)
    if start < dropped:
        with pytest.raises(InvalidInput, match=f"read from {dropped} on"):
            log.read(start)
    else:
        assert list(log.read(start)) == [event(number) for number in range(start, n)]


def test_a_negative_size_is_refused():
    with pytest.raises(InvalidInput, match="max_bytes is -1: give a number of bytes of 0 or more"):
        MemoryLog(-1)


def allocated(make, count=300):
    """Bytes that one event takes, as the interpreter counts them."""
    made = [make(0)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made += [make(number) for number in range(count)]
    size = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return size, event_bytes(made[0])


@pytest.mark.parametrize("dim", [0, 384, 1024])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_size_of_a_decision_is_estimated_well(dim, form, build_router):
    routed = build_router("random", dim=dim or 6).route(features=np.zeros(dim or 6))

    def decision(number):
        features = np.full(dim, 0.5, np.float32)
        if form == "sparse":
            where = np.arange(dim, dtype=np.int32) + number
            features = SparseFeatures(where, features, 2**16)
        arrays = ("propensities", "quality_estimates", "cost_estimates")
        return msgspec.structs.replace(
            routed,
            id=f"d0123456789abcdef-{number:x}",
            at=1.5 + number,
            features=features,
            **{name: getattr(routed, name).copy() for name in arrays},
        )

    size, estimate = allocated(decision)
    assert 0.7 * size <= estimate <= 1.4 * size


def test_the_size_of_other_events_is_not_underestimated():
    makes = (
        lambda n: Outcome(decision=f"d{n}", model="m", cost=1.0 + n, at=n + 0.5, latency=n + 0.1),
        lambda n: Feedback(decision=f"d{n}", model="m", score=0.5, at=n + 0.5, key=f"key {n}"),
    )
    for make in makes:
        size, estimate = allocated(make)
        assert size <= estimate <= 2.5 * size


def test_the_default_log_of_a_router_is_bounded_in_bytes(build_router):
    router = build_router("random", log=None, dim=1024, memory=10)
    for _ in range(14_000):
        router.route(features=np.zeros(1024, np.float32))
    kept = 14_000 - first_kept(router.log)
    assert 12_000 < kept < 14_000


def first_kept(log):
    try:
        log.read(0)
    except InvalidInput as error:
        return int(error.fix.split()[2])
    return 0
