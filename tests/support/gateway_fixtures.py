"""Fixtures of a gateway before the fake provider."""

import contextlib

import pytest

from floorline.demo.fake_provider import FakeProvider
from tests.support.live_gateway import (
    ZOO,
    InThread,
    Live,
    http_server,
    write_settings,
)


@pytest.fixture(scope="session")
def provider():
    """URL of the fake provider, which plays the simulated zoo."""
    served = InThread(http_server(FakeProvider(ZOO).app()))
    yield served.value
    served.stop()


@pytest.fixture
def start(tmp_path):
    """Start gateways; they stop after the test."""
    started = []

    def begin(text, folder=tmp_path, **given):
        started.append(Live(text, folder, **given))
        return started[-1]

    yield begin
    for one in started:
        with contextlib.suppress(RuntimeError):
            one.stop()


@pytest.fixture
def gateway(start, provider):
    """A gateway in front of the fake provider, without keys."""
    return start(write_settings(provider))


@pytest.fixture
def start_administered(start, provider, tmp_path):
    """Start gateways whose clients send a key that may do everything; fields as in the file."""

    def begin(folder=tmp_path, **changed):
        allowed = {"endpoints": [{"url": provider, "key_envs": ["ALLOWED_KEY"]}]}
        text = write_settings(provider, **{"auth": "keys", "runtime_models": allowed, **changed})
        gateway = start(text, folder)
        keys = gateway.gateway.store.keys
        secret = keys.create("all", ["chat", "feedback", "admin"])[1]
        gateway.http.headers["authorization"] = f"Bearer {secret}"
        # The gateway reads new keys every two seconds; tests need not wait for it.
        gateway.call(gateway.gateway.auth.set_keys, keys.list())
        return gateway

    return begin


@pytest.fixture
def administered(start_administered):
    """A gateway whose client sends a key that may do everything."""
    return start_administered()
