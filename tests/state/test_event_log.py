import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.errors import InvalidInput
from floorline.events import Outcome
from floorline.state.event_log import MemoryLog


def event(number):
    return Outcome(decision=str(number), model="small", cost=float(number))


@given(n=st.integers(0, 30), start=st.integers(0, 35))
def test_it_gives_back_what_was_appended_from_a_position_on(n, start):
    log = MemoryLog()
    for number in range(n):
        log.append(event(number))
    assert len(log) == n
    assert list(log.read(start)) == [event(number) for number in range(start, n)]


@given(n=st.integers(0, 30), capacity=st.integers(1, 10), start=st.integers(0, 30))
def test_a_bounded_log_gives_the_latest_or_says_what_is_gone(n, capacity, start):
    log = MemoryLog(capacity)
    for number in range(n):
        log.append(event(number))
    assert len(log) == n
    dropped = max(0, n - capacity)
    if start < dropped:
        with pytest.raises(InvalidInput, match=f"read from {dropped} on"):
            log.read(start)
    else:
        assert list(log.read(start)) == [event(number) for number in range(start, n)]
