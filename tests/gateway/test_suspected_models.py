"""Models that another replica cannot call: requests go elsewhere while one call tries them."""

import pytest
from tests.support.live_gateway import MODELS, Live, write_settings


@pytest.fixture
def gateway(provider, tmp_path):
    started = Live(write_settings(provider), tmp_path)
    yield started
    started.stop()


def served(gateway, *excluded):
    answer = gateway.chat(floorline={"exclude": list(excluded)})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-floorline-model"], answer.headers["x-floorline-decision"]


def test_requests_go_elsewhere_while_one_call_tries_the_model(gateway):
    upstreams, (small, medium, large) = gateway.gateway.upstreams, MODELS
    gateway.call(upstreams.suspect, small, 60.0)
    limiter = upstreams._models[small].limiter
    gateway.call(limiter.acquire)
    model, decision = served(gateway, large)
    assert model == medium
    shown = gateway.http.get(f"/v1/decisions/{decision}").json()
    reasons = {one["model"]: one["explanation"] for one in shown["candidates"]}
    assert "open at another replica" in reasons[small]
    # It serves where no other one can, and is ready.
    assert served(gateway, medium, large)[0] == small
    assert gateway.http.get("/readyz").json()["errors"] == []
    # That call ended well, so that it is like any other model again.
    assert upstreams.suspected() == set()
    gateway.call(limiter.release)


def test_the_first_call_tries_the_model(gateway):
    upstreams, (small, medium, large) = gateway.gateway.upstreams, MODELS
    gateway.call(upstreams.suspect, small, 60.0)
    gateway.call(upstreams.suspect, "a model of another version", 60.0)
    assert upstreams.suspected() == set()
    assert served(gateway, medium, large)[0] == small
