"""A breaker that another replica's breaker makes careful, and never opens or closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.config import BreakerSettings
from floorline.gateway.upstreams.breaker import Breaker


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def new(clock):
    return Breaker(BreakerSettings(failures=5, open_for=10.0), clock)


def test_a_failure_opens_it_at_once(clock):
    breaker = new(clock)
    breaker.suspect(5.0)
    assert (breaker.suspected, breaker.state) == (True, "closed")
    breaker.ended(breaker.admit(), "counted", "status 503")
    assert (breaker.suspected, breaker.state) == (False, "open")
    assert (breaker.openings, breaker.cause) == (1, "status 503")


def test_a_success_ends_the_suspicion(clock):
    breaker = new(clock)
    ticket = breaker.admit()
    breaker.suspect(5.0)
    breaker.succeeded(ticket)
    assert not breaker.suspected
    breaker.failed(breaker.admit())
    assert breaker.state == "closed"


@pytest.mark.parametrize("seconds", [3.0, 1e9, float("inf")])
def test_it_ends_by_itself(clock, seconds):
    breaker = new(clock)
    breaker.suspect(seconds)
    clock.now += min(seconds, 10.0) - 0.1
    assert breaker.suspected
    clock.now += 0.2
    assert not breaker.suspected


def test_an_open_breaker_is_not_changed(clock):
    breaker = new(clock)
    breaker.failed(breaker.admit(), opens=True)
    clock.now += 4.0
    breaker.suspect(10.0)
    assert (breaker.state, breaker.wait()) == ("open", 6.0)
    clock.now += 6.0
    breaker.suspect(10.0)
    assert breaker.state == "half_open"
    for _ in range(breaker.settings.probes):
        breaker.succeeded(breaker.admit())
    assert (breaker.state, breaker.suspected) == ("closed", False)


_STEPS = st.sampled_from(["suspect", "admit", "ok", "fail", "ignored", "left", "later", "long"])


@given(steps=st.lists(_STEPS, max_size=60))
def test_suspicion_alone_refuses_nothing(steps):
    """Whatever happens: one that no failed call here has opened admits every call."""
    clock = Clock()
    breaker = new(clock)
    open_calls = []
    failed = False
    for step in steps:
        if step == "suspect":
            state, wait = breaker.state, breaker.wait()
            breaker.suspect(10.0)
            assert (breaker.state, breaker.wait()) == (state, wait)
        elif step == "admit":
            ticket = breaker.admit()
            if not failed:
                assert ticket is not None
            if ticket is not None:
                open_calls.append(ticket)
        elif step in ("later", "long"):
            clock.now += 1.0 if step == "later" else 100.0
        elif open_calls:
            ticket = open_calls.pop(0)
            if step == "left":
                breaker.abandoned(ticket)
                continue
            breaker.ended(ticket, "counted" if step == "fail" else "ignored")
            failed |= step == "fail"
        assert not (breaker.suspected and breaker.state != "closed")
    # No suspicion lasts: after the time for which a breaker opens it passes calls again.
    clock.now += 10.0
    assert not breaker.suspected
    assert breaker.state in ("closed", "half_open")
