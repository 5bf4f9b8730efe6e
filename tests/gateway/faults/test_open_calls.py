"""Calls that a kill cuts off, or that many others overtake, are charged all the same."""

import threading

import httpx2 as httpx
import pytest
from tests.support.live_gateway import InThread, http_server, wait_until, write_settings
from tests.support.overspending import GreedyProvider
from tests.support.serving import Serving

from floorline.events import CLIENT, Decision, Outcome
from floorline.gateway.call_recorder import INTERRUPTED
from floorline.stores.engine import open_engine
from floorline.stores.keys import KeyStore
from floorline.stores.reading import LogReader

pytestmark = pytest.mark.slow


@pytest.fixture
def slow_provider():
    """URL of a provider whose answers take five seconds."""
    served = InThread(http_server(GreedyProvider(pause=5.0).app()))
    yield served.value
    served.stop()


def models(endpoint):
    return [
        {
            "name": "one",
            "endpoint": f"{endpoint}/v1",
            "output_price": 1000.0,
            "typical_output_tokens": 50.0,
        }
    ]


def test_calls_of_a_killed_gateway_are_closed_and_charged_at_the_next_start(
    slow_provider, start, tmp_path
):
    sla = {"name": "gold", "floor": 0.5, "budget": {"total": 10.0}}
    text = write_settings("", models=models(slow_provider), slas=[sla], auth="keys")
    serving = Serving(tmp_path, text).start()
    # The key is made by another process, as the command does it.
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    key, secret = KeyStore(engine).create("app", budget=5.0, period=1e9)
    headers = {"authorization": f"Bearer {secret}"}
    http = httpx.Client(base_url=serving.url, timeout=60, headers=headers)
    wait_until(lambda: http.get("/v1/models").status_code == 200)
    body = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 400}

    def call(model):
        with pytest.raises(httpx.HTTPError):
            httpx.post(
                f"{serving.url}/v1/chat/completions",
                json={**body, "model": model},
                headers=headers,
                timeout=60,
            )

    calls = [threading.Thread(target=call, args=[m]) for m in ("floorline/gold", "one")]
    for one in calls:
        one.start()
    routed = http.post("/v1/route", json={**body, "model": "floorline/gold"}).json()
    reader = LogReader(engine)
    wait_until(lambda: reader.end() == 3)
    http.close()
    engine.dispose()
    serving.kill()
    for one in calls:
        one.join(60)
    live = start(text)
    gateway = live.gateway
    outcomes = [e for e in gateway.store.read() if isinstance(e, Outcome)]
    assert [(o.error, o.estimated, o.cost) for o in outcomes] == [(INTERRUPTED, True, 0.05)] * 2
    # Only the client's own call is still open, and its largest cost is held.
    (open_call,) = gateway.router.open_calls()
    assert (open_call.decision.id, open_call.decision.call_by) == (routed["id"], CLIENT)
    assert gateway.router.status("gold").spent == 0.05
    assert live.call(gateway.auth.left, key.id) == pytest.approx(5.0 - 0.1 - 0.4)
    decisions = {e.id for e in gateway.store.read() if isinstance(e, Decision)}
    assert decisions == {routed["id"], *(o.decision for o in outcomes)}


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_call_is_charged_although_many_others_overtake_it(stream, start):
    provider = GreedyProvider(pause=0.0)
    served = InThread(http_server(provider.app()))
    live = start(write_settings("", models=models(served.value), memory=5))
    try:
        provider.pause = 3.0
        slow = threading.Thread(target=live.chat, kwargs={"stream": stream, "max_tokens": 500})
        slow.start()
        wait_until(lambda: provider.calls == 1)
        provider.pause = 0.0
        for _ in range(20):
            # The slow call is the oldest decision, and five are remembered.
            assert live.chat(max_tokens=10).status_code == 200
        slow.join(60)
        wait_until(lambda: live.gateway.admission.in_flight == 0)
        status = live.gateway.router.status("gold")
        assert status.spent == pytest.approx(0.7)
        assert status.reserved == 0.0
        assert len(live.gateway.router.remembered) == 5
    finally:
        served.stop()
