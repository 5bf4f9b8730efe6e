"""When a circuit breaker opens, probes and closes."""

from floorline.config import BreakerSettings
from floorline.gateway.upstreams.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_breaker_opens_on_rate_and_number():
    breaker = Breaker(BreakerSettings(failures=3, rate=0.5, window=10.0), Clock())
    for _ in range(4):
        breaker.succeeded(breaker.admit())
    for _ in range(3):
        breaker.failed(breaker.admit())
    assert breaker.state == "closed"
    breaker.failed(breaker.admit())
    assert breaker.state == "open"


def test_breaker_forgets_what_lies_outside_its_window():
    clock = Clock()
    breaker = Breaker(BreakerSettings(failures=3, window=10.0), clock)
    for _ in range(50):
        breaker.failed(breaker.admit())
        clock.now += 5.1
    assert breaker.state == "closed"


def test_breaker_recovers_by_probes():
    clock = Clock()
    breaker = Breaker(BreakerSettings(failures=1, open_for=10.0, probes=2), clock)
    late = breaker.admit()
    breaker.failed(breaker.admit())
    assert (breaker.state, breaker.admit(), breaker.wait()) == ("open", None, 10.0)
    clock.now += 10.0
    first, second = breaker.admit(), breaker.admit()
    assert (breaker.state, breaker.admit(), breaker.would_admit()) == ("half_open", None, False)
    # What began before it opened says nothing now.
    breaker.succeeded(late)
    breaker.failed(late)
    breaker.abandoned(late)
    assert breaker.admit() is None
    breaker.abandoned(second)
    second = breaker.admit()
    breaker.failed(first)
    assert (breaker.state, breaker.wait()) == ("open", 10.0)
    breaker.succeeded(second)
    clock.now += 10.0
    breaker.succeeded(breaker.admit())
    assert breaker.state == "half_open"
    breaker.succeeded(breaker.admit())
    assert breaker.state == "closed"
    # A new beginning: old failures do not count.
    assert breaker.admit() is not None
