import numpy as np
import pytest

from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FakeProvider
from floorline.demo.gateway import demo_settings
from floorline.demo.past_traffic import PAST_SECONDS, request_times, write_past
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
    assert written == 5_000
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


def test_a_price_fell_within_the_past(written):
    _, events = written
    (change,) = (event for event in events if isinstance(event, ZooChange))
    settings, _ = written
    assert change.zoo == settings.as_zoo()
    costs = {"before": [], "after": []}
    for event in events:
        if isinstance(event, Outcome) and event.model == "sim-medium" and event.error is None:
            when = "before" if event.at < change.at else "after"
            price = 0.6 * event.input_tokens + 2.4 * event.output_tokens
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
        assert labels == pytest.approx(0.3 * 5_000, rel=0.1)
    finally:
        store.close()


@pytest.mark.parametrize("rate", [0.1, 2.0, 20.0])
def test_requests_become_as_frequent_as_those_of_the_users(rate):
    times = np.array(request_times(rate, NOW, np.random.default_rng(0)))
    assert len(times) == 5_000
    assert times.min() >= NOW - PAST_SECONDS
    assert times.max() <= NOW
    span = 400.0 / rate
    assert np.sum(times > NOW - span) / span == pytest.approx(rate, rel=0.25)
    # At least a few in every hour.
    hours, _ = np.histogram(times, bins=24, range=(NOW - PAST_SECONDS, NOW))
    assert hours.min() > 60
