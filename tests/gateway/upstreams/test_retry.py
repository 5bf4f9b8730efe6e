"""Waits between attempts."""

from random import Random

import pytest

from floorline.gateway.upstreams.retry import Backoff, retry_after


def test_backoff_is_full_jitter():
    rng, backoff = Random(1), Backoff(base_seconds=0.5, cap_seconds=3.0)
    for number, most in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (2000, 3.0)]:
        waits = [backoff.wait(number, rng) for _ in range(500)]
        assert 0 <= min(waits) < 0.1 * most
        assert 0.9 * most < max(waits) <= most


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:00:20 GMT", 15.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("Thu, 99 Foo", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, lambda: 5.0) == seconds


def test_a_provider_that_asks_for_too_long_a_wait_is_not_called_again():
    backoff = Backoff(base_seconds=0.5, max_retry_after_seconds=20.0)
    assert backoff.wait(1, Random(1), retry_after=20.0) == 20.0
    assert backoff.wait(1, Random(1), retry_after=20.5) is None
    assert 0.0 < backoff.wait(1, Random(1), retry_after=0.0) <= 0.5
