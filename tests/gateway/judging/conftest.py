"""A gateway whose models answer well or badly, with a judge, over real sockets."""

import json

import pytest
from tests.support.judging_provider import QUALITY, JudgingProvider
from tests.support.live_gateway import InThread, Live, http_server


@pytest.fixture
def provider():
    return JudgingProvider(QUALITY)


@pytest.fixture
def start(provider, tmp_path):
    served = InThread(http_server(provider.app()))
    started = []

    def begin(*, max_output_tokens=None, **changed):
        models = [
            {
                "name": name,
                "endpoint": f"{served.value}/v1",
                "input_price": price,
                "output_price": price,
                "capabilities": ["json", "tools"],
                "retries": 0,
                "max_output_tokens": max_output_tokens,
            }
            for name, price in (("small", 1.0), ("large", 10.0), ("judge", 5.0))
        ]
        settings = {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.8, "models": ["small", "large"]}],
            "auth": "none",
            "store": {"url": "sqlite:///log.db"},
            **changed,
        }
        started.append(Live(json.dumps(settings), tmp_path))
        return started[-1]

    def stop():
        while started:
            started.pop().stop()

    begin.stop = stop
    yield begin
    stop()
    served.stop()
