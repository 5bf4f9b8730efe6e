import pytest

from floorline.gateway.dashboard import login_limits
from floorline.gateway.dashboard.login_limits import ATTEMPTS, LoginLimits
from floorline.gateway.dashboard.logins import (
    IDLE_SECONDS,
    MOST_LOGINS,
    MOST_PER_KEY,
    MOST_SECONDS,
    Logins,
    digest_of,
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def logins(clock):
    return Logins(clock)


def test_a_login_is_found_by_its_token_only(logins):
    token = logins.begin("a")
    assert logins.use(digest_of(token)).key == "a"
    assert logins.use(digest_of("another")) is None
    assert logins.use(token) is None


def test_a_login_that_is_not_used_ends(logins, clock):
    digest = digest_of(logins.begin("a"))
    clock.now = IDLE_SECONDS - 1
    assert logins.use(digest) is not None
    clock.now += IDLE_SECONDS + 1
    assert logins.use(digest) is None
    assert len(logins) == 0


def test_a_login_that_is_used_ends_after_a_week(logins, clock):
    digest = digest_of(logins.begin("a"))
    while clock.now <= MOST_SECONDS:
        assert logins.use(digest) is not None
        clock.now += IDLE_SECONDS / 2
    assert logins.use(digest) is None


def test_looking_at_a_login_does_not_prolong_it(logins, clock):
    digest = digest_of(logins.begin("a"))
    clock.now = IDLE_SECONDS - 1
    assert logins.find(digest) is not None
    clock.now += 2
    assert logins.find(digest) is None


def test_one_key_cannot_end_the_logins_of_others(logins):
    other = digest_of(logins.begin("other"))
    own = [digest_of(logins.begin("a")) for _ in range(MOST_PER_KEY + 5)]
    assert logins.find(other) is not None
    assert [logins.find(digest) is not None for digest in own] == [False] * 5 + [
        True
    ] * MOST_PER_KEY


def test_the_number_of_logins_is_bounded(logins):
    first = digest_of(logins.begin("first"))
    used = digest_of(logins.begin("used"))
    for number in range(MOST_LOGINS - 2):
        logins.begin(f"key {number}")
    logins.use(used)
    logins.begin("one more")
    logins.begin("and another")
    assert len(logins) == MOST_LOGINS
    assert logins.find(first) is None
    assert logins.find(used) is not None


def test_attempts_of_one_address_are_limited(clock):
    limits = LoginLimits(clock)
    assert [limits.take("192.0.2.1") for _ in range(int(ATTEMPTS))] == [0.0] * int(ATTEMPTS)
    assert limits.take("192.0.2.1") == pytest.approx(6.0)
    assert limits.take("192.0.2.2") == 0.0
    clock.now += 6.1
    assert limits.take("192.0.2.1") == 0.0


def test_a_network_of_ipv6_counts_as_one_client(clock):
    limits = LoginLimits(clock)
    waits = [limits.take(f"2001:db8::{number}") for number in range(int(ATTEMPTS) + 1)]
    assert waits[-1] > 0.0


def test_many_addresses_together_are_limited_and_forgotten(clock, monkeypatch):
    monkeypatch.setattr(login_limits, "_MOST_ADDRESSES", 10)
    limits = LoginLimits(clock)
    waits = [limits.take(f"192.0.2.{number}") for number in range(200)]
    assert waits[0] == 0.0
    assert waits[-1] > 0.0
    assert len(limits._buckets) == 10
