import asyncio
import signal
import socket

import aiohttp
import httpx2 as httpx
import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import InThread, wait_until
from tests.support.serving import Serving
from tests.support.stage import settings_of
from tests.support.streams import NumberedProvider, Streaming, stream_for, stream_once

from floorline.events import Decision, Outcome

pytestmark = pytest.mark.slow

PIECES = 20


@pytest.fixture
def numbered():
    served = InThread(NumberedProvider(PIECES))
    yield served.value
    served.stop()


def in_flight(serving):
    text = httpx.get(f"{serving.url}/metrics", timeout=60).text
    (line,) = [row for row in text.splitlines() if row.startswith("floorline_requests_in_flight ")]
    return float(line.split()[-1])


def test_two_hundred_streams_at_once(numbered, tmp_path):
    serving = Serving(tmp_path, settings_of(numbered)).start()
    try:
        found = asyncio.run(stream_for(serving.url, 0.0, clients=200, pieces=PIECES, least=2))
        assert (found.whole, found.damaged, found.most) == (400, [], 200)
        assert in_flight(serving) == 0
        assert serving.stop() == 0
        events = [event for _, event in serving.log()]
        decided = {event.id for event in events if isinstance(event, Decision)}
        ended = {e.decision for e in events if isinstance(e, Outcome) and e.completion}
        assert len(decided) == 400
        assert ended == decided
    finally:
        serving.kill()


def test_after_a_signal_streams_end_and_connections_are_refused(numbered, tmp_path):
    numbered.held = True
    serving = Serving(tmp_path, settings_of(numbered)).start()
    try:
        found = asyncio.run(_stop_while_streaming(serving, numbered))
        assert (found.whole, found.damaged) == (20, [])
        assert serving.process.wait(60) == 0
        log = serving.log()
        assert serving.snapshot_position() == len(log)
        assert len([1 for _, event in log if isinstance(event, Outcome) and event.completion]) == 20
        assert "Traceback" not in serving.said.read_text()
    finally:
        serving.kill()


async def _stop_while_streaming(serving, numbered):
    found = Streaming()
    async with aiohttp.ClientSession(serving.url, connector=aiohttp.TCPConnector(limit=0)) as http:
        streams = [
            asyncio.create_task(stream_once(http, f"s{n}", PIECES, found)) for n in range(20)
        ]
        while await asyncio.to_thread(in_flight, serving) != 20:
            await asyncio.sleep(0.01)
        serving.signal(signal.SIGTERM)
        while _connects(serving.port):
            await asyncio.sleep(0.01)
        # No connection is accepted any more, and no stream was aborted.
        assert (found.whole, found.damaged) == (0, [])
        numbered.held = False
        await asyncio.gather(*streams)
    return found


def _connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_streams_beyond_the_grace_period_are_aborted_and_logged(stage, tmp_path):
    provider = InThread(NumberedProvider(10_000, pause=0.05))
    server = {"shutdown_grace": "1s"}
    serving = Serving(tmp_path, settings_of(provider.value, server=server)).start()
    try:
        found = asyncio.run(_outlast(serving))
        assert found.whole == 0
        assert serving.process.wait(60) == 0
        outcomes = [event for _, event in serving.log() if isinstance(event, Outcome)]
        (outcome,) = [one for one in outcomes if one.completion]
        assert outcome.error
        assert outcome.estimated
        assert serving.snapshot_position() == len(serving.log())
        wait_until(lambda: provider.value.open == 0)
    finally:
        serving.kill()
        provider.stop()


async def _outlast(serving):
    found = Streaming()
    async with aiohttp.ClientSession(serving.url) as http:
        stream = asyncio.create_task(stream_once(http, "long", 10_000, found))
        while await asyncio.to_thread(in_flight, serving) != 1:
            await asyncio.sleep(0.01)
        serving.signal(signal.SIGTERM)
        await stream
    return found


def test_more_requests_than_allowed_are_shed(stage):
    gateway = stage(server={"max_in_flight": 3})
    gateway.plan(fp.hang, fp.hang, fp.hang)
    refused = asyncio.run(_crowd(gateway, 3))
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) > 0
    wait_until(gateway.at_rest)
    assert gateway.chat().status_code == 200


def test_more_calls_than_the_models_may_take_are_shed(stage):
    gateway = stage(model={"max_concurrency": 1, "queue_length": 0})
    gateway.plan(fp.hang, fp.hang, fp.hang)
    refused = asyncio.run(_crowd(gateway, 3))
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "upstream_saturated"
    assert int(refused.headers["retry-after"]) > 0
    # Each of the three went to a model that had a place.
    calls = [request["body"]["model"] for request in gateway.provider.requests]
    assert sorted(calls) == ["large", "medium", "small"]
    wait_until(gateway.at_rest)
    assert gateway.chat().status_code == 200


async def _crowd(gateway, places):
    """Take all places, and ask for one more; those that hold one leave afterwards."""
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Hello?"}]}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as http:
        held = []
        for number in range(1, places + 1):
            held.append(asyncio.create_task(http.post("/v1/chat/completions", json=body)))
            while len(gateway.provider.requests) < number:
                await asyncio.sleep(0.005)
        refused = await http.post("/v1/chat/completions", json=body)
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    return refused
