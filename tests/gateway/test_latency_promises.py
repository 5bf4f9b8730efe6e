"""Promises of latency over real HTTP: a cheap model that is slow, and an expensive one."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from tests.support.faulty_provider import USAGE, completion, events
from tests.support.live_gateway import Live, wait_until
from tests.support.scripted_server import EVENTS, JSON, ScriptedServer

from floorline.events import Outcome

pytestmark = pytest.mark.slow

SLOW_SECONDS = 1.3
LIMIT_SECONDS = 1.0
REQUESTS, AT_ONCE, ROUNDS = 80, 16, 20


def answer(path, body):
    """Answer at once, or after a while if the cheap model is asked; streams begin as late."""
    pause = SLOW_SECONDS if body["model"] == "cheap" else 0.0
    if body.get("stream"):

        def pieces():
            time.sleep(pause)
            yield from events(usage=USAGE)

        return 200, EVENTS, pieces()
    time.sleep(pause)
    return 200, JSON, [completion()]


@pytest.fixture(scope="module")
def provider():
    with ScriptedServer(answer) as server:
        yield server


def settings(url, **promise):
    models = [
        {"name": name, "endpoint": f"{url}/v1", "call_price": price, "retries": 0}
        for name, price in (("cheap", 1.0), ("dear", 4.0))
    ]
    return msgspec.json.encode(
        {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.3, "guarded": True, **promise}],
            "auth": "none",
            "store": {"url": "sqlite:///log.db"},
            "seed": 1,
        }
    ).decode()


def serve(live, *, stream):
    """Send requests, several at a time, and a label for each."""

    def one(number):
        made = live.chat(f"What is {number} + {number}?", stream=stream)
        assert made.status_code == 200
        decision = made.headers["x-floorline-decision"]
        live.http.post("/v1/feedback", json={"decision": decision, "satisfied": True})
        return made.headers["x-floorline-model"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(REQUESTS)))


@pytest.mark.parametrize("stream", [False, True], ids=["latency", "ttft"])
def test_the_promise_is_kept_and_certified_although_the_cheap_model_is_slow(
    stream, provider, tmp_path
):
    measure = "ttft" if stream else "latency"
    live = Live(settings(provider.url, **{measure: {"p50": f"{LIMIT_SECONDS}s"}}), tmp_path)
    try:
        router, served = live.gateway.router, []
        for _ in range(ROUNDS):
            served += serve(live, stream=stream)
            wait_until(lambda: not live.call(router.open_calls))
            status = live.http.get("/v1/slas/gold").json()
            (promise,) = status["latency"]
            if promise["verdict"] == "kept":
                # A guarded SLA keeps just the surplus that proves it.
                break
        assert (promise["measure"], promise["quantile"]) == (measure, "p50")
        assert promise["requests"] == len(served)
        # What the log has is what was counted.
        taken = [
            event.first_token if stream else event.latency
            for event in router.log.read()
            if isinstance(event, Outcome)
        ]
        within = sum(seconds <= LIMIT_SECONDS for seconds in taken)
        assert promise["within"] == within / len(served)
        assert promise["verdict"] == "kept", promise["reason"]
        assert {row["model"]: row["within"] for row in promise["models"]}["cheap"] == 0.0
        # The cheap model still serves what the promise leaves to it.
        assert 0 < served.count("cheap") < len(served) / 2
        assert status["verdict"] == "kept"
        text = live.http.get("/metrics").text
        assert f'floorline_sla_latency_within_ratio{{measure="{measure}"' in text
    finally:
        live.stop()


def test_without_a_promise_the_cheap_model_serves(provider, tmp_path):
    live = Live(settings(provider.url), tmp_path)
    try:
        live.chat("Hello")
        assert json.loads(live.http.get("/v1/slas/gold").text)["latency"] == []
    finally:
        live.stop()
