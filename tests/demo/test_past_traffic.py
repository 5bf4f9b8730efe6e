import numpy as np
import pytest

from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.demo_keys import make_keys
from floorline.demo.fake_provider import FakeProvider
from floorline.demo.gateway import demo_settings
from floorline.demo.past_traffic import (
    PAST_REQUESTS,
    PAST_SECONDS,
    conversation_times,
    write_past,
)
from floorline.demo.user_behaviour import SimulatedUser
from floorline.events import Decision, Feedback, Outcome, ZooChange
from floorline.gateway.startup import build_gateway
from floorline.stores.sql import SqlStore

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Settings of a demo whose past is written, and the events of its log."""
    zoo = SimulatedZoo(300)
    folder = tmp_path_factory.mktemp("demo")
    settings = demo_settings("http://127.0.0.1:9", zoo, folder, "127.0.0.1", 0, users=4)
    users = [SimulatedUser(zoo, number, 0) for number in range(4)]
    written = write_past(settings, zoo, FakeProvider(zoo, latency=0.25), users, now=NOW)
    assert written == pytest.approx(PAST_REQUESTS, rel=0.1)
    store = SqlStore(settings.store.url.get_secret_value())
    events = list(store.read())
    store.close()
    return settings, events


def test_the_past_is_in_the_order_of_time_and_ends_now(written):
    _, events = written
    times = [event.at for event in events]
    assert times == sorted(times)
    assert NOW - PAST_SECONDS <= times[0] <= NOW - PAST_SECONDS + 3600.0
    assert NOW - 600.0 <= times[-1] <= NOW


def test_calls_in_an_outage_are_replaced_by_another_model(written):
    _, events = written
    decisions = {event.id: event for event in events if isinstance(event, Decision)}
    failed = [e for e in events if isinstance(e, Outcome) and e.error is not None]
    assert failed
    replaced = {decision.after: decision for decision in decisions.values() if decision.after}
    for outcome in failed:
        assert outcome.error == f"model {outcome.model!r}: the provider answered 503 (overloaded)"
        assert replaced[outcome.decision].model != outcome.model
    # As behind a circuit breaker, a model that fails is asked again once a minute at most.
    by_model = {}
    for outcome in failed:
        by_model.setdefault(outcome.model, []).append(outcome.at)
    assert len(by_model) >= 2
    assert all(np.diff(times).min(initial=60.0) >= 60.0 for times in by_model.values())
    bars = [bar for decision in decisions.values() for bar in decision.barred.values()]
    assert any(code == "breaker" for code, _ in bars)


def test_turns_of_a_conversation_find_their_prompt_in_the_cache(written):
    _, events = written
    outcomes = [e for e in events if isinstance(e, Outcome) and e.error is None]
    cached = [outcome for outcome in outcomes if outcome.cached_tokens]
    assert 0.1 < len(cached) / len(outcomes) < 0.7
    assert all(outcome.cached_tokens < outcome.input_tokens for outcome in cached)


def test_a_price_fell_within_the_past(written):
    _, events = written
    (change,) = (event for event in events if isinstance(event, ZooChange))
    settings, _ = written
    assert change.zoo == settings.as_zoo()
    costs = {"before": [], "after": []}
    for event in events:
        if isinstance(event, Outcome) and event.model == "sim-reason" and event.error is None:
            when = "before" if event.at < change.at else "after"
            uncached = event.input_tokens - event.cached_tokens
            price = 0.8 * uncached + 0.08 * event.cached_tokens + 3.2 * event.output_tokens
            costs[when].append(event.cost * 1e6 / price)
    assert costs["after"] == pytest.approx(np.ones(len(costs["after"])))
    # A call that began before the change has the earlier price.
    assert np.median(costs["before"]) == pytest.approx(1.5)


def test_the_gateway_starts_with_what_was_written(written):
    settings, events = written
    store = SqlStore(settings.store.url.get_secret_value())
    try:
        gateway = build_gateway(settings, None, store)
        assert store.recovered_from == len(events)
        for name in ("gold", "silver", "bronze"):
            status = gateway.router.status(name)
            asked = sum(1 for e in events if isinstance(e, Decision) and e.sla == name)
            assert status.requests + sum(
                1 for e in events if isinstance(e, Decision) and e.sla == name and e.after
            ) == pytest.approx(asked, abs=asked * 0.02)
            assert status.labels > 100
        labels = sum(1 for event in events if isinstance(event, Feedback))
        assert labels == pytest.approx(0.4 * PAST_REQUESTS, rel=0.15)
    finally:
        store.close()


@pytest.mark.parametrize("rate", [0.03, 0.33, 2.0])
def test_conversations_become_as_frequent_as_those_of_the_users(rate):
    times = np.array(conversation_times(rate, NOW, np.random.default_rng(0)))
    assert len(times) == PAST_REQUESTS / 2.5
    assert times.min() >= NOW - PAST_SECONDS
    assert times.max() <= NOW
    hours, _ = np.histogram(times, bins=24, range=(NOW - PAST_SECONDS, NOW))
    # Some in every hour, and no jump at the end: the last 20 minutes are not above the users' rate.
    assert hours.min() >= 10
    assert np.sum(times > NOW - 1200.0) <= 1.3 * max(rate, 0.06) / 2.5 * 1200.0
    if rate == 0.33:
        assert np.sum(times > NOW - 1200.0) >= 0.6 * rate / 2.5 * 1200.0


def test_with_keys_the_past_belongs_to_tenants(tmp_path, monkeypatch):
    monkeypatch.setattr("floorline.demo.past_traffic.PAST_REQUESTS", 300)
    zoo = SimulatedZoo(100)
    settings = demo_settings(
        "http://127.0.0.1:9", zoo, tmp_path, "127.0.0.1", 0, users=6, keys=True
    )
    store = SqlStore(settings.store.url.get_secret_value())
    keys = make_keys(store.keys)
    store.close()
    users = [SimulatedUser(zoo, n, 0, keys.users[n % 3]) for n in range(6)]
    write_past(settings, zoo, FakeProvider(zoo), users, now=NOW)
    store = SqlStore(settings.store.url.get_secret_value())
    try:
        gateway = build_gateway(settings, None, store)
        assert {"gold", "gold@acme", "gold@globex"} <= set(gateway.router.slas)
        made = [event for event in store.read() if isinstance(event, Decision)]
        owners = {(decision.tenant, decision.key) for decision in made}
        assert owners == {(key.tenant, key.id) for key in keys.users}
        for decision in made:
            base, _, tenant = decision.sla.partition("@")
            assert tenant == (decision.tenant if base == "gold" else "")
        secrets = [keys.administrator, keys.viewer, *(key.secret for key in keys.users)]
        assert all(gateway.auth.key_of(secret) for secret in secrets)
        # The budget of a key counts what its calls in the past have cost.
        helpdesk = next(key for key in keys.users if key.tenant == "globex")
        assert gateway.auth.left(helpdesk.id) < 20.0
    finally:
        store.close()
