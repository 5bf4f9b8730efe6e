"""A gateway whose models answer well or badly, with a judge, over real sockets."""

import pytest
from tests.support.judging_provider import QUALITY, JudgingProvider, judged_configuration
from tests.support.live_gateway import InThread, Live, http_server


@pytest.fixture
def provider():
    return JudgingProvider(QUALITY)


@pytest.fixture
def start(provider, tmp_path):
    served = InThread(http_server(provider.app()))
    started = []

    def begin(**changed):
        written = judged_configuration(f"{served.value}/v1", **changed)
        started.append(Live(written, tmp_path))
        return started[-1]

    def stop():
        while started:
            started.pop().stop()

    begin.stop = stop
    yield begin
    stop()
    served.stop()
