"""Mutated requests to every endpoint, with a key that may do everything."""

import asyncio

import pytest
from tests.support.fuzzing import fuzz

SLAS = [
    {"name": "gold", "floor": 0.85, "models": ["sim-nano", "sim-medium", "sim-titan"]},
    {"name": "silver", "floor": 0.6},
]


@pytest.mark.slow
def test_no_request_is_a_failure_of_the_gateway(start_administered, provider):
    gateway = start_administered(slas=SLAS, runtime_models={"endpoints": [{"url": provider}]})
    secret = gateway.http.headers["authorization"].removeprefix("Bearer ")
    found = asyncio.run(fuzz(gateway.url, secret, provider, 1500, seed=7, clients=4))
    assert found.failures == []
    assert found.requests == 1500
    assert found.reached >= 750
    assert {200, 400, 404} <= set(found.statuses)
    assert gateway.chat().status_code == 200
    assert gateway.gateway.bodies.held == 0
