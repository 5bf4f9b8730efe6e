"""Fixtures of a gateway before the fake provider."""

import contextlib

import pytest

from floorline.demo.fake_provider import FakeProvider
from tests.support.live_gateway import ZOO, InThread, Live, http_server, write_settings


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
