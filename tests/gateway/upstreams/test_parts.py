"""Settings, breaker, queue, waits and costs, each by itself."""

import asyncio
import copy
import pickle
from random import Random

import msgspec
import pytest

from floorline.errors import InvalidInput
from floorline.gateway.upstreams import (
    BreakerSettings,
    Retries,
    Secret,
    Timeouts,
    UpstreamError,
    UpstreamSettings,
    Usage,
    cost_of,
    estimate_usage,
)
from floorline.gateway.upstreams.breaker import Breaker
from floorline.gateway.upstreams.limiter import Limiter, Saturated
from floorline.gateway.upstreams.requests import ask_usage
from floorline.gateway.upstreams.retry import backoff, retry_after
from floorline.gateway.upstreams.usage import read_usage
from floorline.zoo import Model

GOOD = {"model": "m", "base_url": "https://api.example.org/v1"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": " "}, "UpstreamSettings.model"),
        ({"base_url": ""}, "UpstreamSettings.base_url"),
        ({"base_url": None}, "UpstreamSettings.base_url"),
        ({"base_url": "ftp://a"}, "UpstreamSettings.base_url"),
        ({"base_url": "http://"}, "UpstreamSettings.base_url"),
        ({"base_url": "http://a:99999"}, "UpstreamSettings.base_url"),
        ({"base_url": "http://a b"}, "UpstreamSettings.base_url"),
        ({"base_url": "http://a/#v1"}, "UpstreamSettings.base_url"),
        ({"kind": "grpc"}, "openai"),
        ({"api_key": "sk-plain"}, "Secret"),
        ({"headers": {"a b": "c"}}, "UpstreamSettings.headers"),
        ({"headers": {"a": "c\r\nd: e"}}, "UpstreamSettings.headers['a']"),
        ({"headers": {"Content-Length": "1"}}, "Content-Length"),
        ({"headers": {"Authorization": "x"}, "api_key": Secret("k")}, "api_key"),
        ({"max_concurrency": 0}, "UpstreamSettings.max_concurrency"),
        ({"queue_length": -1}, "UpstreamSettings.queue_length"),
        ({"queue_wait": float("nan")}, "UpstreamSettings.queue_wait"),
        ({"max_body": 0.5}, "UpstreamSettings.max_body"),
    ],
)
def test_bad_settings_are_refused(changes, named):
    with pytest.raises(InvalidInput) as caught:
        UpstreamSettings(**GOOD | changes)
    assert named in str(caught.value)
    assert "sk-plain" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Timeouts, {"connect": 0}),
        (Timeouts, {"total": "10"}),
        (Retries, {"attempts": 0}),
        (Retries, {"base": -1}),
        (BreakerSettings, {"failures": 1.5}),
        (BreakerSettings, {"rate": 1.1}),
        (BreakerSettings, {"probes": 0}),
        (BreakerSettings, {"open_for": 0.0}),
    ],
)
def test_bad_parts_of_settings_are_refused(kind, changes):
    (field,) = changes
    with pytest.raises(InvalidInput, match=f"{kind.__name__}.{field}"):
        kind(**changes)


@pytest.mark.parametrize("text", ["", "a\n", " a", "ключ", None])
def test_keys_that_cannot_be_sent_are_refused_unseen(text):
    with pytest.raises(InvalidInput) as caught:
        Secret(text)
    assert repr(text) not in str(caught.value)


def test_secrets_stay_hidden():
    key = Secret("sk-1234")
    settings = UpstreamSettings(**GOOD, api_key=key, headers={"x-key": key})
    assert "sk-1234" not in f"{key} {key!r} {settings} {[key]} %s" % key
    assert key == Secret("sk-1234") != Secret("sk-1235")
    assert copy.copy(settings).api_key.reveal() == "sk-1234"
    with pytest.raises(TypeError, match="Secret"):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


def test_credentials_in_the_address_are_refused_unseen():
    with pytest.raises(InvalidInput) as caught:
        UpstreamSettings(model="m", base_url="https://me:secret@example.org")
    assert "secret" not in str(caught.value)


def test_errors_survive_pickling():
    error = UpstreamError(
        "text", "status", status=503, retry_after=2.0, fallback=False, retryable=True
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_breaker_opens_on_rate_and_number():
    breaker = Breaker(BreakerSettings(failures=3, rate=0.5, window_seconds=10.0), Clock())
    for _ in range(4):
        breaker.succeeded(breaker.admit())
    for _ in range(3):
        breaker.failed(breaker.admit())
    assert breaker.state == "closed"
    breaker.failed(breaker.admit())
    assert breaker.state == "open"


def test_breaker_forgets_what_lies_outside_its_window():
    clock = Clock()
    breaker = Breaker(BreakerSettings(failures=3, window_seconds=10.0), clock)
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


def test_places_are_handed_out_in_turn():
    async def scene():
        limiter = Limiter(1, 2, 30.0)
        assert limiter.take()
        got = []

        async def call(name):
            await limiter.wait()
            got.append(name)

        tasks = [asyncio.create_task(call(name)) for name in "ab"]
        await asyncio.sleep(0)
        assert (limiter.take(), limiter.full, limiter.waiting) == (False, True, 2)
        with pytest.raises(Saturated):
            await limiter.wait()
        limiter.release()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert got == ["a"]
        limiter.release()
        await asyncio.gather(*tasks)
        limiter.release()
        assert (got, limiter.taken, limiter.waiting) == (["a", "b"], 0, 0)

    asyncio.run(scene())


def test_who_leaves_the_queue_leaves_nothing_behind():
    async def scene():
        limiter = Limiter(1, 5, 30.0)
        limiter.take()
        early, handed, late = (asyncio.create_task(limiter.wait()) for _ in range(3))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        assert limiter.waiting == 2
        # Cancelled in the very moment in which it gets the place.
        limiter.release()
        handed.cancel()
        await late
        assert handed.cancelled()
        assert (limiter.taken, limiter.waiting) == (1, 0)
        limiter.release()
        assert limiter.taken == 0

    asyncio.run(scene())


def test_queue_waits_no_longer_than_told():
    async def scene():
        limiter = Limiter(1, 5, 0.02)
        limiter.take()
        with pytest.raises(Saturated):
            await limiter.wait()
        assert (limiter.taken, limiter.waiting) == (1, 0)
        waiting = asyncio.create_task(limiter.wait())
        await asyncio.sleep(0)
        limiter.resize(2, 5, 0.02)
        await waiting
        assert limiter.taken == 2

    asyncio.run(scene())


def test_backoff_is_full_jitter():
    rng, retries = Random(1), Retries(base=0.5, cap=3.0)
    for number, most in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (2000, 3.0)]:
        waits = [backoff(retries, number, rng) for _ in range(500)]
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


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": -1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
def test_unsound_usage_is_none(value):
    assert read_usage(value) is None


def test_cached_tokens_are_part_of_the_prompt():
    value = {"prompt_tokens": 5, "completion_tokens": 1}
    for details, cached in [(None, 0), ({"cached_tokens": 3}, 3), ({"cached_tokens": 9}, 5)]:
        usage = read_usage(value | {"prompt_tokens_details": details})
        assert usage == Usage(5, 1, cached)


def test_cost():
    model = Model("m", input_price=2.0, output_price=10.0, call_price=0.5)
    assert cost_of(model, Usage(1_000, 100)) == pytest.approx(0.5 + 0.002 + 0.001)
    assert cost_of(model, Usage(0, 0)) == 0.5
    estimate = estimate_usage(1_000, 399)
    assert estimate.estimated
    assert cost_of(model, estimate) == cost_of(model, Usage(1_000, 100))


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"null", b'{"include_usage":true}'),
        (b"{}", b'{"include_usage":true}'),
        (b'{"include_usage":false,"x":1}', b'{"include_usage":true,"x":1}'),
    ],
)
def test_asking_for_usage_changes_nothing_else(options, sent):
    body = b'{"a": 1.0,"stream_options":%s,"b": "\\u00fc"}'
    changed, asked = ask_usage(body % options)
    assert asked
    assert msgspec.json.decode(changed) == msgspec.json.decode(body % sent)
    assert b'"b":"\\u00fc"' in changed


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"stream_options": 7}', b'{"stream_options": [}'])
def test_requests_that_are_none_are_left_as_they_are(body):
    assert ask_usage(body) == (body, False)
